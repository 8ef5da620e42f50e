"""A process that keeps a lock of its own taken, on which whoever reads its command line, its
mappings or its executable waits: nobody else may wait for it."""

import os
import subprocess
import tempfile
import time
import unittest

from harness import (Collectd, Workload, alone, bpf_only, line_time, measures, need, program, rule,
                     procfs_only, wait_until, work_folder)

# Seconds, for the sake of a busy machine. A tick that waits takes as long as the lock is held.
LONGEST_TICK = 1


def can_serve_files():
    return os.access("/dev/fuse", os.R_OK | os.W_OK)


@measures
class Held(unittest.TestCase):
    denet = ""
    mode = ()
    guarded = "cmdline"

    def setUp(self):
        need(self, can_serve_files(), "/dev/fuse")
        folder = tempfile.mkdtemp(dir=work_folder())
        self.held = Workload("held", folder, *self.mode)
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
            subprocess.run(["cp", "-P", f"/proc/{self.pid}/{self.guarded}",
                            tempfile.mktemp(dir=work_folder())], timeout=0.3)

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
        self.check_what_is_known(collectd)
        longest = max(value.numbers[0] for value in collectd.values("_self", "duration-tick"))
        self.assertLess(longest, LONGEST_TICK)
        self.assertLess(self.longest_gap(collectd), 1 + LONGEST_TICK)
        self.held.ask("go")
        wait_until(lambda: collectd.latest("by-line", "ps_count")[0] == 1, "its rule")
        self.check_what_came_to_be_known(collectd)
        self.assertEqual(collectd.complaints(), [])

    def check_what_is_known(self, collectd):
        """What the lock does not guard is known of it meanwhile."""
        self.assertEqual(collectd.latest("by-file", "ps_count")[0], 2)
        self.assertEqual(collectd.latest("by-line", "ps_count")[0], 0)

    def check_what_came_to_be_known(self, collectd):
        wait_until(lambda: self.commands(collectd) == [[], ["holder", self.held_file]],
                   "a part that has the command line")

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


class HeldInExec(Held):
    """In the middle of an exec: which program it runs cannot be read, and it has no arguments."""

    mode = ("exec",)
    guarded = "exe"

    def check_what_is_known(self, collectd):
        self.assertEqual(collectd.latest("by-file", "ps_count")[0], 1)
        self.assertEqual(collectd.latest("by-line", "ps_count")[0], 0)

    def check_what_came_to_be_known(self, collectd):
        wait_until(lambda: collectd.latest("by-file", "ps_count")[0] == 2, "its program")
        wait_until(lambda: self.commands(collectd) == [["holder", self.held_file, "is through"]],
                   "its file")


@bpf_only
class HeldInExecWithStacks(HeldInExec):
    denet = 'OffCPU "stacks"\n'


@alone
@procfs_only
class HeldInExecByMany(unittest.TestCase):
    """As many as there are readers for are left behind. One more holds up whoever looks at it, but
    that is said, and collectd does not wait."""

    readers = 64

    def setUp(self):
        need(self, can_serve_files(), "/dev/fuse")
        self.sleeper = Workload("sleeper")
        self.addCleanup(self.sleeper.close)
        self.collectd = Collectd(rule("me", f'CommandLine "^{program("sleeper")}"'),
                                 interval=0.5).start()
        self.addCleanup(self.collectd.close)
        self.held = [self.hold() for _ in range(self.readers)]
        self.collectd.wait_for_values("me", "ps_count", count=3, after=time.time())
        self.assertEqual(self.collectd.complaints(), [])
        self.held += [self.hold(), self.hold()]
        self.collectd.wait_for_log("does not come to an end")

    def hold(self):
        held = Workload("held", tempfile.mkdtemp(dir=work_folder()), "exec")
        self.addCleanup(held.close)
        return held

    def test_it_is_said_and_goes_on_once_they_let_go(self):
        for held in self.held:
            held.ask("go")
        self.collectd.wait_for_log("sampling goes on")
        ours = [line for line in self.collectd.complaints() if "denet plugin: " in line]
        self.assertEqual(len(ours), 1)
        self.collectd.wait_for_values("me", "ps_count", after=time.time())

    def test_the_end_does_not_wait(self):
        self.assertEqual(self.collectd.stop(), 0)
        self.assertIn("there are no last samples", self.collectd.complaints()[-1])
