#!/usr/bin/env python3
"""Runs the end-to-end tests: run.py --plugins DIR [--source procfs|bpf] [--jobs N] [NAME...]; a
NAME is a part of a test's name, such as test_rules, test_rules.Slots or a method. Tests that are
for the other source alone are left out (harness.bpf_only, harness.procfs_only).

Each test case is run by one of N processes, which has a folder of its own. When all of them have
ended those that need the machine for themselves (harness.alone, harness.measures) follow one after
the other.

Where the plugins were built with a sanitizer its runtime library is loaded into each collectd,
every report is a failure. Tests that would be about the sanitizer are left out
(harness.native_only) or run for its reports alone (harness.measures), and counted; with --heard
the latter are left out too.

The closing line is "e2e: N passed, N failed, N skipped". The exit status is 77 if the source cannot
be had here and so every test was skipped; with DENET_REQUIRE_BPF=1 in the environment every test
fails instead."""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import unittest
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Result(unittest.TestResult):
    """One line for each test as it ends, the tracebacks kept for later."""

    def __init__(self, is_heard=True):
        """is_heard: whether it matters what the tests find."""
        super().__init__()
        self.is_heard = is_heard
        self.passed = 0
        self.bad = []

    def add(self, passed, bad, skipped):
        """What a test case gave that another process ran."""
        self.passed += passed
        self.bad += bad
        self.skipped += skipped

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.is_bad = False

    def _say(self, word, test, reason=""):
        seconds = time.monotonic() - getattr(self, "began", time.monotonic())
        word = word if self.is_heard else "ran"
        # One write, as others write too.
        print(f"{word:4} {test.id()} ({seconds:.1f} s){reason and ': ' + reason}\n", end="",
              flush=True)

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
        self.skipped.append((test.id(), reason))
        self._say("skip", test, reason)


def is_wanted(test, options, is_sanitized):
    """False for a test that is not asked for, None for one that only makes sense otherwise."""
    source, names = options.source, options.names
    if getattr(test, "only_source", source) != source or \
            names and not any(name in test.id() for name in names):
        return False
    is_for_others = is_sanitized and is_marked(test, "is_native_only") or \
        options.heard and is_marked(test, "is_for_reports")
    return None if is_for_others else True


def is_marked(test, mark):
    """Whether the case has the mark, or the method."""
    return any(getattr(thing, mark, False)
               for thing in (test, getattr(test, test._testMethodName, None)))


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def refuse(tests, reason, result):
    """What becomes of the tests when their source cannot be had."""
    for test in tests:
        if os.environ.get("DENET_REQUIRE_BPF") == "1":
            result.bad.append((test.id(), f"BPF cannot be had: {reason}\n"))
        else:
            result.addSkip(test, f"BPF cannot be had: {reason}")


def begin_process(folder):
    """Of each process that runs tests."""
    own = tempfile.mkdtemp(prefix="tests-", dir=folder)
    os.chmod(own, 0o755)
    os.environ["DENET_E2E_FOLDER"] = own


def run_case(name, ids):
    """Runs tests of one case, and gives what Result.add() takes."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(ids)
    is_heard = not any(is_marked(test, "is_for_reports") for test in flatten(suite))
    result, began = Result(is_heard), time.time()
    suite.run(result)
    print(f"case {name} ({time.time() - began:.1f} s)\n", end="", flush=True)
    if not is_heard:
        result = Result()
    # Only now has every collectd of the case ended.
    folder = os.environ["DENET_E2E_FOLDER"]
    for report in importlib.import_module("sanitizer").take_reports(folder, began):
        print(f"FAIL {name}: a sanitizer reports\n", end="", flush=True)
        result.bad.append((name, report))
    return result.passed, result.bad, result.skipped


def run_cases(cases, jobs, folder, result):
    """cases: {name: the ids of its tests}."""
    # Spawned, so that nothing of a test can be in the process of another.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), begin_process,
                             (folder,)) as pool:
        futures = {pool.submit(run_case, name, ids): name for name, ids in cases.items()}
        for future in as_completed(futures):
            error = future.exception()
            if error:
                result.bad.append((futures[future], f"its process: {error!r}\n"))
            else:
                result.add(*future.result())


def cases_of(tests):
    """{"module.Case": the ids of its tests}."""
    cases = {}
    for test in tests:
        cases.setdefault(test.id().rpartition(".")[0], []).append(test.id())
    return cases


def run(options, folder, result):
    harness = importlib.import_module("harness")
    loader = unittest.TestLoader()
    found = loader.discover(str(HERE), "test_*.py", str(HERE))
    if loader.errors:
        result.bad += [("a module of tests", error) for error in loader.errors]
        return
    wanted = [(test, is_wanted(test, options, harness.is_sanitized()))
              for test in flatten(found)]
    tests = [test for test, answer in wanted if answer]
    reason = harness.why_no_bpf() if options.source == "bpf" else ""
    if reason:
        refuse(tests, reason, result)
    else:
        alone = [test for test in tests if is_marked(test, "is_alone")]
        together = [test for test in tests if not is_marked(test, "is_alone")]
        run_cases(cases_of(together), options.jobs, folder, result)
        run_cases(cases_of(alone), 1, folder, result)
    left_out = sum(answer is None for _, answer in wanted)
    for_reports = sum(is_marked(test, "is_for_reports") for test in tests)
    if left_out or for_reports:
        print(f"of the sanitizer: {left_out} left out, {for_reports} run for its reports alone")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, help="the folder with denet.so")
    parser.add_argument("--source", default="procfs", choices=["procfs", "bpf"])
    parser.add_argument("--jobs", type=int, default=1, help="how many test cases at a time")
    parser.add_argument("--heard", action="store_true",
                        help="with a sanitizer: only tests of which more than its reports counts")
    parser.add_argument("--keep", action="store_true", help="leave the folders of the runs behind")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    folder = tempfile.mkdtemp(prefix="denet-e2e-")
    os.chmod(folder, 0o755)
    os.environ["DENET_PLUGINS"] = str(Path(options.plugins).resolve())
    os.environ["DENET_E2E_FOLDER"] = folder
    os.environ["DENET_E2E_SOURCE"] = options.source
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True

    result = Result()
    try:
        run(options, folder, result)
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
