#!/usr/bin/env python3
"""Measures the CPU time of one pass over the host: denet, collectd's own processes plugin, and the
bare task iterator of bare.bpf.c, in one run.

tick.py --plugins DIR [--source bpf|procfs] [--processes 2000 10000] [--every 10] [--rounds 3]
        [--seconds 18]

Prints a Markdown table: medians of the rounds, in ms of CPU, and medians of the rounds' ratios. A
round measures everything in turn over the same processes, which are older than ten seconds.

The CPU time of a pass is a mean. A collectd runs with only the plugin under test. The CPU time of all
its threads in whole intervals, minus that of a collectd without a plugin in the same time, is divided
by the number of passes in those intervals.

* The processes plugin makes one pass in each Interval: one second for each 2,000 processes, so that
  each pass ends in time.
* denet makes one pass each MaxInterval (1 s, the default) and one for each report, from which the next
  second counts. Its Interval is 9.5 s, so that no pass is both: ten passes in an interval. The figure
  includes the report, matching and dispatching. With bpf the number of passes is checked: the sampler
  thread waits twice for each. With procfs it also waits for the threads that read files.
* The bare iterator measures its own passes, one a second, with the CPU clock of its thread.
"""
import itertools
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import (HERE, Daemon, build, cpu_seconds, denet_body, option_parser, print_table,
                    running, thread_waits)

WARM_UP = 3.5  # seconds: half a second away from reads and ticks
OLD = 12  # seconds after which a process is sampled at MaxInterval
DENET_INTERVAL = 9.5
DENET_PASSES = 10  # in one such interval

# The targets with BPF: (processes / denet at least, denet / bare iterator at most).
TARGETS = {"every one": (25, 3), "one in 100": (60, 1.5)}


class Bench:
    def __init__(self, options, count, bare):
        self.options, self.count, self.bare = options, count, bare
        self.empty_rate = 0  # CPU ms a second of a collectd without plugins

    def used_ms(self, body, interval):
        """CPU ms for each interval, without those of an empty collectd; the number of intervals; and
        the sampler's waits in them."""
        intervals = max(1, round(self.options.seconds / interval))
        with Daemon(body, interval) as daemon:
            time.sleep(WARM_UP)
            end = time.monotonic() + interval * intervals
            waits, used = thread_waits(daemon.pid, "denet-sampler"), cpu_seconds(daemon.pid)
            time.sleep(end - time.monotonic())
            used = 1000 * (cpu_seconds(daemon.pid) - used)
            waits = (thread_waits(daemon.pid, "denet-sampler") or 0) - (waits or 0)
        return used / intervals - self.empty_rate * interval, intervals, waits

    def processes_pass(self, options, pattern):
        body = f"""
LoadPlugin processes
<Plugin processes>
  {options}
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""
        return self.used_ms(body, max(1, math.ceil(self.count / 2000)))[0]

    def denet_pass(self, pattern):
        body = denet_body(self.options.plugins, self.options.source, pattern)
        used, intervals, waits = self.used_ms(body, DENET_INTERVAL)
        expected = 2 * DENET_PASSES * intervals
        if self.options.source == "bpf" and abs(waits - expected) > expected / 10:
            print(f"the sampler waited {waits} times, not {expected}: the number of passes is wrong, "
                  "as on a host that starts many processes", file=sys.stderr)
        return used / DENET_PASSES

    def bare_pass(self):
        if not self.bare:
            return math.nan
        said = subprocess.run([self.bare, str(round(self.options.seconds)), "1000"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        words = said.split()
        return float(words[words.index("mean") + 1])

    def round(self, pattern):
        self.empty_rate = 0
        self.empty_rate = self.used_ms("", DENET_INTERVAL)[0] / DENET_INTERVAL
        least = self.processes_pass("", pattern)
        bare = self.bare_pass()
        ours = self.denet_pass(pattern)
        full = self.processes_pass("CollectContextSwitch true", pattern)
        return least, full, ours, bare, least / ours, full / ours, ours / bare

    def row(self, doing, matched, pattern):
        rounds = [self.round(pattern) for _ in range(self.options.rounds)]
        least, full, ours, bare, by_least, by_full, by_bare = (
            figure(statistics.median(column)) for column in zip(*rounds))
        return (f"{self.count:,} {doing} | {matched} | {least} / {full} | {ours} "
                f"| {by_least} / {by_full} | {bare} | {by_bare}")


def figure(value):
    """Three digits at most."""
    digits = 2 if value < 1.995 else 1 if value < 19.95 else 0
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def build_bare(folder):
    """Returns None without clang or bpftool."""
    if not (shutil.which("clang") and shutil.which("bpftool")):
        return None
    bpf_object = os.path.join(folder, "bare.bpf.o")
    triplet = subprocess.run(["cc", "-print-multiarch"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-mcpu=v2", "-idirafter",
                    f"/usr/include/{triplet}", "-c", str(HERE / "bare.bpf.c"), "-o", bpf_object],
                   check=True)
    with open(os.path.join(folder, "bare.skel.h"), "w") as skeleton:
        subprocess.run(["bpftool", "gen", "skeleton", bpf_object, "name", "bare"], check=True,
                       stdout=skeleton)
    return build(folder, "bare", "-I", folder, "-lbpf")


def rows(options, folder):
    program, bare = build(folder, "sleepers"), build_bare(folder)
    for count, every in itertools.product(options.processes, options.every):
        doing = {0: "asleep", 1: "awake"}.get(every, f"1 in {every} awake")
        with running([program, str(count), str(every), "500"], OLD):
            bench = Bench(options, count, bare)
            yield bench.row(doing, "every one", "sleeper")
            yield bench.row(doing, "one in 100", "sleeper [0-9]*00$")


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--every", type=int, nargs="+", default=[10],
                        help="one in so many wakes up twice a second; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=18, help="of one measurement, about")
    options = parser.parse_args()
    print(f"CPU ms of a pass over the host; denet with {options.source}, medians of "
          f"{options.rounds} rounds. The second `processes` has `CollectContextSwitch true`.")
    with tempfile.TemporaryDirectory() as folder:
        print_table("processes | matched | `processes` | denet | `processes` / denet "
                    "| bare iterator | denet / bare", rows(options, folder))
    print()
    for matched, (by_peer, by_bare) in TARGETS.items():
        print(f"Target with BPF, {matched} matched: `processes` / denet at least {by_peer}, "
              f"denet / bare at most {by_bare:g}.")


if __name__ == "__main__":
    main()
