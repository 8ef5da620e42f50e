"""SIGKILL at any instant tears at most the last line of a file; the next run cuts that off."""

import json
import random
import time
import unittest

from faults import TREE, check_files, herd, wait_for_more
from harness import Collectd, every, procfs_only, program_rule, read_lines, wait_until

RULES = TREE + program_rule("each", "herd", "Children false")


@procfs_only
class Killed(unittest.TestCase):
    """While it writes megabytes: metadata with long command lines at the start of each run, long
    lines, one segment after the other, and a limit that removes the oldest ones. About a quarter
    of the kills tears a line."""

    TIMES = 200
    WRITE = "FlushInterval 0.01\nMaxFileSize 0.02\nMaxTotalSize 32\n"

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(herd(members=100, bytes_each=100_000))
        cls.collectd = Collectd(every(0.01) + RULES, cls.WRITE, interval=10)
        start = time.monotonic()
        cls.collectd.start()
        wait_until(cls.collectd.files, "the first file", pause=0.005)
        cls.longest = min(0.5, max(0.1, 2 * (time.monotonic() - start)))
        cls.kill()
        cls.bad = []
        for _ in range(cls.TIMES - 1):
            cls.run_and_kill()
        with cls.collectd as collectd:
            wait_for_more(collectd)
            cls.status = collectd.stop()

    @classmethod
    def kill(cls):
        cls.collectd.process.kill()
        cls.collectd.process.wait()

    @classmethod
    def run_and_kill(cls):
        began = time.time() - 0.1  # the time stamps of files are a little old
        cls.collectd.start()
        time.sleep(random.uniform(0, cls.longest))
        cls.kill()
        for path in cls.collectd.files():
            if path.stat().st_mtime > began:
                cls.check(path)

    @classmethod
    def check(cls, path):
        """Every line except the last must be whole."""
        try:
            for line in path.read_bytes().split(b"\n")[:-1]:
                json.loads(line)
        except ValueError:
            cls.bad.append(path)

    def test_no_line_except_the_last_was_ever_torn(self):
        self.assertEqual(self.bad, [])

    def test_afterwards_all_files_are_whole_and_no_line_is_there_twice(self):
        """And no number is missing between the segments that are left."""
        found = check_files(self, self.collectd.records_folder)
        self.assertGreater(len(found), 40)
        for key, segments in found.items():
            self.assertEqual(sorted(segments), list(range(min(segments), max(segments) + 1)), key)

    def test_the_log_is_clean(self):
        self.assertEqual(self.status, 0)
        self.assertEqual(self.collectd.complaints(), [])


@procfs_only
class TornEnds(unittest.TestCase):
    """What a crash, or a host that lost its power, has left at the end of a file."""

    # What stands behind the last whole line.
    ENDS = {"half a line": b'{"kind":"tree","ts_ms":17',
            "a long half of a line": b'{"kind":"tree","x":"' + b"x" * 3_000_000,
            "zeros": bytes(5000), "zeros behind half a line": b'{"kind"' + bytes(5000)}

    def setUp(self):
        self.enterContext(herd())
        self.collectd = Collectd(TREE, "FlushInterval 0.1\n", interval=10)
        self.run_once()
        self.path, = self.collectd.files()

    def run_once(self):
        with self.collectd as collectd:
            wait_for_more(collectd, count=1)
            self.assertEqual(collectd.stop(), 0)
        self.assertEqual(collectd.complaints(), [])

    def test_what_is_torn_is_cut_off(self):
        whole = self.path.read_bytes()
        for name, end in self.ENDS.items():
            with self.subTest(end=name):
                self.path.write_bytes(whole + end)
                self.run_once()
                self.assertEqual(self.path.read_bytes(), whole)
                self.assertEqual(len(self.collectd.files()), 2)
                check_files(self, self.collectd.records_folder)
                self.collectd.files()[1].unlink()

    def test_a_file_without_a_whole_line_is_removed(self):
        for rest in (b"", b'{"kind":"metad', bytes(4096)):
            self.path.write_bytes(rest)
            self.run_once()
            self.path, = self.collectd.files()
            read_lines(self.path)
