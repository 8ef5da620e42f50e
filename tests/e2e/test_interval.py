"""The adaptive interval: a young process has many lines, an old one has one a second."""

import statistics
import unittest

from harness import Collectd, Workload, measures, native_only, program_rule

SECONDS = 13


@measures
@native_only
class Interval(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.collectd = cls.enterClassContext(
            Collectd(program_rule("a", "sleeper", "Children false")))
        cls.collectd.wait_ready()
        cls.sleeper = cls.enterClassContext(Workload("sleeper"))
        cls.collectd.wait_for_lines(cls.sleeper.pid)
        first = cls.collectd.samples_of(cls.sleeper.pid)[0]["ts_ms"]
        cls.collectd.wait_for_lines(cls.sleeper.pid, after_ms=first + SECONDS * 1000)
        cls.times = [line["ts_ms"] / 1e3 for line in cls.collectd.samples_of(cls.sleeper.pid)]

    def gaps(self, start, end):
        """Gaps between lines while the process was known for start to end seconds."""
        known = [when - self.times[0] for when in self.times]
        return [b - a for a, b in zip(known, known[1:]) if start <= a and b <= end]

    def test_it_is_found_within_the_longest_interval(self):
        t0 = self.collectd.lines_of(self.sleeper.pid)[0]["t0_ms"] / 1e3
        self.assertLess(self.times[0] - t0, 2.3)  # the machine may stall for a second

    def test_ten_lines_in_the_first_second_then_fewer_and_one_a_second_after_ten(self):
        for start, end, gap, delta, least in ((0, 1.05, 0.1, 0.03, 4), (4, 7, 0.55, 0.25, 1),
                                              (10, 99, 1, 0.1, 1)):
            with self.subTest(start=start):
                gaps = self.gaps(start, end)
                self.assertAlmostEqual(statistics.median(gaps), gap, delta=delta)
                self.assertGreaterEqual(len(gaps), least)
