#!/usr/bin/env python3
"""Measures what denet adds to the life of a process: fork, exec, exit and wait, with and without it.

spawn.py --plugins DIR [--source bpf|procfs] [--count 5000] [--pairs 11]

spawn.c makes processes one after the other on one CPU: by posix_spawn of a small static program, and
by fork without an exec. It does so without a collectd, with one whose rule matches none of them, and
with one whose rule matches all of them by their command line. No writer is loaded. The figure of a
run is the median of batches of 50. Each run with denet is paired with a run without it, before or
after it in turn.

Prints a Markdown table of medians: wall time of one process, what denet adds (of the differences
within pairs), and the CPU time of collectd itself, on any CPU, for each process.

The noise of a host is larger than a few us. With bpf a second table has the time in denet's programs
for one process, as the kernel counts it (kernel.bpf_stats_enabled, on only during this run). It does
not include the way into the programs and the cache lines that they displace.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import Daemon, cpu_seconds, denet_body

HERE = pathlib.Path(__file__).parent

SETTLE = 2  # seconds after collectd has started or ended
TICK = 1.2  # seconds, more than one tick of the sampler
PATTERNS = {"none": "^matches nothing$", "all": "bench-spawn"}
KINDS = {"exec": "vfork, exec, exit", "fork": "fork, exit"}


def spawn(program, count, kind):
    """Wall and CPU us of one process."""
    said = subprocess.run([program, kind, str(count)], check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in said.stdout.split()]


def run_without(program, arguments):
    time.sleep(SETTLE)
    return {kind: spawn(program, arguments.count, kind) for kind in KINDS}


def run_with(program, arguments, pattern):
    """As run_without(), and the CPU us of collectd for each process."""
    results = {}
    with Daemon(denet_body(arguments.plugins, arguments.source, pattern), 10) as daemon:
        time.sleep(SETTLE)
        for kind in KINDS:
            used = cpu_seconds(daemon.pid)
            results[kind] = spawn(program, arguments.count, kind)
            time.sleep(TICK)
            used = cpu_seconds(daemon.pid) - used
            results[kind].append(1e6 * used / arguments.count)
    return results


@contextlib.contextmanager
def program_statistics():
    switch = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


def program_times():
    """{(name, id): (runs, ns)} of each BPF program of the host."""
    said = subprocess.run(["bpftool", "--json", "prog", "show"], check=True, stdout=subprocess.PIPE)
    return {(program.get("name", ""), program["id"]):
            (program.get("run_cnt", 0), program.get("run_time_ns", 0))
            for program in json.loads(said.stdout)}


def print_program_rows(program, arguments, matched):
    foreign = program_times()
    body = denet_body(arguments.plugins, arguments.source, PATTERNS[matched])
    with program_statistics(), Daemon(body, 10):
        time.sleep(SETTLE)
        for kind in KINDS:
            before = program_times()
            spawn(program, arguments.count, kind)
            spent = {}
            for key, (runs, ns) in program_times().items():
                runs, ns = runs - before[key][0], ns - before[key][1]
                # The iterator runs once a tick and is left out.
                if key not in foreign and runs >= arguments.count / 2:
                    spent[key[0]] = ns / runs / 1000
            parts = ", ".join(f"{name} {us:.2f}" for name, us in spent.items())
            print(f"| {KINDS[kind]} | {matched} | {sum(spent.values()):.2f} | {parts} |", flush=True)


def print_row(kind, matched, pairs):
    wall = statistics.median(without[kind][0] for without, _ in pairs)
    added = [found[kind][0] - without[kind][0] for without, found in pairs]
    share = [found[kind][0] / without[kind][0] - 1 for without, found in pairs]
    added_cpu = statistics.median(found[kind][1] - without[kind][1] for without, found in pairs)
    own = statistics.median(found[kind][2] for _, found in pairs)
    # Each value twice: quantiles() needs two, and there may be one pair.
    low, _, high = statistics.quantiles(added * 2, n=4, method="inclusive")
    print(f"| {KINDS[kind]} | {matched} | {wall:.1f} | {statistics.median(added):+.2f} "
          f"({low:+.2f} to {high:+.2f}) | {100 * statistics.median(share):+.1f} % | {added_cpu:+.2f} "
          f"| {own:.2f} |", flush=True)


def compare_walls(program, arguments):
    pairs = {matched: [] for matched in PATTERNS}
    for i in range(arguments.pairs):
        for matched, pattern in PATTERNS.items():
            without = run_without(program, arguments) if i % 2 == 0 else None
            found = run_with(program, arguments, pattern)
            pairs[matched].append((without or run_without(program, arguments), found))
    print(f"us for one process; medians of {arguments.pairs} pairs of {arguments.count:,} processes, "
          f"denet with {arguments.source}\n")
    print("| what | matched | without denet | added (quartiles) | added | added CPU "
          "| collectd's own CPU |\n|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for matched in PATTERNS:
            print_row(kind, matched, pairs[matched])


def compare_programs(program, arguments):
    print("\nus in denet's BPF programs for one process\n")
    print("| what | matched | in all | of which |\n|---|---|---|---|")
    for matched in PATTERNS:
        print_program_rows(program, arguments, matched)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, type=os.path.abspath)
    parser.add_argument("--source", choices=("bpf", "procfs"), default="bpf")
    parser.add_argument("--count", type=int, default=5000, help="of processes in one run")
    parser.add_argument("--pairs", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "bench-spawn")
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-static", "-o", program,
                        str(HERE / "spawn.c")], check=True)
        compare_walls(program, arguments)
        if arguments.source == "bpf" and shutil.which("bpftool"):
            compare_programs(program, arguments)


if __name__ == "__main__":
    main()
