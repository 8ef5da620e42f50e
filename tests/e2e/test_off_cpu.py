"""Blocked time: as much as the programs themselves know, for the reason that they know, while it
goes on; and with CPU time and the wait for a CPU it is the age of every thread."""

import functools
import json
import tempfile
import time
import unittest
from pathlib import Path

from blocking import (ON_DISK, REASON_OF, REASONS, blocked, blocker_rule, data_file, increase,
                      last_cpu, off_cpu, start, time_in_stacks, time_not_sampled, wall_ns)
from harness import (Workload, bpf_only, measures, native_only, now_ms, program_rule, source_in_use,
                     wait_until)


def for_each_program(test):
    """Calls the test with the kind, the truth and the lines of each program."""
    @functools.wraps(test)
    def run(self):
        for kind, truth in self.truth.items():
            with self.subTest(kind=kind):
                test(self, kind, truth, self.lines[kind])
    return run


@measures
class EveryWayToBlock(unittest.TestCase):
    """Each program blocks in one way for 90 % of its time, and knows for how long."""

    MODE = "times"
    SECONDS = 5

    @classmethod
    def setUpClass(cls):
        # Not /tmp, which may be memory.
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        data = {kind: data_file(folder, kind) for kind in ON_DISK}
        rules = "".join(blocker_rule(kind, kind) for kind in REASON_OF)
        cls.collectd = start(cls, cls.MODE, rules, interval=0.5)
        cls.collectd.wait_ready()
        programs = {}
        for kind in REASON_OF:
            # A child takes its time to begin and to end.
            turn = ["90", "10"] if kind == "child" else ["9", "1"]
            programs[kind] = cls.enterClassContext(
                Workload("blocker", kind, *turn, *filter(None, [data.get(kind)])))
        time.sleep(cls.SECONDS)  # this is what is measured
        cls.truth, cls.lines = {}, {}
        for kind, workload in programs.items():
            cls.stop(kind, workload)
        cls.collectd.wait_for_values("fault", "ps_count", count=2, after=time.time())

    @classmethod
    def stop(cls, kind, workload):
        """The lines of a program up to one after it has blocked for the last time."""
        cls.truth[kind] = json.loads(workload.ask("stop"))
        cls.collectd.wait_for_lines(workload.pid, count=2, after_ms=now_ms())
        workload.end()
        if source_in_use() == "bpf":  # /proc does not say how it ended
            wait_until(lambda: any("exit" in line
                                   for line in cls.collectd.samples_of(workload.pid)),
                       f"the end of {kind}")
        cls.lines[kind] = cls.collectd.samples_of(workload.pid)

    def assert_near(self, value, truth, share=None):
        """With /proc a wait for a CPU that still goes on looks like a block, if the CPUs are busy."""
        share = share or (0.01 if source_in_use() == "bpf" else 0.03)
        self.assertAlmostEqual(value / truth, 1, delta=share, msg=f"{value} of {truth}")

    @for_each_program
    def test_the_program_blocked_as_it_was_told(self, kind, truth, _):
        """The disks of some sandboxes are too fast for it."""
        self.assertGreater(truth["waits"], 10)
        share = truth["blocked_ns"] / (truth["blocked_ns"] + truth["cpu_ns"])
        self.assertGreater(share, 0.2 if kind in ON_DISK else 0.8)

    @for_each_program
    def test_the_blocked_time_never_falls_and_is_what_the_program_knows(self, kind, truth, lines):
        """Of the process and of its group."""
        times = [line["off_cpu_ns"] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assert_near(times[-1], truth["blocked_ns"])
        if kind != "child":  # which is in its group too if it is seen before it execs
            in_ms, = self.collectd.latest(kind, "total_time_in_ms-offcpu")
            self.assert_near(in_ms * 1e6, truth["blocked_ns"])

    def test_there_were_no_complaints(self):
        self.assertEqual(self.collectd.complaints(), [])


@bpf_only
class EveryWayToBlockWithReasons(EveryWayToBlock):
    MODE = "stacks"

    @for_each_program
    def test_each_wait_has_its_reason_and_the_total_is_the_sum_of_them(self, kind, _, lines):
        for found in map(off_cpu, lines):
            self.assertLessEqual(set(found["by_reason"]), REASONS)
            self.assertEqual(found["total_time_ns"], sum(found["by_reason"].values()))
        reasons = off_cpu(lines[-1])["by_reason"]
        share = reasons.get(REASON_OF[kind], 0) / blocked(lines[-1])
        self.assertGreaterEqual(share, 0.95, reasons)

    @for_each_program
    def test_the_sum_of_the_waits_is_what_the_process_knows(self, _, truth, lines):
        # It is followed from the first look at it on.
        self.assert_near(increase(lines[1:], blocked), truth["blocked_ns"] - lines[1]["off_cpu_ns"])

    @for_each_program
    def test_count_mean_and_extremes_are_those_of_the_waits(self, kind, truth, lines):
        found = off_cpu(lines[-1])
        # Those before the first look are not in it.
        self.assertGreaterEqual(found["total_events"], 0.9 * truth["waits"])
        self.assertAlmostEqual(found["avg_time_ns"],
                               found["total_time_ns"] / found["total_events"], delta=1)
        bounds = [found[key] for key in ("min_time_ns", "avg_time_ns", "max_time_ns",
                                         "total_time_ns")]
        self.assertEqual(bounds, sorted(bounds))
        if kind == "nanosleep":
            self.assertGreaterEqual(found["max_time_ns"], 8.9e6)

    @for_each_program
    def test_its_only_thread_has_all_of_it(self, _, __, lines):
        for line in lines[1:-1]:
            found, pid = off_cpu(line), line["pid"]
            of_thread = found["thread_stats"][f"{pid}:{pid}"]
            self.assertEqual(of_thread["tid"], pid)
            # The one is read a moment after the other, while it goes on.
            self.assertAlmostEqual(of_thread["total_time_ns"], found["total_time_ns"], delta=25e6)
            self.assertAlmostEqual(of_thread["count"], found["total_events"], delta=50)
            self.assertEqual(of_thread["min_time_ns"], found["min_time_ns"])
            self.assertLessEqual(of_thread["max_time_ns"], found["max_time_ns"] + 25e6)

    def test_its_only_thread_is_the_one_that_blocks_most(self):
        line = self.lines["futex"][-2]
        top, = off_cpu(line)["top_blocking_threads"]
        self.assertEqual((top["pid"], top["tid"]), (line["pid"], line["pid"]))
        self.assertAlmostEqual(top["time_ms"], off_cpu(line)["total_time_ns"] / 1e6, delta=5)
        self.assertAlmostEqual(top["percentage"], 100, delta=0.1)

    @for_each_program
    def test_the_pipeline_has_every_reason_as_the_line_has_it(self, kind, _, lines):
        if kind == "child":
            return  # more than one of these may be in its group
        for reason, ns in off_cpu(lines[-1])["by_reason"].items():
            what = "total_time_in_ms-offcpu_" + reason
            found = self.collectd.latest(kind, what)
            self.assertIsNotNone(found, what)
            self.assertAlmostEqual(found[0], ns / 1e6, delta=2 + ns / 1e8, msg=what)

    @for_each_program
    def test_the_times_of_the_stacks_add_up_to_each_reason_and_nothing_was_lost(self, _, __, lines):
        found = off_cpu(lines[-1])
        for reason, ns in found["by_reason"].items():
            in_stacks = time_in_stacks(lines, reason)
            self.assertGreaterEqual(in_stacks, ns, reason)
            # Some stacks come after their time was written as not sampled.
            self.assertLess(in_stacks, 1.05 * ns + 50e6, reason)
        self.assertLess(time_not_sampled(lines), 0.15 * found["total_time_ns"])
        self.assertNotIn("lost", found)
        self.assertEqual(self.collectd.latest("_self", "derive-bpf_lost"), [0])


@measures
class StillGoingOn(unittest.TestCase):
    """A thread sleeps once, through the whole run."""

    MODE, OF_OLD = "times", ["off_cpu_ns"]

    @classmethod
    def setUpClass(cls):
        old = cls.enterClassContext(Workload("blocker", "sleeper"))
        time.sleep(0.5)  # it must be asleep when denet starts
        cls.collectd = start(cls, cls.MODE, blocker_rule("sleeper", "sleeper"))
        cls.collectd.wait_ready()
        new = cls.enterClassContext(Workload("blocker", "sleeper"))
        time.sleep(4)  # this is what is looked at
        cls.old, cls.new = (cls.collectd.samples_of(workload.pid) for workload in (old, new))
        cls.born_ms = cls.collectd.lines_of(new.pid)[0]["t0_ms"]

    def test_its_time_shows_at_every_sample(self):
        self.assertGreater(len(self.new), 10)
        # To begin takes some CPU time, and the time of its birth has 10 ms.
        self.check_most((line["off_cpu_ns"] + line["run_delay_ns"],
                         (line["ts_ms"] - self.born_ms) * 1e6) for line in self.new)

    def check_most(self, pairs):
        """Of (blocked ns, age in ns). A line has the time of its tick, its values are later if the
        machine stalls."""
        wrong = [(blocked_ns, age_ns) for blocked_ns, age_ns in pairs
                 if abs(blocked_ns - age_ns) > 25e6 + age_ns / 100]
        self.assertLess(len(wrong), 4, wrong)

    def test_one_that_slept_before_denet_was_there_too(self):
        for value in self.OF_OLD:
            self.check_most((increase([self.old[0], line], value), wall_ns([self.old[0], line]))
                            for line in self.old[1:])


@bpf_only
class StillGoingOnWithReasons(StillGoingOn):
    MODE, OF_OLD = "stacks", ["off_cpu_ns", blocked]

    def test_its_reason_shows_at_every_sample(self):
        self.check_most((increase(lines, lambda line: off_cpu(line)["by_reason"]["sleep"]),
                         wall_ns(lines)) for lines in ([self.new[1], line]
                                                       for line in self.new[2:]))

    def test_its_stack_shows_while_it_sleeps(self):
        for name, lines in (("old", self.old), ("new", self.new)):
            with self.subTest(sleeper=name):
                stacks = [stack for line in lines[2:] for stack in off_cpu(line)["stacks"]]
                in_main = sum(stack["time_ns"] for stack in stacks
                              if any(frame.partition(" (")[0] == "main"
                                     for frame in stack["frames"]))
                self.assertAlmostEqual(in_main / wall_ns(lines[1:]), 1, delta=0.1, msg=stacks[:3])

    def test_its_stack_is_not_unwound_again_and_again(self):
        worker, = [task for task in Path(f"/proc/{self.collectd.pid}/task").iterdir()
                   if (task / "comm").read_text() == "denet-stacks\n"]
        before = (worker / "schedstat").read_text().split()[0]
        time.sleep(2)  # this is what is measured
        after = (worker / "schedstat").read_text().split()[0]
        self.assertLess(int(after) - int(before), 10e6)


@measures
@native_only
class OneCpu(unittest.TestCase):
    """What waits for a CPU does not block."""

    MODE = "times"
    THREADS = 4

    @classmethod
    def setUpClass(cls):
        cls.pinned = cls.enterClassContext(
            Workload("busy", str(cls.THREADS - 1), "main", cpus=last_cpu()))
        collectd = start(cls, cls.MODE, program_rule("pinned", "busy", "Children false"))
        collectd.wait_for_lines(cls.pinned.pid, count=3)
        time.sleep(5)  # this is what is measured
        cls.lines = collectd.samples_of(cls.pinned.pid)[2:]
        cls.ages = cls.THREADS * wall_ns(cls.lines)

    def test_four_busy_threads_wait_for_it_three_quarters_of_the_time(self):
        share = increase(self.lines, "run_delay_ns") / self.ages
        self.assertGreaterEqual(share, 0.74)
        if share > 0.76:
            self.skipTest(f"others take that CPU: {share:.3f}")

    def test_their_blocked_time_is_near_zero(self):
        self.assertLess(increase(self.lines, "off_cpu_ns") / self.ages, 0.01)


@bpf_only
class OneCpuWithReasons(OneCpu):
    MODE = "stacks"

    def test_the_run_queue_is_the_reason_none_of_it_is_a_lock_and_all_else_is_near_zero(self):
        waited = increase(self.lines, lambda line: off_cpu(line)["by_reason"]["runqueue"])
        self.assertAlmostEqual(waited / increase(self.lines, "run_delay_ns"), 1, delta=0.01)
        self.assertEqual(off_cpu(self.lines[-1])["by_reason"].get("lock", 0), 0)
        self.assertLess(increase(self.lines, blocked) / self.ages, 0.01)


@measures
@native_only
class Budget(unittest.TestCase):
    """Running, waiting for a CPU and blocked: there is nothing else that a thread can do."""

    MODE = "times"

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        cls.mixed = cls.enterClassContext(Workload(
            "blocker", "mixed", "9", "1", data_file(folder, "data"), cpus=last_cpu()))
        cls.collectd = start(cls, cls.MODE, blocker_rule("mixed", "mixed"))
        # One more than is looked at: the values of a report do not come all at once.
        cls.collectd.wait_for_values("mixed", "ps_count", count=9)

    def series(self, what):
        """The first and the last of those from the second on: {time: sum}."""
        values = self.collectd.values("mixed", what)[1:8]
        return sum(values[-1].numbers) - sum(values[0].numbers)

    def test_it_closes(self):
        counts = self.collectd.values("mixed", "ps_count")[1:8]
        processes, threads = counts[0].numbers
        self.assertEqual((processes, counts[-1].numbers), (1, [processes, threads]))
        ages_ms = threads * (counts[-1].time - counts[0].time) * 1e3
        running = self.series("ps_cputime") / 1e3
        runnable = self.series("total_time_in_ms-runqueue")
        stopped = self.series("total_time_in_ms-offcpu")
        self.assertAlmostEqual((running + runnable + stopped) / ages_ms, 1, delta=0.01,
                               msg=f"{running} + {runnable} + {stopped} of {ages_ms}")
        # It is no budget if there is only one item.
        for part in (running, runnable, stopped):
            self.assertGreater(part / ages_ms, 0.02)


@bpf_only
class BudgetWithReasons(Budget):
    MODE = "stacks"

    def test_the_reasons_are_the_blocked_time_and_the_run_queue(self):
        by_reason = sum(self.series(f"total_time_in_ms-offcpu_{reason}") for reason in REASONS
                        if self.collectd.values("mixed", f"total_time_in_ms-offcpu_{reason}"))
        whole = self.series("total_time_in_ms-offcpu") + self.series("total_time_in_ms-runqueue")
        self.assertAlmostEqual(by_reason / whole, 1, delta=0.01)
