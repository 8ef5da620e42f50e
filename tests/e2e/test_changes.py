"""Processes that match a rule only later, or no longer, while they run."""

import subprocess
import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, check_counters_rise, program, program_rule, read_lines,
                     rule, wait_until)

BUSY_BEFORE = 3  # seconds


class LateMatch(unittest.TestCase):
    """A loop is busy for BUSY_BEFORE seconds, takes the name of a rule, and another one later."""

    NAME = "e2e-late"
    option = ""

    @classmethod
    def setUpClass(cls):
        cls.busy = cls.enterClassContext(Workload("busy"))
        cls.collectd = cls.enterClassContext(Collectd(
            cls.option + program_rule("late", "busy", f'Comm "{cls.NAME}"', "Children false") +
            program_rule("all", "busy"), interval=0.5))
        cls.collectd.wait_for_values("late", "ps_count")
        time.sleep(BUSY_BEFORE)
        cls.renamed = time.time()
        cls.busy.ask(f"rename {cls.NAME}")
        cls.collectd.wait_for_values("late", "gauge-cpu_percent", after=cls.renamed + 2)
        cls.collectd.wait_for_lines(cls.busy.pid, count=3, instance="late")
        cls.first = cls.collectd.samples_of(cls.busy.pid, "all")[0]["parent"]

    def check_cpu_since_the_match(self):
        for value in self.collectd.values("late", "ps_cputime"):
            self.assertLess(sum(value.numbers) / 1e6, max(0, value.time - self.renamed) + 0.1)

    def test_a_renamed_process_shows_no_jump(self):
        counts = [value.numbers[0] for value in self.collectd.values("late", "ps_count")]
        self.assertEqual((counts[0], max(counts)), (0, 1))
        self.check_cpu_since_the_match()
        # BUSY_BEFORE in an interval of at most a second would be 300 %.
        for gauge in ("gauge-cpu_percent", "gauge-cpu_percent_max"):
            for value in self.collectd.values("late", gauge):
                self.assertLess(value.numbers[0], 200)
        for line in self.collectd.samples_of(self.busy.pid, "late"):
            self.assertLess(line["cpu_usage"], 200)
            self.assertGreater(line["ts_ms"], self.renamed * 1e3 - 50)

    def test_an_older_process_counts_from_when_it_was_first_seen(self):
        for key in ("page_faults_cached", "syscall_read_bytes", "ctx_switches_voluntary",
                    "sys_net_rx_bytes", "run_delay_ns"):
            self.assertEqual(self.first[key], 0, key)

    def test_counters_of_a_process_that_leaves_the_rule_stay(self):
        self.busy.ask("rename other")
        wait_until(lambda: self.collectd.latest("late", "ps_count") == [0, 0], "no member")
        before = self.collectd.latest("late", "ps_cputime")
        self.assertGreater(sum(before), 50_000)
        self.collectd.wait_for_values("late", "ps_cputime", after=time.time() + 1.2)
        count = len(self.collectd.samples_of(self.busy.pid, "late"))
        self.collectd.wait_for_values("late", "ps_cputime", after=time.time() + 1.2)
        self.assertEqual(self.collectd.latest("late", "ps_cputime"), before)
        self.assertEqual(self.collectd.latest("all", "ps_count"), [1, 2])
        self.assertEqual(len(self.collectd.samples_of(self.busy.pid, "late")), count)


class LateMatchSinceProcessStart(LateMatch):
    option = "SinceProcessStart true\n"

    def test_an_older_process_counts_from_when_it_was_first_seen(self):
        """Its lines count since its start; the values of its group do not."""
        self.assertGreater(self.first["page_faults_cached"], 10)
        self.assertLess(self.collectd.values("all", "ps_pagefaults")[0].numbers[0], 10)

    def test_counters_of_a_process_that_leaves_the_rule_stay(self):
        self.check_cpu_since_the_match()


class Exec(unittest.TestCase):
    def test_an_exec_into_a_rule_is_found_and_within_a_rule_begins_a_segment(self):
        """A shell execs the sleeper on request. Another rule has its pid."""
        shell = self.enterContext(subprocess.Popen(
            ["/bin/sh", "-c", 'read word; exec "$0" after-exec', program("sleeper")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
        self.addCleanup(shell.kill)
        pid_file = Path(program("sleeper")).parent.parent / "exec.pid"
        pid_file.write_text(str(shell.pid))
        collectd = self.enterContext(Collectd(
            rule("within", f'PidFile "{pid_file}"') + program_rule("into", "sleeper"),
            interval=0.5))
        collectd.wait_for_lines(shell.pid, count=2, instance="within")
        collectd.wait_for_values("into", "ps_count")
        self.assertEqual(collectd.latest("into", "ps_count"), [0, 0])
        shell.stdin.write(b"now\n")
        self.assertEqual(shell.stdout.readline(), b"ready\n")
        collectd.wait_for_lines(shell.pid, instance="into")
        wait_until(lambda: len(collectd.pids_of_files("within")) == 2, "a second segment")
        self.assertEqual(len(collectd.pids_of_files("into")), 1)
        into, old, new = (read_lines(path)[0] for path in collectd.files())
        self.assertEqual(old["cmd"][:2], ["/bin/sh", "-c"])
        for metadata in (into, new):
            self.assertEqual(metadata["cmd"], [program("sleeper"), "after-exec"])
            self.assertEqual(metadata["executable"], program("sleeper"))
        self.assertEqual(old["t0_ms"], new["t0_ms"])
        lines = collectd.wait_for_lines(shell.pid, count=4, instance="within")
        check_counters_rise(self, [line["aggregated"] for line in lines])
        self.assertEqual(collectd.latest("within", "derive-exits"), [0])
