"""A pid that another process gets: (pid, start time) is who a process is."""

import time
import unittest
from pathlib import Path

from harness import Collectd, Workload, alone, program, read_lines, rule

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def start_as(pid):
    """A workload with that pid, or None when others were faster or it is not allowed."""
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
        rules = rule("a", f'Executable "{program("sleeper")}"', "Children false")
        collectd = self.enterContext(Collectd(
            "BaseInterval 1\nMaxInterval 1\nSinceProcessStart true\n" + rules))
        collectd.wait_for_lines(first.pid, count=2)
        collectd.wait_for_values("a", "ps_count", after=time.time())  # just after a tick
        first.kill()
        second = start_as(first.pid)
        if not second:
            self.skipTest("this pid cannot be had again")
        self.addCleanup(second.close)
        collectd.wait_for_values("a", "ps_count", count=3, after=time.time())
        collectd.wait_for_values("a", "ps_count", after=time.time() + 2)
        files = sorted(collectd.files(), key=lambda path: path.stat().st_mtime)
        self.assertEqual(len(files), 2)
        old, new = (read_lines(path) for path in files)
        self.assertLess(old[0]["t0_ms"], new[0]["t0_ms"])
        # 30 MiB were touched by the first, 2 MiB by the second.
        self.assertGreater(old[-1]["page_faults_cached"], new[-1]["page_faults_cached"])
        self.assertLess(new[-1]["mem_rss_kb"], 20 * 1024)
        self.assertEqual(collectd.latest("a", "ps_count"), [1, 1])
        self.assertEqual(collectd.latest("a", "derive-exits"), [1])
        series = collectd.values("a", "ps_pagefaults")
        for before, after in zip(series, series[1:]):
            self.assertGreaterEqual(after.numbers[0], before.numbers[0])
            self.assertLess(after.numbers[0] - before.numbers[0], 5000)
