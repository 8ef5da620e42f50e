"""Former bugs: hosts that are too slow, too full or too quick."""

import os
import resource
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, check_counters_rise, check_series_rise, every, measures,
                     native_only, now_ms, procfs_only, program_rule, rule, wait_until)



@measures
@native_only
class TooManyToSample(unittest.TestCase):
    """More processes than can be sampled within the configured interval."""

    COUNT = 1500

    def test_reports_go_on_and_the_end_is_prompt(self):
        sleepers = self.enterContext(subprocess.Popen(
            ["/bin/sh", "-c", f"i=0; while [ $i -lt {self.COUNT} ]; do sleep 300 & i=$((i+1));"
             " done; echo ready; wait"], stdout=subprocess.PIPE, start_new_session=True))
        self.addCleanup(os.killpg, sleepers.pid, signal.SIGKILL)
        self.assertEqual(sleepers.stdout.readline(), b"ready\n")
        with Collectd(every(0.01) + rule("herd", 'Comm "sleep"', "Children false"),
                      "MaxTotalSize 200\n") as collectd:
            collectd.wait_for_values("herd", "ps_count", timeout=30)
            start = time.time()
            time.sleep(5)  # the reports of this time are tested
            end = time.time()
            times = [value.time for value in collectd.values("herd", "ps_count")
                     if start <= value.time <= end]
            self.assertGreaterEqual(len(times), 3)
            gaps = [b - a for a, b in zip(times, times[1:])]
            self.assertLess(max(gaps), 2.5)
            self.assertGreaterEqual(collectd.latest("herd", "ps_count")[0], self.COUNT)
            start = time.monotonic()
            self.assertEqual(collectd.stop(), 0)
            self.assertLess(time.monotonic() - start, 5)


@measures
class OutOfFiles(unittest.TestCase):
    """For a while collectd cannot open files: a process that cannot be read has not ended."""

    BUSY_BEFORE = 3  # seconds, which must not appear as a jump

    @classmethod
    def setUpClass(cls):
        cls.busy = cls.enterClassContext(Workload("busy"))
        time.sleep(cls.BUSY_BEFORE)
        cls.collectd = cls.enterClassContext(Collectd(program_rule("busy", "busy"), interval=0.5))
        cls.collectd.wait_for_values("busy", "ps_cputime", count=3)
        before = resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            time.sleep(1.5)
        finally:
            resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE, before)
        cls.back = time.time()
        cls.collectd.wait_for_values("busy", "ps_cputime", count=3, after=cls.back)
        cls.collectd.wait_for_lines(cls.busy.pid, count=2, after_ms=cls.back * 1e3)

    def test_cpu_time_does_not_jump(self):
        """The CPU clock needs no descriptor: one thread never shows more than the time it had."""
        values = self.collectd.values("busy", "ps_cputime")
        for before, after in zip(values, values[1:]):
            used = (sum(after.numbers) - sum(before.numbers)) / 1e6
            self.assertGreaterEqual(used, 0)
            self.assertLessEqual(used, 1.2 * (after.time - before.time) + 0.1)
        for value in self.collectd.values("busy", "gauge-cpu_percent"):
            self.assertLessEqual(value.numbers[0], 130)

    def test_cpu_time_of_the_meantime_is_not_lost(self):
        values = self.collectd.values("busy", "ps_cputime")
        used = (sum(values[-1].numbers) - sum(values[0].numbers)) / 1e6
        self.assertGreater(used, (values[-1].time - values[0].time) * 0.5)

    def test_nothing_has_ended_or_started_and_the_file_has_no_end(self):
        for what, numbers in (("derive-exits", [0]), ("derive-starts", [0]), ("ps_count", [1, 2])):
            self.assertEqual(self.collectd.latest("busy", what), numbers)
        self.assertEqual(self.collectd.pids_of_files("busy"), [self.busy.pid])
        lines = self.collectd.lines_of(self.busy.pid)
        self.assertEqual([line["kind"] for line in lines],
                         ["metadata"] + ["tree"] * (len(lines) - 1))
        self.assertFalse([line for line in lines if "exit" in line])
        self.assertTrue(all(line["parent"] for line in lines[1:]))


@measures
@procfs_only
class LongCommandLines(unittest.TestCase):
    def test_a_regex_over_a_long_command_line_does_not_stall(self):
        with Collectd(rule("java", 'CommandLine "java.*-Dapp"')) as collectd:
            collectd.wait_ready()
            # 30,000 possible starts; a naive search reads from each to the end.
            with Workload("sleeper", "java" * 30_000) as workload:
                born = time.time()
                collectd.wait_for_values("_self", "duration-tick", count=3, after=born, timeout=60)
                # It is looked at again when it is 1 s and 10 s old.
                collectd.wait_for_values("_self", "duration-tick", after=born + 11.5, timeout=60)
                self.assertEqual(collectd.lines_of(workload.pid), [])
            # Such a search would delay several ticks; a machine that stalls may delay one.
            ticks = sorted(value.numbers[0] for value in collectd.values("_self", "duration-tick"))
            self.assertLess(ticks[-2], 1)


class Reentry(unittest.TestCase):
    """A root stops matching while its child lives on, and matches again. Lines count since its start,
    groups do not. Other settings, and a root without children, are in tests/scenarios."""

    BEFORE = 50_000_000  # bytes that it wrote before collectd started

    def wait_for_tree(self, members):
        """Waits until the group has so many, and returns lines from some time after that."""
        wait_until(lambda: self.collectd.latest("a", "ps_count") == [members, members],
                   f"{members} members")
        return self.collectd.wait_for_lines(self.writer.pid, count=4, after_ms=now_ms() + 500)[-3:]

    def test_the_tree_goes_on_in_its_file(self):
        self.writer = self.enterContext(Workload("sleeper"))
        for words in ("name e2e-reenter", f"write {self.BEFORE}"):
            self.writer.ask(words)
        child = int(self.writer.ask("child"))
        self.collectd = self.enterContext(Collectd(
            every(0.2) + "SinceProcessStart true\n" + rule("a", 'Comm "e2e-reenter"'),
            "FlushInterval 0.1\n", interval=0.5))
        self.wait_for_tree(2)
        self.writer.ask("write 3000000")
        self.writer.ask("name other")
        alone = self.wait_for_tree(1)
        self.writer.ask("name e2e-reenter")
        together = self.wait_for_tree(2)
        self.writer.ask("write 2000000")
        last = self.wait_for_tree(2)[-1]["aggregated"]
        for lines, is_whole in ((alone, False), (together, True)):
            for line in lines:
                self.assertEqual(line["parent"] is not None, is_whole)
                self.assertEqual([entry["pid"] for entry in line["children"]], [child])
        self.assertEqual(self.collectd.pids_of_files("a"), [self.writer.pid])
        totals = [line["aggregated"] for line in self.collectd.samples_of(self.writer.pid, "a")]
        check_counters_rise(self, totals)
        # The root's own writes, and the child's few bytes.
        self.assertGreaterEqual(totals[0]["syscall_write_bytes"], self.BEFORE)
        written = last["syscall_write_bytes"] - self.BEFORE
        self.assertTrue(5_000_000 <= written < 7_000_000, written)
        self.assertTrue(5_000_000 < self.collectd.latest("a", "io_octets")[1] < 7_000_000)
        self.assertEqual(self.collectd.complaints(), [])


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "nsenter"))),
                     "needs root, ip, unshare and nsenter")
class ManyInterfaces(unittest.TestCase):
    PAIRS = 80
    # The kernel returns net/dev in pieces of a page: the interface must be behind the first.
    SETUP = f"""for i in $(seq {PAIRS}); do
                  ip link add den$i type veth peer name peer$i || exit 9
                  ip link set den$i up; ip link set peer$i up; done
                ip addr add 10.97.0.1/24 dev den{PAIRS} &&
                ip neigh add 10.97.0.2 lladdr 02:00:00:00:00:01 dev den{PAIRS} &&
                exec "$@" """
    SEND = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for _ in range(200): s.sendto(b'x' * 1000, ('10.97.0.2', 9))")

    def test_traffic_of_the_last_interface_counts(self):
        try:
            workload = self.enterContext(Workload(
                "sleeper", prefix=["unshare", "-n", "sh", "-c", self.SETUP, "sh"]))
        except AssertionError as error:
            self.skipTest(f"no interfaces can be made here: {error}")
        table = Path(f"/proc/{workload.pid}/net/dev").read_text()
        self.assertGreater(table.index(f"den{self.PAIRS}:"), 8192)
        collectd = self.enterContext(Collectd(
            every(0.2) + program_rule("a", "sleeper", "Children false"), "FlushInterval 0.1\n"))
        before = collectd.wait_for_lines(workload.pid, count=2)[-1]
        subprocess.run(["nsenter", "-n", "-t", str(workload.pid), shutil.which("python3"), "-c",
                        self.SEND], check=True)
        after = collectd.wait_for_lines(workload.pid, count=2, after_ms=now_ms() + 300)[-1]
        sent = after["sys_net_tx_bytes"] - before["sys_net_tx_bytes"]
        self.assertGreaterEqual(sent, 200_000)
        self.assertLess(sent, 300_000)


class SlotsAtOnce(unittest.TestCase):
    """With children and without."""

    RULES = {"worker": ["Children false"], "tree": []}

    def start_two(self):
        return [self.enterContext(Workload("sleeper", argv0="e2e-worker")) for _ in range(2)]

    def test_workers_that_are_replaced_between_two_looks_get_their_slots(self):
        slots = [f"{name}-{slot}" for name in self.RULES for slot in (0, 1)]
        rules = "".join(program_rule(name, "sleeper", 'CommandLine "^e2e-worker"',
                                     f'Instance "{name}-%{{slot}}"', "MaxInstances 2", *lines)
                        for name, lines in self.RULES.items())
        old = self.start_two()
        collectd = self.enterContext(Collectd(every(1) + rules))
        for slot in slots:
            collectd.wait_for_values(slot, "ps_count", count=2)
        for worker in old:
            collectd.wait_for_lines(worker.pid, count=4)  # two of each rule
        collectd.wait_for_values(slots[-1], "ps_count", after=time.time())  # just after a tick
        for worker in old:
            worker.close()
        new = self.start_two()
        for worker in new:
            collectd.wait_for_lines(worker.pid, count=4)
        collectd.wait_for_values(slots[-1], "ps_count", count=3, after=time.time())
        self.assertEqual(collectd.instances(), set(slots))
        for slot in slots:
            # A process whose command line came late has two segments.
            pids = set(collectd.pids_of_files(slot))
            self.assertEqual([len(pids & {worker.pid for worker in workers})
                              for workers in (old, new)], [1, 1], pids)
            self.assertEqual(len(pids), 2)
            self.assertEqual(collectd.latest(slot, "ps_count"), [1, 1])
            self.assertEqual(collectd.latest(slot, "derive-exits"), [1])
            check_series_rise(self, collectd, slot, "ps_cputime")
