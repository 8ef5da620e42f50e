#!/usr/bin/env python3
"""Runs the end-to-end tests: run.py --plugins DIR [--source procfs|bpf] [NAME...]; a NAME is a part
of a test's name, such as test_rules, test_rules.Slots or a method. Tests that are for the other
source alone are left out (harness.bpf_only, harness.procfs_only). The closing line is
"e2e: N passed, N failed, N skipped". The exit status is 77 if the source cannot be had here and so
every test was skipped; with DENET_REQUIRE_BPF=1 in the environment every test fails instead."""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Result(unittest.TestResult):
    """One line for each test as it ends, the tracebacks kept for later."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.bad = []

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.is_bad = False

    def _say(self, word, test, reason=""):
        seconds = time.monotonic() - getattr(self, "began", time.monotonic())
        print(f"{word:4} {test.id()} ({seconds:.1f} s){reason and ': ' + reason}", flush=True)

    def _fail(self, test, error):
        self.bad.append((test.id(), self._exc_info_to_string(error, test)))
        self.is_bad = True
        self._say("FAIL", test)

    def addSuccess(self, test):
        self.passed += 1
        self._say("ok", test)

    def addError(self, test, err):
        self._fail(test, err)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err:
            self._fail(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test, reason)


def select(suite, names, source):
    """The tests of that name which are for the source."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from select(test, names, source)
        elif getattr(test, "only_source", source) == source and \
                (not names or any(name in test.id() for name in names)):
            yield test


def refuse(tests, reason, result):
    """What becomes of the tests when their source cannot be had."""
    for test in tests:
        if os.environ.get("DENET_REQUIRE_BPF") == "1":
            result.bad.append((test.id(), f"BPF cannot be had: {reason}\n"))
        else:
            result.addSkip(test, f"BPF cannot be had: {reason}")


def run(names, source, result):
    found = unittest.defaultTestLoader.discover(str(HERE), "test_*.py", str(HERE))
    tests = list(select(found, names, source))
    reason = importlib.import_module("harness").why_no_bpf() if source == "bpf" else ""
    if reason:
        refuse(tests, reason, result)
    else:
        unittest.TestSuite(tests).run(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugins", required=True, help="the folder with denet.so")
    parser.add_argument("--source", default="procfs", choices=["procfs", "bpf"])
    parser.add_argument("--keep", action="store_true", help="leave the folders of the runs behind")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    folder = tempfile.mkdtemp(prefix="denet-e2e-")
    os.chmod(folder, 0o755)
    os.environ["DENET_PLUGINS"] = str(Path(options.plugins).resolve())
    os.environ["DENET_E2E_FOLDER"] = folder
    os.environ["DENET_E2E_SOURCE"] = options.source
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True

    result = Result()
    try:
        run(options.names, options.source, result)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for name, trace in result.bad:
        print(f"\n--- {name}\n{trace}", end="")
    print(f"e2e: {result.passed} passed, {len(result.bad)} failed, {len(result.skipped)} skipped")
    if not result.passed and not result.bad and result.skipped:
        return 77
    return 0 if result.passed and not result.bad else 1


if __name__ == "__main__":
    sys.exit(main())
