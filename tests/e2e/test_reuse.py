"""Another process gets the pid of one that has ended: the key of a process is (pid, start time)."""

import time
import unittest
from pathlib import Path

from harness import Collectd, Workload, alone, program_rule, read_lines, wait_until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def start_as(pid):
    """Starts a workload with that pid; None if another process gets it or this is not permitted."""
    for _ in range(20):
        try:
            LAST_PID.write_text(str(pid - 1))
        except OSError:
            return None
        workload = Workload("sleeper", environment={b"SLEEPER_MIB": b"2"})
        if workload.pid == pid:
            return workload
        workload.close()
    return None


@alone
class PidReuse(unittest.TestCase):
    def test_a_reused_pid_starts_a_new_series(self):
        first = self.enterContext(Workload("sleeper", environment={b"SLEEPER_MIB": b"30"}))
        rules = program_rule("a", "sleeper", "Children false")
        collectd = self.enterContext(Collectd(
            "BaseInterval 1\nMaxInterval 1\nSinceProcessStart true\n" + rules, "FlushInterval 0.1\n"))
        collectd.wait_for_lines(first.pid, count=2)
        collectd.wait_for_values("a", "ps_count", after=time.time())  # just after a tick
        first.kill()
        second = start_as(first.pid)
        if not second:
            self.skipTest("this pid cannot be had again")
        self.addCleanup(second.close)
        wait_until(lambda: len(collectd.files()) == 2 and
                   collectd.latest("a", "derive-exits") == [1], "both processes")
        collectd.wait_for_values("a", "ps_count", count=2, after=time.time())
        old, new = (read_lines(path) for path in
                    sorted(collectd.files(), key=lambda path: path.stat().st_mtime))
        self.assertLess(old[0]["t0_ms"], new[0]["t0_ms"])
        # The first touched 30 MiB, the second 2 MiB.
        self.assertGreater(old[-1]["page_faults_cached"], new[-1]["page_faults_cached"])
        self.assertLess(new[-1]["mem_rss_kb"], 20 * 1024)
        self.assertEqual(collectd.latest("a", "ps_count"), [1, 1])
        self.assertEqual(collectd.latest("a", "derive-exits"), [1])
        series = [value.numbers[0] for value in collectd.values("a", "ps_pagefaults")]
        for before, after in zip(series, series[1:]):
            self.assertIn(after - before, range(5000))
