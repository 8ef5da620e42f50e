"""A process keeps a lock of its own, on which every read of its command line, mappings or executable
stalls. Such a stall must not delay a tick."""

import os
import subprocess
import tempfile
import time
import unittest

from harness import (Collectd, Workload, alone, bpf_only, measures, need, procfs_only, program,
                     program_rule, rule, wait_until, work_folder)

LONGEST_TICK = 4  # seconds: a machine that stalls needs some; a tick that stalls would not end


def can_serve_files():
    return os.access("/dev/fuse", os.R_OK | os.W_OK)


@measures
class Stalled(unittest.TestCase):
    denet = ""
    mode = ()
    guarded = "cmdline"

    def hold(self):
        """Starts a process that stalls reads."""
        need(self, can_serve_files(), "/dev/fuse")
        folder = tempfile.mkdtemp(dir=work_folder())
        self.held = self.enterContext(Workload("held", folder, *self.mode))
        self.pid = int(self.held.answer.split()[1])
        self.held_file = f"{folder}/file"

    def check_that_it_stalls(self):
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(["cp", "-P", f"/proc/{self.pid}/{self.guarded}",
                            tempfile.mktemp(dir=work_folder())], timeout=0.3)

    def commands(self, collectd):
        return [line["cmd"] for line in collectd.lines_of(self.pid, "by-file")
                if line["kind"] == "metadata"]

    def test_no_tick_is_late_the_process_is_known_after_the_stall_and_the_end_does_not_wait(self):
        self.hold()
        sleeper = self.enterContext(Workload("sleeper"))
        collectd = self.enterContext(Collectd(
            self.denet + rule("by-line", 'CommandLine "^holder "') +
            program_rule("by-file", "held", "Children false") +
            rule("other", f'CommandLine "^{program("sleeper")}"'), interval=0.5))
        collectd.wait_for_values("other", "ps_count", count=8)
        self.check_that_it_stalls()
        self.check_during_the_stall(collectd)
        ticks = [value.numbers[0] for value in collectd.values("_self", "duration-tick")]
        self.assertLess(max(ticks), LONGEST_TICK)
        times = [line["ts_ms"] for line in collectd.samples_of(sleeper.pid)]
        self.assertLess(max(b - a for a, b in zip(times, times[1:])), 1000 * (1 + LONGEST_TICK))
        self.held.ask("go")
        wait_until(lambda: collectd.latest("by-line", "ps_count")[0] == 1, "its rule")
        self.check_after_the_stall(collectd)
        self.assertEqual(collectd.complaints(), [])

        count = len(collectd.values("other", "ps_count"))
        self.hold()
        collectd.wait_for_values("other", "ps_count", count=count + 3)
        began = os.times().elapsed
        self.assertEqual(collectd.stop(), 0)
        self.assertLess(os.times().elapsed - began, 8)
        self.check_that_it_stalls()

    def check_during_the_stall(self, collectd):
        """Rules that need none of the locked files match."""
        self.assertEqual(collectd.latest("by-file", "ps_count")[0], 2)
        self.assertEqual(collectd.latest("by-line", "ps_count")[0], 0)

    def check_after_the_stall(self, collectd):
        wait_until(lambda: self.commands(collectd) == [[], ["holder", self.held_file]],
                   "a segment with the command line")


@bpf_only
class StalledWithStacks(Stalled):
    denet = 'OffCPU "stacks"\n'


class StalledInExec(Stalled):
    """During an exec the executable cannot be read, and there are no arguments."""

    mode = ("exec",)
    guarded = "exe"

    def check_during_the_stall(self, collectd):
        self.assertEqual(collectd.latest("by-file", "ps_count")[0], 1)
        self.assertEqual(collectd.latest("by-line", "ps_count")[0], 0)

    def check_after_the_stall(self, collectd):
        wait_until(lambda: collectd.latest("by-file", "ps_count")[0] == 2, "its program")
        wait_until(lambda: self.commands(collectd) == [["holder", self.held_file, "is through"]],
                   "its file")


@bpf_only
class StalledInExecWithStacks(StalledInExec):
    denet = 'OffCPU "stacks"\n'


@alone
@procfs_only
class StalledInExecByMany(unittest.TestCase):
    """As many processes stall as threads may be left behind. Reads of one more stall the tick; the
    log says so, and collectd does not wait."""

    threads = 64

    def setUp(self):
        need(self, can_serve_files(), "/dev/fuse")
        self.enterContext(Workload("sleeper"))
        self.collectd = self.enterContext(Collectd(
            rule("me", f'CommandLine "^{program("sleeper")}"'), interval=0.5))
        self.held = [self.hold() for _ in range(self.threads)]
        self.collectd.wait_for_values("me", "ps_count", count=3, after=time.time())
        self.assertEqual(self.collectd.complaints(), [])
        self.held += [self.hold(), self.hold()]
        self.collectd.wait_for_log("does not come to an end")

    def hold(self):
        folder = tempfile.mkdtemp(dir=work_folder())
        return self.enterContext(Workload("held", folder, "exec"))

    def test_the_log_says_so_and_ticks_go_on_after_the_stalls(self):
        for held in self.held:
            held.ask("go")
        self.collectd.wait_for_log("sampling goes on")
        ours = [line for line in self.collectd.complaints() if "denet plugin: " in line]
        self.assertEqual(len(ours), 1)
        self.collectd.wait_for_values("me", "ps_count", after=time.time())

    def test_the_end_does_not_wait(self):
        self.assertEqual(self.collectd.stop(), 0)
        self.assertIn("there are no last samples", self.collectd.complaints()[-1])
