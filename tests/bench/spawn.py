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
import contextlib
import functools
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import (Daemon, build, cpu_seconds, denet_body, median_and_quartiles, option_parser,
                    print_table)

SETTLE = 2  # seconds after collectd has started or ended
TICK = 1.2  # seconds, more than one tick of the sampler
PATTERNS = {"none": "^matches nothing$", "all": "/spawn( |$)"}
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


def program_costs(daemon, settle, runs):
    """{name: (runs, ns)} of the BPF programs that come with a daemon, during each of the runs."""
    foreign = program_times()
    with program_statistics(), daemon:
        time.sleep(settle)
        for run in runs:
            before = program_times()
            run()
            yield {key[0]: (count - before[key][0], ns - before[key][1])
                   for key, (count, ns) in program_times().items()
                   if key in before and key not in foreign}


def program_rows(program, arguments):
    for matched, pattern in PATTERNS.items():
        daemon = Daemon(denet_body(arguments.plugins, arguments.source, pattern), 10)
        runs = [functools.partial(spawn, program, arguments.count, kind) for kind in KINDS]
        for kind, costs in zip(KINDS.values(), program_costs(daemon, SETTLE, runs)):
            # The iterator runs once a tick and is left out.
            spent = {name: ns / count / 1000 for name, (count, ns) in costs.items()
                     if count >= arguments.count / 2}
            parts = ", ".join(f"{name} {us:.2f}" for name, us in spent.items())
            yield f"{kind} | {matched} | {sum(spent.values()):.2f} | {parts}"


def wall_row(kind, matched, pairs):
    wall = statistics.median(without[kind][0] for without, _ in pairs)
    added = [found[kind][0] - without[kind][0] for without, found in pairs]
    share = [found[kind][0] / without[kind][0] - 1 for without, found in pairs]
    added_cpu = statistics.median(found[kind][1] - without[kind][1] for without, found in pairs)
    own = statistics.median(found[kind][2] for _, found in pairs)
    return (f"{KINDS[kind]} | {matched} | {wall:.1f} | {median_and_quartiles(added, 2)} "
            f"| {100 * statistics.median(share):+.1f} % | {added_cpu:+.2f} | {own:.2f}")


def compare_walls(program, arguments):
    pairs = {matched: [] for matched in PATTERNS}
    for i in range(arguments.pairs):
        for matched, pattern in PATTERNS.items():
            without = run_without(program, arguments) if i % 2 == 0 else None
            found = run_with(program, arguments, pattern)
            pairs[matched].append((without or run_without(program, arguments), found))
    print(f"us for one process; medians of {arguments.pairs} pairs of {arguments.count:,} processes, "
          f"denet with {arguments.source}")
    print_table("what | matched | without denet | added (quartiles) | added | added CPU "
                "| collectd's own CPU",
                (wall_row(kind, matched, pairs[matched]) for kind in KINDS for matched in PATTERNS))


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--count", type=int, default=5000, help="of processes in one run")
    parser.add_argument("--pairs", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder, "spawn", "-static")
        compare_walls(program, arguments)
        if arguments.source == "bpf" and shutil.which("bpftool"):
            print("\nus in denet's BPF programs for one process")
            print_table("what | matched | in all | of which", program_rows(program, arguments))


if __name__ == "__main__":
    main()
