"""Starts and stops, alone and many times, and collectd's flush command."""

import os
import random
import statistics
import time
import unittest
from pathlib import Path

from faults import FAST, TREE, Socket, check_files, herd, told, wait_for_more
from harness import (Collectd, Workload, bpf_only, is_sanitized, procfs_only, rule, source_in_use,
                     wait_until)
from test_bpf import objects_in_kernel, objects_of


class InARow(unittest.TestCase):
    """Stopped as soon as it has started, or a moment later, during the first samples."""

    TIMES = {"procfs": 200, "bpf": 80}
    SETTINGS = ""

    def run_once(self, collectd, count):
        log = collectd.folder / "collectd.log"
        collectd.start()
        wait_until(lambda: log.exists() and
                   log.read_bytes().count(b"Initialization complete") == count,
                   f"start number {count}", timeout=30, pause=0.005)
        # If a signal comes between collectd's check of read_loop and its wait, its read thread
        # sleeps forever (collectd 5.12, plugin_read_thread). With a sanitizer this window is long.
        settled = 0.5 if is_sanitized() else 0
        time.sleep(settled + random.choice((0, random.uniform(0, 0.03))))
        if source_in_use() == "bpf":
            self.held |= objects_of(collectd.pid)
        self.assertEqual(collectd.stop(), 0, f"the exit status of run {count}")

    def test_all_is_clean(self):
        self.held = set()
        times = self.TIMES[source_in_use()] // (4 if is_sanitized() else 1)
        self.enterContext(herd())
        collectd = Collectd(self.SETTINGS + TREE)
        self.addCleanup(collectd.close)
        for count in range(1, times + 1):
            self.run_once(collectd, count)
        self.assertEqual(collectd.complaints(), [])
        ends = [line for line in collectd.log() if "Exiting normally" in line]
        self.assertEqual(len(ends), times)
        check_files(self, collectd.records_folder)
        # collectd's BaseDir is its working directory.
        self.assertEqual([path for path in Path("/proc").glob("[0-9]*/cwd")
                          if os.path.realpath(path) == str(collectd.folder)], [])
        if source_in_use() == "bpf":
            self.assertTrue(self.held)
            wait_until(lambda: not self.held & objects_in_kernel(), "the kernel to free them")


@bpf_only
class InARowWithStacks(InARow):
    TIMES = {"bpf": 20}
    SETTINGS = 'OffCPU "stacks"\n'


@procfs_only
class OneAlone(unittest.TestCase):
    def test_the_writer_without_denet_starts_and_stops_in_silence(self):
        with Collectd(plugins=("write_denet",)) as collectd:
            collectd.wait_for_log("Initialization complete")
            self.assertEqual(collectd.stop(), 0)
        self.assertEqual(told(collectd), [])
        self.assertEqual(collectd.complaints(), [])
        self.assertEqual(collectd.files(), [])


@procfs_only
class TwoBlocks(unittest.TestCase):
    """Both blocks count; of an option that is given twice the last value counts."""

    def test_rules_of_both_apply_and_the_last_value_of_an_option_counts(self):
        second = 'PluginName "later"\n' + rule("young", 'Comm "e2e-two-blocks"')
        with Workload("herd", "1"), \
                Workload("sleeper", environment={b"SLEEPER_COMM": b"e2e-two-blocks"}), \
                Collectd('PluginName "first"\n' + TREE,
                         extra=f"<Plugin denet>\n{second}</Plugin>\n") as collectd:
            for instance in ("herd", "young"):
                collectd.wait_for_values(instance, "ps_count")
            self.assertEqual({value.plugin for value in collectd.all_values()}, {"later"})
            self.assertEqual(collectd.complaints(), [])

    def test_files_are_in_the_last_directory(self):
        with Workload("herd", "1"), \
                Collectd(TREE, 'Directory "first"\n',
                         extra='<Plugin write_denet>\nDirectory "later"\n</Plugin>\n') as collectd:
            wait_for_more(collectd, collectd.folder / "later", count=1)
            self.assertEqual(collectd.complaints(), [])
        self.assertEqual({path.parts[-5] for path in collectd.files()}, {"later"})

    def test_sizes_are_compared_once_all_are_known(self):
        with Collectd(TREE, "MaxFileSize 2000\n",
                      extra="<Plugin write_denet>\nMaxTotalSize 4000\n</Plugin>\n") as collectd:
            collectd.wait_for_log("Initialization complete")
            self.assertEqual(collectd.complaints(), [])

    def test_intervals_are_compared_once_all_are_known(self):
        """Either alone is refused, or there are more lines: the first gaps of a young process are
        0.1 s by default, and MaxInterval is 1. A machine that stalls delays single lines."""
        for first, second in (("BaseInterval 1.5\n", "MaxInterval 1.5\n"),
                              ("MaxInterval 1.5\n", "BaseInterval 1.5\n")):
            with self.subTest(first=first), Workload("herd", "1") as workload, \
                    Collectd(first + TREE, "FlushInterval 0.1\n", interval=10,
                             extra=f"<Plugin denet>\n{second}</Plugin>\n") as collectd:
                times = [line["ts_ms"] for line in collectd.wait_for_lines(workload.pid, count=3)]
                self.assertAlmostEqual(statistics.median(b - a for a, b in zip(times, times[1:])),
                                       1500, delta=400)
                self.assertEqual(collectd.complaints(), [])


@procfs_only
class Flush(unittest.TestCase):
    """collectdctl flush, through the plugin unixsock."""

    def test_all_lines_are_written_when_the_answer_comes(self):
        with Workload("herd", "1") as workload, \
                Collectd(FAST + TREE, "FlushInterval 600\n", interval=0.5,
                         extra=Socket.settings()) as collectd, Socket(collectd) as socket:
            for _ in range(2):
                known = len(collectd.samples_of(workload.pid))
                made = collectd.wait_for_values("_self", "derive-records", count=3,
                                                after=time.time())[-1].numbers[0]
                self.assertEqual(len(collectd.samples_of(workload.pid)), known)
                self.assertEqual(socket.ask("FLUSH plugin=write_denet"),
                                 "0 Done: 1 successful, 0 errors")
                written = collectd.samples_of(workload.pid)
                self.assertGreater(len(written), known)
                self.assertGreaterEqual(len(written), made)
