"""Another process gets the pid of one that has ended: the key of a process is (pid, start time)."""

import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, alone, program_rule, read_lines, rule, wait_until,
                     work_folder)

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

    def test_a_pid_file_that_a_killed_daemon_left_does_not_name_the_next_process(self):
        daemon = self.enterContext(Workload("sleeper"))
        path = work_folder() / "killed.pid"
        path.write_text(f"{daemon.pid}\n")
        rules = rule("service", f'PidFile "{path}"')
        with Collectd(rules, interval=0.5) as collectd:
            collectd.wait_for_lines(daemon.pid)
            daemon.kill()
            collectd.wait_for_log(f"there is no process {daemon.pid}")
            time.sleep(1)  # as exact as the comparison is
            other = start_as(daemon.pid)
            if not other:
                self.skipTest("this pid cannot be had again")
            self.addCleanup(other.close)
            collectd.wait_for_log("another program has got the pid")
            self.assertEqual(collectd.latest("service", "ps_count"), [0, 0])
            self.assertEqual(collectd.latest("service", "derive-starts"), [0])
            path.write_text(f"{other.pid}\n")
            wait_until(lambda: collectd.latest("service", "ps_count") == [1, 1], "the new daemon")
