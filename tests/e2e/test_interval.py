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

    def test_ten_lines_a_second_in_the_first(self):
        self.assertAlmostEqual(statistics.median(self.gaps(0, 1.05)), 0.1, delta=0.03)
        self.assertGreaterEqual(len(self.gaps(0, 1.05)), 4)

    def test_fewer_and_fewer_until_ten_seconds(self):
        middle = statistics.median(self.gaps(4, 7))
        self.assertGreater(middle, 0.3)
        self.assertLess(middle, 0.8)

    def test_one_a_second_from_then_on(self):
        self.assertAlmostEqual(statistics.median(self.gaps(10, 99)), 1, delta=0.1)
