#!/usr/bin/env python3
"""Runs the end-to-end tests: run.py --plugins DIR [--source procfs|bpf] [--jobs N] [NAME...]. A
NAME is a part of a test's name, such as test_rules, test_rules.Slots or a method. Tests of the
other source are left out (harness.bpf_only, harness.procfs_only).

First come the cases that may run beside others, in N processes; each process has a folder of its
own. Then come the cases that need a quiet machine (harness.alone, harness.measures), one by one, or
two at a time if each uses little of it (LIGHT). --part runs only the ones or the others. Several
run.py may run shared cases at the same time with the same --locks: two of them never run the same
case at once, as its rules would match the processes of both.

A test that fails is run once more, by itself, when all others have ended, as other processes may
have had the CPUs: its lines begin with "again", and its second result counts. A line before the
last one names those that passed only then. A report of a sanitizer has no second chance.

If the plugins were built with a sanitizer, its runtime library is loaded into each collectd, and
every report is a failure. Some tests are left out then (harness.native_only); others only matter
for the reports of the sanitizer (harness.measures), and --no-reports leaves these out too.

The last line is "e2e: N passed, N failed, N skipped". The exit status is 77 if the source is not
available and so every test was skipped; with DENET_REQUIRE_BPF=1 in the environment every test
fails instead."""

import argparse
import contextlib
import fcntl
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

# Cases that need a quiet machine and less than one CPU, and that do not disturb each other.
LIGHT = {"test_interval.Interval", "test_regressions.LongCommandLines",
         "test_regressions.OutOfFiles", "test_off_cpu.Budget", "test_off_cpu.BudgetWithReasons",
         "test_off_cpu_stacks.TwoWaits", "test_off_cpu_stacks.TwoWaitsAtALowRate",
         "test_off_cpu_stacks.InTurn", "test_off_cpu_stacks.WholeAndNamed",
         "test_off_cpu_stacks.Followed", "test_tree.Sums"}


class Result(unittest.TestResult):
    """Prints one line for each test as it ends, and keeps the tracebacks."""

    def __init__(self, prefix="", counts=True):
        """prefix: of its lines; counts: whether it matters what the tests find."""
        super().__init__()
        self.prefix, self.counts = prefix, counts
        self.passed = 0
        self.bad = []  # [(id of the test or case, traceback)]
        self.passed_again = []  # names of tests that passed only when they were run again

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.is_bad = False

    def _print(self, word, test, reason=""):
        seconds = time.monotonic() - getattr(self, "began", time.monotonic())
        word = word if self.counts else "ran"
        # One write: other processes write to the same output.
        print(f"{self.prefix}{word:4} {test.id()} ({seconds:.1f} s){reason and ': ' + reason}\n",
              end="", flush=True)

    def _fail(self, test, error):
        self.bad.append((test.id(), self._exc_info_to_string(error, test)))
        self.is_bad = True
        self._print("FAIL", test)

    def addSuccess(self, test):
        self.passed += 1
        self._print("ok", test)

    addError = addFailure = _fail

    def addSubTest(self, test, subtest, err):
        if err:
            self._fail(subtest, err)

    def addSkip(self, test, reason):
        self.skipped.append((test.id(), reason))
        self._print("skip", test, reason)


def is_wanted(test, options, is_sanitized):
    """Returns False for a test that is not asked for, None for one that is left out."""
    source, names = options.source, options.names
    if getattr(test, "only_source", source) != source or \
            names and not any(name in test.id() for name in names):
        return False
    is_left_out = is_sanitized and is_marked(test, "is_native_only") or \
        options.no_reports and is_marked(test, "is_for_reports")
    return None if is_left_out else True


def is_marked(test, mark):
    """Returns whether the case or the method has the mark."""
    return any(getattr(thing, mark, False)
               for thing in (test, getattr(test, test._testMethodName, None)))


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def begin_process(folder):
    """Prepares a process that runs tests."""
    own = tempfile.mkdtemp(prefix="tests-", dir=folder)
    os.chmod(own, 0o755)
    os.environ["DENET_E2E_FOLDER"] = own


@contextlib.contextmanager
def locked(folder, name):
    """Excludes other processes that use the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Outcome:
    """What became of a case, in another process or in the second run of it."""

    def __init__(self, result, reports=()):
        self.passed, self.bad, self.skipped = result.passed, result.bad, result.skipped
        self.reports = list(reports)  # of sanitizers, like bad


def run_case(name, ids, locks, prefix=""):
    """Runs tests of one case. Returns an Outcome."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(ids)
    counts = not any(is_marked(test, "is_for_reports") for test in flatten(suite))
    with locked(locks, name) if locks else contextlib.nullcontext():
        result, began = Result(prefix, counts), time.time()
        suite.run(result)
    print(f"{prefix}case {name} ({time.time() - began:.1f} s)\n", end="", flush=True)
    if not counts:
        result = Result()
    # Every collectd of the case has ended.
    reports = importlib.import_module("sanitizer").take_reports(os.environ["DENET_E2E_FOLDER"],
                                                                began)
    if reports:
        print(f"{prefix}FAIL {name}: a sanitizer reports\n", end="", flush=True)
    return Outcome(result, [(name, report) for report in reports])


def run_cases(cases, jobs, folder, locks, prefix=""):
    """cases: {name: the ids of its tests}. Returns {name: its Outcome}."""
    outcomes = {}
    # Spawned, so that no process begins with state of another one's tests.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), begin_process,
                             (folder,)) as pool:
        futures = {pool.submit(run_case, name, ids, locks, prefix): name
                   for name, ids in cases.items()}
        for future in as_completed(futures):
            name, error = futures[future], future.exception()
            outcomes[name] = Outcome(Result()) if error else future.result()
            if error:
                outcomes[name].bad = [(name, f"its process: {error!r}\n")]
    return outcomes


def failed_of(ids, bad):
    """Returns which of the tests failed; all of them if none has: setUpClass() failed."""
    # The id of a sub-test has its parameters behind a blank.
    failed = {test_id.partition(" ")[0] for test_id, _ in bad}
    return [test_id for test_id in ids if test_id in failed] or (ids if bad else [])


def run_again(name, ids, first, options, folder):
    """Runs the tests of a case that failed once more. Returns the Outcome of both runs, and the
    names of the tests that passed only now."""
    failed = failed_of(ids, first.bad)
    second = run_cases({name: failed}, 1, folder, options.locks, "again ")[name]
    is_of_all = len(failed) == len(ids)
    second.passed += 0 if is_of_all else first.passed
    second.skipped += [] if is_of_all else first.skipped
    second.reports += first.reports
    not_passed = {*failed_of(failed, second.bad), *(test_id for test_id, _ in second.skipped)}
    return second, [test_id for test_id in failed if test_id not in not_passed]


def cases_of(tests):
    """Returns {"module.Case": the ids of its tests}."""
    cases = {}
    for test in tests:
        cases.setdefault(test.id().rpartition(".")[0], []).append(test.id())
    return cases


def run(options, folder, result):
    harness = importlib.import_module("harness")
    loader = unittest.TestLoader()
    found = list(flatten(loader.discover(str(HERE), "test_*.py", str(HERE))))
    unknown = LIGHT - set(cases_of(found))
    if loader.errors or unknown:
        result.bad += [("a module of tests", error) for error in loader.errors]
        result.bad += [(name, "LIGHT names it, but there is no such case\n") for name in unknown]
        return
    wanted = [(test, is_wanted(test, options, harness.is_sanitized())) for test in found]
    tests = [test for test, answer in wanted if answer]
    reason = harness.why_no_bpf() if options.source == "bpf" else ""
    if reason:
        for test in tests:
            if os.environ.get("DENET_REQUIRE_BPF") == "1":
                result.bad.append((test.id(), f"no BPF: {reason}\n"))
            else:
                result.addSkip(test, f"no BPF: {reason}")
    else:
        alone = [test for test in tests if is_marked(test, "is_alone")]
        shared = [test for test in tests if not is_marked(test, "is_alone")]
        outcomes = {}
        if options.part != "alone":
            # One source from the end, so that runs of both seldom wait for each other's cases.
            cases = cases_of(shared)
            if options.source == "bpf":
                cases = dict(reversed(cases.items()))
            outcomes |= run_cases(cases, options.jobs, folder, options.locks)
        if options.part != "shared":
            for is_light, jobs in ((True, min(2, os.cpu_count())), (False, 1)):
                cases = {name: ids for name, ids in cases_of(alone).items()
                         if (name in LIGHT) == is_light}
                outcomes |= run_cases(cases, jobs, folder, None)
        finish(cases_of(tests), outcomes, options, folder, result)
    left_out = sum(answer is None for _, answer in wanted)
    for_reports = sum(is_marked(test, "is_for_reports") for test in tests)
    if left_out or for_reports:
        print(f"sanitizer: {left_out} tests left out, {for_reports} run only for reports")


def finish(cases, outcomes, options, folder, result):
    """Runs again what failed, and adds up all results."""
    for name, outcome in outcomes.items():
        for test_id, trace in outcome.bad:
            print(f"\n--- {test_id}, first run\n{trace}", end="")
        if outcome.bad:
            outcome, passed = run_again(name, cases[name], outcome, options, folder)
            result.passed_again += passed
        result.passed += outcome.passed
        result.skipped += outcome.skipped
        result.bad += outcome.bad + outcome.reports


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, help="the folder with denet.so")
    parser.add_argument("--source", default="procfs", choices=["procfs", "bpf"])
    parser.add_argument("--jobs", type=int, default=1, help="how many test cases at a time")
    parser.add_argument("--part", choices=["shared", "alone"], help="default: both")
    parser.add_argument("--locks", type=Path, metavar="FOLDER",
                        help="shared with other run.py that run at the same time")
    parser.add_argument("--no-reports", action="store_true",
                        help="without tests that only matter for the reports of a sanitizer")
    parser.add_argument("--keep", action="store_true", help="do not remove the folders")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    folder = tempfile.mkdtemp(prefix="denet-e2e-")
    os.chmod(folder, 0o755)
    os.environ["DENET_PLUGINS"] = str(Path(options.plugins).resolve())
    os.environ["DENET_E2E_FOLDER"] = folder
    os.environ["DENET_E2E_PROGRAMS"] = folder
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
    if result.passed_again:
        print(f"passed only when run again: {', '.join(result.passed_again)}")
    print(f"e2e: {result.passed} passed, {len(result.bad)} failed, {len(result.skipped)} skipped")
    if not result.passed and not result.bad and result.skipped:
        return 77
    return 0 if result.passed and not result.bad else 1


if __name__ == "__main__":
    sys.exit(main())
