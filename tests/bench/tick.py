#!/usr/bin/env python3
"""CPU time of one pass over the host: denet against collectd's own processes plugin and against the
bare task iterator of bare.bpf.c, in one run.

tick.py --plugins DIR [--source bpf|procfs] [--processes 2000 10000] [--every 10] [--rounds 3]
        [--seconds 18]

Prints a Markdown table: medians of the rounds, in ms of CPU, and medians of each round's ratios. Within
a round everything runs in turn over the same processes, which are older than ten seconds.

How the cost of a pass is found: a collectd runs with nothing but the plugin; the CPU time of all its
threads over a time that holds whole intervals, less what an empty collectd uses in that time, is
divided by the number of passes in it. The processes plugin makes one in each Interval, here one
second for each 2,000 processes, for it must get done. denet makes one each MaxInterval (one second,
the default) and one more for each report, after which the second begins anew. Its Interval here is 9.5
seconds, so that the two never meet: there are ten passes in it. What a report costs besides, matching
and dispatching included, is in the figure. That there were so many is checked with bpf, by how often
the sampler's thread went to sleep, twice a pass; with procfs it also waits for its reader. The bare
iterator times its own passes, one a second, by the thread's CPU clock.
"""
import argparse
import contextlib
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import Daemon, cpu_seconds, denet_body, thread_waits

HERE = pathlib.Path(__file__).parent

WARM_UP = 3.5  # seconds: half a second off every read and every tick
OLD = 12  # seconds after which a process is sampled at the slowest pace
DENET_INTERVAL = 9.5
DENET_PASSES = 10  # in one such interval

# What denet's pass may cost at most, with BPF: (processes / denet, denet / bare iterator).
TARGETS = {"every one": (25, 3), "one in 100": (60, 1.5)}


def used_ms(body, interval, intervals):
    """CPU ms that a collectd uses over whole intervals, after a warm-up, and the sampler's waits."""
    with Daemon(body, interval) as daemon:
        time.sleep(WARM_UP)
        begun = time.monotonic()
        waits, used = thread_waits(daemon.pid, "denet-sampler"), cpu_seconds(daemon.pid)
        time.sleep(begun + interval * intervals - time.monotonic())
        used = cpu_seconds(daemon.pid) - used
        if waits is not None:
            waits = thread_waits(daemon.pid, "denet-sampler") - waits
        return 1000 * used, waits


def intervals_in(arguments, interval):
    return max(1, round(arguments.seconds / interval))


def empty_rate(arguments):
    """CPU ms a second of a collectd without a plugin that reads."""
    intervals = intervals_in(arguments, DENET_INTERVAL)
    return used_ms("", DENET_INTERVAL, intervals)[0] / (intervals * DENET_INTERVAL)


def peer_pass(arguments, options, pattern, empty):
    interval = max(1, math.ceil(arguments.count / 2000))
    body = f"""
LoadPlugin processes
<Plugin processes>
  {options}
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""
    intervals = intervals_in(arguments, interval)
    return used_ms(body, interval, intervals)[0] / intervals - empty * interval


def denet_pass(arguments, pattern, empty):
    intervals = intervals_in(arguments, DENET_INTERVAL)
    body = denet_body(arguments.plugins, arguments.source, pattern)
    used, waits = used_ms(body, DENET_INTERVAL, intervals)
    passes = DENET_PASSES * intervals
    # Each wait is two: it rests first, and listens to what begins only then.
    strays = waits is None or abs(waits - 2 * passes) > passes / 5
    if strays and arguments.source == "bpf":
        print(f"the sampler slept {waits} times, not {2 * passes}: within passes, or there were others, "
              "which a host that starts many processes may call for", file=sys.stderr)
    return (used - empty * DENET_INTERVAL * intervals) / passes


def bare_pass(arguments):
    if not arguments.bare:
        return math.nan
    said = subprocess.run([arguments.bare, str(round(arguments.seconds)), "1000"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return float(said.split()[-1])


def one_round(arguments, pattern):
    empty = empty_rate(arguments)
    least = peer_pass(arguments, "", pattern, empty)
    bare = bare_pass(arguments)
    ours = denet_pass(arguments, pattern, empty)
    full = peer_pass(arguments, "CollectContextSwitch true", pattern, empty)
    return least, full, ours, bare, least / ours, full / ours, ours / bare


def figure(value):
    return "–" if math.isnan(value) else f"{value:.{2 if value < 1.995 else 1 if value < 19.95 else 0}f}"


def print_row(arguments, doing, matched, pattern):
    rounds = [one_round(arguments, pattern) for _ in range(arguments.rounds)]
    least, full, ours, bare, by_least, by_full, by_bare = (
        statistics.median(column) for column in zip(*rounds))
    print(f"| {arguments.count:,} {doing} | {matched} | {least:.0f} / {full:.0f} | {figure(ours)} "
          f"| {figure(by_least)} / {figure(by_full)} | {figure(bare)} | {figure(by_bare)} |", flush=True)


def describe(every):
    return {0: "asleep", 1: "awake"}.get(every, f"1 in {every} awake")


@contextlib.contextmanager
def sleepers(program, count, every):
    command = [program, str(count), str(every), "500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        time.sleep(OLD)
        yield
    finally:
        process.kill()
        process.wait()


def build(name, folder):
    program = os.path.join(folder, name)
    subprocess.run(["cc", "-O1", "-o", program, str(HERE / f"{name}.c")], check=True)
    return program


def build_bare(folder):
    """None where clang or bpftool is not there."""
    if not (shutil.which("clang") and shutil.which("bpftool")):
        return None
    program, bpf_object = os.path.join(folder, "bare"), os.path.join(folder, "bare.bpf.o")
    triplet = subprocess.run(["cc", "-print-multiarch"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-mcpu=v2", "-idirafter",
                    f"/usr/include/{triplet}", "-c", str(HERE / "bare.bpf.c"), "-o", bpf_object],
                   check=True)
    with open(os.path.join(folder, "bare.skel.h"), "w") as skeleton:
        subprocess.run(["bpftool", "gen", "skeleton", bpf_object, "name", "bare"], check=True,
                       stdout=skeleton)
    subprocess.run(["cc", "-O2", "-I", folder, "-o", program, str(HERE / "bare.c"), "-lbpf"],
                   check=True)
    return program


def print_targets():
    print()
    for matched, (by_peer, by_bare) in TARGETS.items():
        print(f"To be reached with BPF, {matched} matched: `processes` / denet at least {by_peer}, "
              f"denet / bare at most {by_bare:g}.")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, type=os.path.abspath)
    parser.add_argument("--source", choices=("bpf", "procfs"), default="bpf")
    parser.add_argument("--processes", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--every", type=int, nargs="+", default=[10],
                        help="one in so many wakes twice a second; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=18, help="for one measurement, about")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    with tempfile.TemporaryDirectory() as folder:
        program, arguments.bare = build("sleepers", folder), build_bare(folder)
        print(f"CPU ms of a pass over the host; denet with {arguments.source}, medians of "
              f"{arguments.rounds} rounds. The second `processes` has `CollectContextSwitch true`.\n")
        print("| processes | matched | `processes` | denet | `processes` / denet | bare iterator "
              "| denet / bare |\n|---|---|---|---|---|---|---|")
        for arguments.count in arguments.processes:
            for every in arguments.every:
                with sleepers(program, arguments.count, every):
                    print_row(arguments, describe(every), "every one", "sleeper")
                    print_row(arguments, describe(every), "one in 100", "sleeper [0-9]*00$")
    print_targets()


if __name__ == "__main__":
    main()
