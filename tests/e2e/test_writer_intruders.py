"""Others change the files and the clock while files are written: no line is lost except what they
took away, so nothing is logged."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from faults import FAST, TREE, check_files, cpu_seconds, herd, latest_times, told, wait_for_more
from harness import (Collectd, Workload, check_none_lost, procfs_only, program, program_rule,
                     read_lines, wait_until, work_folder)

WRITE = "FlushInterval 0.1\n"


@procfs_only
class Files(unittest.TestCase):
    """Files that others remove, rename or cut while they are written."""

    def setUp(self):
        last = ["pgrep", "-f", f"^{program('herd')} "]
        wait_until(lambda: subprocess.run(last, stdout=subprocess.DEVNULL).returncode,
                   "the end of the last test's processes")
        self.enterContext(herd())
        self.collectd = self.enterContext(Collectd(FAST + TREE, WRITE))
        wait_for_more(self.collectd)
        self.path, = self.collectd.files()

    def stop(self):
        wait_for_more(self.collectd)
        self.assertEqual(self.collectd.stop(), 0)
        self.assertEqual(self.collectd.complaints(), [])
        self.assertEqual(told(self.collectd), [])

    def check_files(self):
        """{number: times} of each process that has files."""
        return list(check_files(self, self.collectd.records_folder).values())

    def test_a_removed_directory_is_made_again(self):
        shutil.rmtree(self.collectd.records_folder)
        self.stop()
        self.assertEqual([list(segments) for segments in self.check_files()], [[2]])

    def test_a_file_that_is_taken_away_is_followed_by_the_next_segment(self):
        """Of three processes: it is deleted; it is copied and cut, as by logrotate's copytruncate;
        it is deleted, and a link to elsewhere has the name of the next segment."""
        for _ in range(2):
            self.enterContext(herd())
        paths = wait_until(lambda: len(self.collectd.files()) == 3 and self.collectd.files(),
                           "a file of each")
        for path in paths:
            wait_for_more(self.collectd, name=path.name)
        deleted, cut, taken = paths
        deleted.unlink()
        os.truncate(cut, 0)
        elsewhere = self.collectd.folder / "elsewhere"
        second = taken.with_stem(taken.stem + "_0002")
        second.symlink_to(elsewhere)
        taken.unlink()
        for path in paths:
            wait_for_more(self.collectd, name=f"{path.stem}_*.jsonl")
        self.stop()
        self.assertFalse(elsewhere.exists())
        cut.unlink()
        second.unlink()
        self.assertEqual([list(segments) for segments in self.check_files()], [[2], [2], [3]])

    def test_a_renamed_file_loses_no_line(self):
        """logrotate renames a file, and removes it some time later."""
        old = self.path.with_suffix(".jsonl.1")
        self.path.rename(old)
        wait_for_more(self.collectd, name="*.jsonl*")
        kept = wait_until(lambda: latest_times(old), "whole lines")
        old.unlink()
        self.collectd.wait_for_values("_self", "derive-records", after=time.time())
        self.stop()
        check_none_lost(self, self.collectd, kept[1:] + [
            moment for segments in self.check_files() for segment in segments.values()
            for moment in segment if moment > kept[-1]])


@procfs_only
class Rotation(unittest.TestCase):
    def test_no_line_goes_into_a_file_after_its_rename(self):
        """With the default FlushInterval."""
        sleepers = [self.enterContext(Workload("sleeper")) for _ in range(5)]
        with Collectd(program_rule("x", "sleeper", "Children false")) as collectd:
            for sleeper in sleepers:
                collectd.wait_for_lines(sleeper.pid, count=2)
            paths = collectd.files()
            self.assertEqual(len(paths), 5)
            # the clock of the file system shows no rename within 10 ms of a write
            wait_until(lambda: max(path.stat().st_mtime for path in paths) < time.time() - 0.1,
                       "a pause between two flushes", pause=0.01)
            for path in paths:
                path.rename(path.with_suffix(".jsonl.1"))
            renamed_ms = time.time() * 1e3
            for sleeper in sleepers:
                collectd.wait_for_lines(sleeper.pid, count=2, after_ms=renamed_ms)
            for path in paths:
                old = read_lines(path.with_suffix(".jsonl.1"))
                new = read_lines(path.with_stem(path.stem + "_0002"))
                self.assertLessEqual(old[-1]["ts_ms"], renamed_ms)
                self.assertEqual(new[0]["kind"], "metadata")
                self.assertLess(new[1]["ts_ms"], renamed_ms + 2000)


@procfs_only
class Clock(unittest.TestCase):
    """CLOCK_REALTIME of this collectd alone is set back and right again."""

    HOUR = 3600

    def setUp(self):
        self.enterContext(herd())
        self.shift = Path(self.enterContext(tempfile.NamedTemporaryFile(dir=work_folder())).name)
        self.shift.chmod(0o644)
        clock = program("clock", flags=("-shared", "-fPIC"))
        self.collectd = self.enterContext(Collectd(
            FAST + TREE, WRITE, prefix=["env", f"CLOCK_FILE={self.shift}"], preload=[clock]))
        self.started = time.monotonic()

    def line_count(self):
        return sum(len(latest_times(path)) for path in self.collectd.files())

    def wait_for_lines(self, count):
        before = wait_until(self.line_count, "the first lines")
        wait_until(lambda: self.line_count() >= before + count, f"{count} lines more")

    def test_lines_go_on_and_their_times_rise(self):
        self.wait_for_lines(3)
        right = time.time()
        os.truncate(self.shift, self.HOUR)
        with Workload("herd", "0") as young:
            self.wait_for_lines(10)
            born = self.collectd.lines_of(young.pid)[0]["t0_ms"] / 1e3
        os.truncate(self.shift, 0)
        self.wait_for_lines(10)
        cpu = cpu_seconds(self.collectd.pid)
        self.assertLess(cpu, (time.monotonic() - self.started) * 0.6, "of a core")
        self.assertEqual(self.collectd.stop(), 0)
        self.assertAlmostEqual(born, right - self.HOUR, delta=60, msg="the clock was set back")
        self.assertEqual(self.collectd.complaints(), [])
        self.assertEqual(len(check_files(self, self.collectd.records_folder)), 2)
