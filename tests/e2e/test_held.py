"""A process that keeps its own mmap lock taken, on which whoever reads its command line or its
mappings waits: nobody else may wait for it."""

import os
import subprocess
import tempfile
import unittest

from harness import (Collectd, Workload, bpf_only, line_time, measures, need, program, rule,
                     wait_until, work_folder)

# Seconds, for the sake of a busy machine. A tick that waits takes as long as the lock is held.
LONGEST_TICK = 1


def can_serve_files():
    return os.access("/dev/fuse", os.R_OK | os.W_OK)


@measures
class Held(unittest.TestCase):
    denet = ""

    def setUp(self):
        need(self, can_serve_files(), "/dev/fuse")
        folder = tempfile.mkdtemp(dir=work_folder())
        self.held = Workload("held", folder)
        self.addCleanup(self.held.close)
        self.pid = int(self.held.answer.split()[1])
        self.held_file = f"{folder}/file"
        self.sleeper = Workload("sleeper")
        self.addCleanup(self.sleeper.close)

    def rules(self):
        return (self.denet + rule("by-line", 'CommandLine "^holder "') +
                rule("by-file", f'Executable "{program("held")}"', "Children false") +
                rule("other", f'CommandLine "^{program("sleeper")}"'))

    def start(self):
        collectd = Collectd(self.rules(), interval=0.5).start()
        self.addCleanup(collectd.close)
        return collectd

    def check_that_it_is_held(self):
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(["cat", f"/proc/{self.pid}/cmdline"], stdout=subprocess.DEVNULL,
                           timeout=0.3)

    def longest_gap(self, collectd):
        times = [line_time(line) for line in collectd.samples_of(self.sleeper.pid)]
        return max(b - a for a, b in zip(times, times[1:])) / 1000

    def commands(self, collectd):
        return [line["cmd"] for line in collectd.lines_of(self.pid, "by-file")
                if line["kind"] == "metadata"]

    def test_no_tick_waits_and_it_is_known_once_it_lets_go(self):
        collectd = self.start()
        collectd.wait_for_values("other", "ps_count", count=8)
        self.check_that_it_is_held()
        # What the lock does not guard is known of it meanwhile.
        self.assertEqual(collectd.latest("by-file", "ps_count")[0], 2)
        self.assertEqual(collectd.latest("by-line", "ps_count")[0], 0)
        longest = max(value.numbers[0] for value in collectd.values("_self", "duration-tick"))
        self.assertLess(longest, LONGEST_TICK)
        self.assertLess(self.longest_gap(collectd), 1 + LONGEST_TICK)
        self.held.ask("go")
        wait_until(lambda: collectd.latest("by-line", "ps_count")[0] == 1, "its rule")
        wait_until(lambda: self.commands(collectd) == [[], ["holder", self.held_file]],
                   "a part that has the command line")
        self.assertEqual(collectd.complaints(), [])

    def test_the_end_does_not_wait_either(self):
        collectd = self.start()
        collectd.wait_for_values("other", "ps_count", count=2)
        began = os.times().elapsed
        self.assertEqual(collectd.stop(), 0)
        self.assertLess(os.times().elapsed - began, 8)
        self.check_that_it_is_held()


@bpf_only
class HeldWithStacks(Held):
    denet = 'OffCPU "stacks"\n'
