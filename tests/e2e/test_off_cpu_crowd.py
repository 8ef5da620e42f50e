"""Blocked time of very many threads, and of those that asked for it."""

import json
import time
import unittest
from pathlib import Path

from blocking import PACE, WRITE, blocker_rule, increase, off_cpu, start, time_in_stacks, wall_ns
from harness import (MIB, Collectd, Workload, bpf_only, measures, now_ms, program_rule,
                     source_in_use, statm_bytes, wait_until)


@measures
class Crowd(unittest.TestCase):
    """2,000 threads and the one that starts them."""

    MODE = "times"
    THREADS = 2000

    @classmethod
    def setUpClass(cls):
        cls.crowd = cls.enterClassContext(Workload("crowd", str(cls.THREADS)))
        cls.collectd = start(cls, cls.MODE, program_rule("crowd", "crowd", "Children false"))
        cls.collectd.wait_for_lines(cls.crowd.pid, count=3)
        cls.truth = json.loads(cls.crowd.ask("sleep 40 100"))
        cls.collectd.wait_for_lines(cls.crowd.pid, after_ms=now_ms() + 200)
        cls.lines = cls.collectd.samples_of(cls.crowd.pid)[2:]

    def test_all_of_them_are_blocked_all_the_time(self):
        ages = (self.THREADS + 1) * wall_ns(self.lines)
        self.assertEqual(self.lines[-1]["thread_count"], self.THREADS + 1)
        waited = increase(self.lines, "off_cpu_ns") + increase(self.lines, "run_delay_ns")
        self.assertAlmostEqual(waited / ages, 1, delta=0.01)


@bpf_only
class CrowdWithReasons(Crowd):
    MODE = "stacks"

    def test_what_they_slept_is_what_they_know(self):
        slept = increase(self.lines, lambda line: off_cpu(line)["by_reason"].get("sleep", 0))
        self.assertAlmostEqual(slept / self.truth["blocked_ns"], 1, delta=0.01)

    def test_the_threads_that_were_off_longest_are_in_the_line(self):
        for line in self.lines[2:]:
            found = off_cpu(line)
            times = [stats["total_time_ns"] for stats in found["thread_stats"].values()]
            self.assertEqual(len(times), 200)
            mean = found["total_time_ns"] / (self.THREADS + 1)
            # The sums never fall, so that they may be a little above those of the threads.
            self.assertGreaterEqual(min(times), 0.98 * mean)
            self.assertLess(sum(times), found["total_time_ns"])
        times = [thread["time_ms"] for thread in found["top_blocking_threads"]]
        self.assertEqual(len(times), 10)
        self.assertEqual(times, sorted(times, reverse=True))

    def test_nothing_was_lost(self):
        self.assertNotIn("lost", off_cpu(self.lines[-1]))


def tasks_in_kernel():
    """How many task_structs there are: also those of ended threads that are still referred to."""
    for line in Path("/proc/slabinfo").read_text().splitlines():
        if line.startswith("task_struct "):
            return int(line.split()[1])
    return None


@measures
@bpf_only
class Storm(unittest.TestCase):
    """Threads that sleep once and end, most of them between two looks."""

    MODE = "times"
    COUNT, AT_ONCE, SLEEP_MS = 100_000, 200, 5

    @classmethod
    def setUpClass(cls):
        cls.crowd = cls.enterClassContext(Workload("crowd"))
        cls.collectd = start(cls, cls.MODE, program_rule("crowd", "crowd", "Children false"))
        cls.collectd.wait_for_lines(cls.crowd.pid, count=3)
        cls.start = cls.settled_line()
        cls.storm(cls.COUNT // 10)  # what it takes once it may keep
        cls.memory = statm_bytes(cls.collectd.pid)[1]
        cls.tasks = tasks_in_kernel()
        cls.truth = cls.storm(cls.COUNT)
        cls.end = cls.settled_line()

    @classmethod
    def storm(cls, count):
        """What the threads of all storms so far know."""
        return json.loads(cls.crowd.ask(f"storm {count} {cls.AT_ONCE} {cls.SLEEP_MS}"))

    @classmethod
    def settled_line(cls):
        """One before which each line has what no stack has come for (record_off_cpu.c)."""
        return cls.collectd.wait_for_lines(cls.crowd.pid, count=18 if cls.MODE == "stacks" else 3,
                                           after_ms=now_ms())[-1]

    def test_their_blocked_time_is_kept(self):
        lines = [self.start, self.end]
        # The main thread waits for them, or for the next word; to begin and to end they wait for
        # each other, for long where one that has the lock lacks a CPU.
        found = increase(lines, "off_cpu_ns")
        least, most = self.truth["blocked_ns"], self.truth["blocked_ns"] + wall_ns(lines)
        self.assertGreater(found, 0.99 * least)
        self.assertLess(found, 1.25 * most)

    def test_none_of_them_stays_in_the_kernel(self):
        if self.tasks is None:
            self.skipTest("needs /proc/slabinfo")
        wait_until(lambda: tasks_in_kernel() < self.tasks + self.COUNT / 100, "their tasks to go")

    def test_none_of_them_stays_in_memory(self):
        self.assertLess(statm_bytes(self.collectd.pid)[1] - self.memory, 8 * MIB)

    def test_nothing_was_lost(self):
        self.assertEqual(self.collectd.latest("_self", "derive-bpf_lost"), [0])


@bpf_only
class StormWithReasons(Storm):
    MODE = "stacks"

    def test_their_sleep_is_what_they_know_and_the_times_of_their_stacks_add_up(self):
        slept = increase([self.start, self.end],
                         lambda line: off_cpu(line)["by_reason"].get("sleep", 0))
        self.assertAlmostEqual(slept / self.truth["blocked_ns"], 1, delta=0.01)
        lines = [line for line in self.collectd.samples_of(self.crowd.pid)
                 if self.start["ts_ms"] < line["ts_ms"] <= self.end["ts_ms"]]
        self.assertAlmostEqual(time_in_stacks(lines, "sleep") / slept, 1, delta=0.1)

    def test_nothing_was_lost(self):
        """Next to nothing: the kernel may refuse memory for a moment, which is counted."""
        lost = sum(off_cpu(self.end).get("lost", {}).values())
        self.assertLessEqual(lost, self.COUNT / 10_000)
        # What the lines have, and may have had since.
        self.assertLessEqual(self.collectd.latest("_self", "derive-bpf_lost")[0],
                             lost + self.COUNT / 10_000)


@measures
@bpf_only
class EndOfAll(unittest.TestCase):
    """Processes of many threads are killed: all of these end at the same time, on every CPU."""

    MODE = "times"
    PROCESSES, THREADS = 10, 100

    @classmethod
    def setUpClass(cls):
        collectd = start(cls, cls.MODE, program_rule("crowd", "crowd", "Children false"))
        collectd.wait_ready()
        crowds = [cls.enterClassContext(Workload("crowd", str(cls.THREADS)))
                  for _ in range(cls.PROCESSES)]
        time.sleep(3)  # this is what they are blocked for
        for crowd in crowds:
            crowd.kill()
        cls.lines = [wait_until(lambda: cls.ended(collectd, crowd.pid), f"the end of {crowd.pid}")
                     for crowd in crowds]

    @staticmethod
    def ended(collectd, pid):
        """All lines of a process once it has ended."""
        lines = collectd.lines_of(pid)
        return lines and "exit" in lines[-1] and lines

    def check_last(self, value):
        for lines in self.lines:
            samples = lines[2:]
            self.assertEqual(samples[-1]["exit"], {"signal": 9})
            self.assertGreaterEqual(increase(samples[-2:], value), 0)
            # They ended a little before the event of it, and waited for CPUs in their exit.
            ages = (self.THREADS + 1) * wall_ns(samples)
            self.assertAlmostEqual(increase(samples, value) / ages, 1, delta=0.06)

    def test_the_last_line_has_the_blocked_time_of_all_of_them(self):
        self.check_last("off_cpu_ns")


@bpf_only
class EndOfAllWithReasons(EndOfAll):
    MODE = "stacks"

    def test_the_last_line_has_the_waits_of_all_of_them(self):
        self.check_last(lambda line: off_cpu(line)["total_time_ns"])


class Modes(unittest.TestCase):
    """What is asked for in the plugin's block and in a rule."""

    @classmethod
    def setUpClass(cls):
        cls.sleeper = cls.enterClassContext(Workload("blocker", "sleeper"))
        modes = {"nothing": ['OffCPU "off"'], "plain": [], "rich": ['OffCPU "stacks"']}
        cls.collectd = cls.enterClassContext(Collectd(
            PACE + "".join(blocker_rule(name, "sleeper", *lines)
                           for name, lines in modes.items()), WRITE))
        for name in modes:
            cls.collectd.wait_for_lines(cls.sleeper.pid, count=3, instance=name)
            cls.collectd.wait_for_values(name, "ps_count", count=2)

    def test_each_rule_has_what_it_asks_for_and_times_without_a_word(self):
        """A row: whether lines have off_cpu_ns, whether they have stacks, and the series."""
        is_bpf = source_in_use() == "bpf"
        for name, has_times, has_stacks in (("nothing", False, False), ("plain", True, False),
                                            ("rich", True, is_bpf)):
            with self.subTest(rule=name):
                line = self.collectd.samples_of(self.sleeper.pid, name)[-1]
                series = {value.type_instance for value in self.collectd.all_values()
                          if value.instance == name and value.type_instance.startswith("offcpu")}
                self.assertEqual("off_cpu_ns" in line, has_times)
                self.assertEqual("ebpf" in line, has_stacks)
                self.assertEqual("offcpu" in series, has_times)
                self.assertEqual(len(series) > 1, has_stacks, series)

    def test_stacks_without_bpf_are_times_and_log_and_metadata_say_so(self):
        is_bpf = source_in_use() == "bpf"
        self.assertEqual(any("stacks" in words for words in self.collectd.log()), not is_bpf)
        capabilities = self.collectd.lines_of(self.sleeper.pid, "rich")[0]["capabilities"]
        self.assertEqual(capabilities["off_cpu"], {"available": True})
        if not is_bpf:
            self.assertEqual(capabilities["stacks"],
                             {"available": False, "reason": "they need the bpf source"})
