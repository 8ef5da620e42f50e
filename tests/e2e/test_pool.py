"""A pool under CPU load: its workers exit and are replaced all the time."""

import os
import time
import unittest

from harness import (Collectd, Workload, check_counters_rise, check_series_rise, measures, program,
                     rule)

SECONDS = 10
DERIVES = ("ps_cputime", "disk_octets", "io_octets", "io_ops", "ps_pagefaults",
           "contextswitch-voluntary", "contextswitch-involuntary", "total_time_in_ms-runqueue",
           "total_time_in_ms-offcpu", "derive-starts", "derive-exits")


@measures
class Pool(unittest.TestCase):
    WORKERS = 3
    LIFE_MS = 200

    @classmethod
    def setUpClass(cls):
        executable = f'Executable "{program("pool")}"'
        rules = rule("tree", executable) + \
            rule("single", executable, "Children false", "Records false") + \
            rule("alone", executable, "Children false", 'Instance "alone-%{pid}"')
        cls.collectd = cls.enterClassContext(Collectd(rules, interval=1))
        cls.collectd.wait_ready()
        with Workload("busy"), Workload("pool", str(cls.WORKERS), str(cls.LIFE_MS)) as pool:
            cls.pool = pool.pid
            time.sleep(SECONDS)  # this is what is tested: so long it goes on
        # Two reports, as the end of collectd may cut the last.
        cls.collectd.wait_for_values("tree", "ps_count", count=2, after=time.time() + 0.2)
        cls.collectd.stop()

    def test_every_derive_value_only_rises(self):
        for instance in ("tree", "single"):
            check_series_rise(self, self.collectd, instance, *DERIVES, least=SECONDS - 1)

    def test_no_interval_shows_more_cpu_than_the_machine_has(self):
        for instance in ("tree", "single"):
            values = self.collectd.values(instance, "ps_cputime")
            for before, after in zip(values, values[1:]):
                cores = (sum(after.numbers) - sum(before.numbers)) / 1e6 / \
                    (after.time - before.time)
                self.assertLessEqual(cores, 1.05 * os.cpu_count(), f"{before} then {after}")
            for gauge in ("gauge-cpu_percent", "gauge-cpu_percent_max"):
                for value in self.collectd.values(instance, gauge):
                    self.assertLessEqual(value.numbers[0], 105 * os.cpu_count(), value)

    def test_most_of_the_cpu_is_seen(self):
        # /proc does not show what a worker did after its last sample.
        used = sum(self.collectd.latest("tree", "ps_cputime")) / 1e6
        share = min(1, (os.cpu_count() - 1) / 2) * SECONDS
        self.assertGreater(used, share / 4)

    def test_both_ways_of_counting_agree(self):
        self.assertEqual(*(self.collectd.latest(name, "ps_cputime") for name in ("tree", "single")))

    def test_starts_and_exits_are_counted(self):
        rounds = SECONDS * 1000 / self.LIFE_MS * self.WORKERS
        starts = self.collectd.latest("tree", "derive-starts")
        self.assertTrue(rounds / 8 < starts[0] <= 2 * rounds, starts)
        self.assertEqual(self.collectd.latest("tree", "derive-exits"), starts)
        self.assertEqual(self.collectd.latest("tree", "ps_count"), [0, 0])

    def test_counters_of_the_file_never_fall_and_contain_the_ended_workers(self):
        lines = self.collectd.samples_of(self.pool, "tree")
        self.assertGreater(len(lines), SECONDS / 2)
        times = [line["ts_ms"] for line in lines]
        self.assertEqual(times, sorted(times))
        check_counters_rise(self, [line["aggregated"] for line in lines])
        own = max(line["parent"]["page_faults_cached"] for line in lines if line["parent"])
        self.assertGreater(lines[-1]["aggregated"]["page_faults_cached"], 2 * own)

    def test_a_vanishing_process_is_no_event_for_the_log(self):
        self.assertEqual(self.collectd.complaints(), [])

    def test_no_record_was_dropped_and_each_worker_has_its_file(self):
        self.assertEqual(self.collectd.latest("_self", "derive-records_dropped"), [0])
        files = [path for path in self.collectd.files() if "alone-" in path.parents[1].name]
        self.assertGreater(len(files), SECONDS * 1000 / self.LIFE_MS * self.WORKERS / 8)
        for path, lines in self.collectd.records().items():
            self.assertEqual(lines[0]["kind"], "metadata", path)
            self.assertGreater(len(lines), 1, path)
