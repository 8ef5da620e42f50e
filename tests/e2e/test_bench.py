"""A benchmark that is quick enough still runs. With so little to do its figures mean nothing."""

import os
import subprocess
import sys
import unittest

from harness import PROJECT, bpf_only, native_only


@bpf_only
@native_only
class OfTheWriters(unittest.TestCase):
    def test_each_writer_has_a_row(self):
        run = subprocess.run(
            [sys.executable, str(PROJECT / "tests" / "bench" / "writer.py"),
             "--plugins", os.environ["DENET_PLUGINS"], "--turns", "1", "--processes", "5",
             "--rounds", "1", "--demand", "5", "--seconds", "1", "--limits", "1024"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stdout)
        for row in ("| 5 | write_denet |", "| 5 | write_log |", "| 5 | csv |", "| 1,024 |"):
            self.assertIn(row, run.stdout)
