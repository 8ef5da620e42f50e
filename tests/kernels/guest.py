#!/usr/bin/env python3
"""Runs tests in a guest, first with /proc, then with BPF: those of this folder, and end-to-end
tests that do not depend on how fast the machine is. Arguments are names to run instead. The last
line is "guest: N passed, N failed, N skipped"."""

import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
DENET = HERE.parent.parent

TESTS = ["test_kernels", "test_truth.AtRest", "test_truth.Bytes", "test_life.Shapes",
         "test_life.ForksThatEnd", "test_life.ForksThatEndWithTheirParents",
         "test_bpf.SameAsProc.test_every_metric_of_a_process_at_rest_is_the_same",
         "test_bpf.SameAsProc.test_io_and_threads_are_what_the_processes_did"]
STACKS = ["test_off_cpu_stacks.TwoWaits.test_" + name for name in (
    "each_stack_is_its_own_threads", "the_time_of_each_is_what_it_knows",
    "the_function_that_called_libc_is_in_all_stacks_that_are_whole")]


def run(source, names, folder, result):
    """Runs the tests of a source. Fails if it is not available."""
    from harness import why_no_bpf
    from run import cases_of, finish, flatten, run_cases
    from test_kernels import has_stacks

    os.environ["DENET_E2E_SOURCE"] = source
    print(f"== {source}, Linux {os.uname().release}", flush=True)
    reason = why_no_bpf() if source == "bpf" else ""
    if reason:
        result.bad.append(("why_no_bpf", reason + "\n"))
        return
    chosen = names or TESTS + (STACKS if has_stacks() else [])
    tests = [test for test in flatten(unittest.defaultTestLoader.loadTestsFromNames(chosen))
             if getattr(test, "only_source", source) == source]
    cases = cases_of(tests)
    finish(cases, run_cases(cases, 1, folder, None), SimpleNamespace(locks=None), folder, result)


def main():
    folder = tempfile.mkdtemp(prefix="guest-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    os.environ.update(DENET_PLUGINS=str(DENET / "plugins"), DENET_E2E_FOLDER=folder,
                      DENET_E2E_PROGRAMS=str(DENET / "programs"), DENET_REQUIRE_BPF="1")
    sys.path[:0] = [str(HERE), str(DENET / "tests/e2e")]
    from run import Result

    result = Result()
    for source in ("procfs", "bpf"):
        run(source, sys.argv[1:], folder, result)
    for name, trace in result.bad:
        print(f"\n--- {name}\n{trace}", end="")
    if result.passed_again:
        print("passed only when run again:", ", ".join(result.passed_again))
    print(f"guest: {result.passed} passed, {len(result.bad)} failed, {len(result.skipped)} skipped",
          flush=True)


if __name__ == "__main__":  # run_cases() starts processes that import this file
    main()
