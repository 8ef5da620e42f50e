"""Descendants: they stay in the tree after re-parenting, and their usage after their end."""

import os
import shlex
import signal
import subprocess
import time
import unittest
from pathlib import Path

from harness import (MIB, Collectd, Workload, check_counters_rise, measures, now_ms, program,
                     program_rule, rule, wait_until)
from spawner import io_of

RULE = program_rule("family", "family")


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Orphan(unittest.TestCase):
    def test_a_reparented_grandchild_stays_in_the_tree_and_outlives_the_root(self):
        with Workload("family") as family, \
                Collectd(RULE, "FlushInterval 0.1\n", interval=0.5) as collectd:
            collectd.wait_ready()
            orphan = int(family.ask("orphan"))
            self.assertNotEqual(parent_of(orphan), family.pid)

            line = collectd.wait_for_lines(family.pid, count=3, after_ms=now_ms() + 500)[-1]
            self.assertEqual([child["pid"] for child in line["children"]], [orphan])
            self.assertEqual(line["children"][0]["command"], "family")
            self.assertEqual(line["aggregated"]["process_count"], 2)
            self.assertEqual(collectd.latest("family", "ps_count"), [2, 2])

            family.kill()
            line = collectd.wait_for_lines(family.pid, count=3, after_ms=now_ms() + 500)[-1]
            self.assertIsNone(line["parent"])
            self.assertEqual([child["pid"] for child in line["children"]], [orphan])
            self.assertEqual(line["aggregated"]["process_count"], 1)
            self.assertNotIn("exit", line)
            wait_until(lambda: collectd.latest("family", "ps_count") == [1, 1], "one process")

            os.kill(orphan, signal.SIGKILL)
            wait_until(lambda: collectd.latest("family", "ps_count") == [0, 0], "no process")
            collectd.wait_for_values("family", "ps_count", after=time.time() + 0.5)
            count = len(collectd.samples_of(family.pid))
            collectd.wait_for_values("family", "ps_count", after=time.time() + 1)
            self.assertEqual(len(collectd.samples_of(family.pid)), count)
            self.assertEqual(len(collectd.files()), 1, "one file for each tree")

    def test_descendants_from_before_collectd_are_in_the_tree_but_not_with_children_false(self):
        name = f"e2e-p{os.getpid()}"[:15]
        with Workload("zombie", name) as parent, Collectd(
                program_rule("tree", "zombie", 'Comm "zombie"') +
                program_rule("alone", "zombie", 'Comm "zombie"', "Children false",
                             "Records false"), interval=0.5) as collectd:
            line = collectd.wait_for_lines(parent.pid, count=2)[-1]
            self.assertEqual([child["pid"] for child in line["children"]], [int(parent.answer)])
            self.assertEqual(line["aggregated"]["process_count"], 2)
            self.assertEqual(len(collectd.files()), 1)
            collectd.wait_for_values("tree", "ps_count")
            self.assertEqual(collectd.latest("alone", "ps_count"), [1, 1])
            self.assertEqual(collectd.latest("tree", "ps_count"), [2, 2])


class Depth(unittest.TestCase):
    LEVELS = 6

    def test_descendants_of_any_depth_are_in_the_tree_once(self):
        words = f"{program('sleeper')}; true"
        for _ in range(self.LEVELS - 2):
            words = f"sh -c {shlex.quote(words)}; true"
        top = f"e2e-top-{os.getpid()}"
        with Collectd(rule("deep", f'CommandLine "{top}$"'), interval=0.5) as collectd, \
                subprocess.Popen(["/bin/sh", "-c", words, top], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, bufsize=0) as shell:
            self.assertEqual(shell.stdout.readline(), b"ready\n")
            wait_until(lambda: collectd.latest("deep", "ps_count") == [self.LEVELS] * 2, "all")
            line = collectd.wait_for_lines(shell.pid, after_ms=now_ms() + 200)[-1]
            self.assertEqual(line["aggregated"]["process_count"], self.LEVELS)
            pids = [child["pid"] for child in line["children"]]
            self.assertEqual(len(set(pids)), self.LEVELS - 1)
            self.assertEqual(sum(child["command"] == "sleeper" for child in line["children"]), 1)
            self.assertEqual(len(collectd.files()), 1)
            shell.stdin.close()
            wait_until(lambda: collectd.latest("deep", "ps_count") == [0, 0], "none")
            self.assertEqual(collectd.latest("deep", "derive-exits"), [self.LEVELS])


@measures
class Sums(unittest.TestCase):
    """Workers write known bytes, end, and are waited for: from then on /proc/PID/io of the parent
    includes their bytes."""

    BYTES = 4 * MIB
    WORKERS = 3

    @classmethod
    def setUpClass(cls):
        family = cls.enterClassContext(Workload("family"))
        cls.pid = family.pid
        cls.collectd = cls.enterClassContext(Collectd(RULE, interval=0.5))
        cls.collectd.wait_ready()
        cls.workers = [int(family.ask(f"worker {cls.BYTES} 300")) for _ in range(cls.WORKERS)]
        cls.collectd.wait_for_lines(cls.pid, after_ms=now_ms() + 1200)
        cls.collectd.wait_for_values("family", "ps_count", after=time.time() + 0.7)
        cls.written = io_of(cls.pid)["wchar"]
        cls.lines = cls.collectd.samples_of(cls.pid)

    def test_usage_of_ended_workers_counts_once_in_aggregated_and_in_the_group(self):
        for written in (self.lines[-1]["aggregated"]["syscall_write_bytes"],
                        self.collectd.latest("family", "io_octets")[1]):
            self.assertGreaterEqual(written, self.WORKERS * self.BYTES)
            self.assertLess(written, self.WORKERS * self.BYTES + MIB)

    def test_a_parents_own_bytes_are_without_those_of_its_children(self):
        self.assertGreaterEqual(self.written, self.WORKERS * self.BYTES)
        for line in self.lines:
            self.assertLess(line["parent"]["syscall_write_bytes"], MIB)

    def test_cpu_of_ended_children_is_counted_once(self):
        used = sum(self.collectd.latest("family", "ps_cputime")) / 1e6
        self.assertGreaterEqual(used, 0.3 * self.WORKERS)
        self.assertLess(used, 0.3 * self.WORKERS + 0.15)

    def test_each_worker_was_seen_with_its_own_bytes(self):
        for worker in self.workers:
            of_worker = [child["metrics"] for line in self.lines for child in line["children"]
                         if child["pid"] == worker]
            self.assertTrue(of_worker)
            self.assertEqual(of_worker[-1]["syscall_write_bytes"], self.BYTES)

    def test_aggregated_is_the_sum_of_living_and_ended_processes(self):
        ended, last = {}, {}
        for line in self.lines:
            living = {child["pid"]: child["metrics"] for child in line["children"]}
            living[self.pid] = line["parent"]
            ended |= {pid: metrics for pid, metrics in last.items() if pid not in living}
            last = living
            for key in ("syscall_write_bytes", "syscall_read_bytes", "disk_write_bytes"):
                least = sum(metrics[key] for metrics in [*living.values(), *ended.values()])
                # A worker may have done a little after its last line.
                self.assertGreaterEqual(line["aggregated"][key], least)
                self.assertLessEqual(line["aggregated"][key], least + MIB)
            for key in ("mem_rss_kb", "thread_count"):
                self.assertEqual(line["aggregated"][key],
                                 sum(metrics[key] for metrics in living.values()))
            self.assertEqual(line["aggregated"]["process_count"], len(living))
            self.assertEqual(line["aggregated"]["uptime_secs"],
                             max(metrics["uptime_secs"] for metrics in living.values()))

    def test_counters_of_consecutive_lines_never_fall(self):
        for part in ("aggregated", "parent"):
            check_counters_rise(self, [line[part] for line in self.lines])
