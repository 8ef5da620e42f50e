#!/usr/bin/env python3
"""What off-CPU profiling adds to a context switch: denet against libbpf-tools' offcputime, in one
run.

switch.py --plugins DIR [--pair threads|processes] [--rounds 9] [--switches 600000]

Two threads or two processes pass a byte to and fro through pipes on one CPU (pipes.c): untraced; with
denet, OffCPU "times"; with "stacks" and a rule that matches the first one's process; with "stacks"
for another process; with offcputime -p of the first one's process; with offcputime of the whole
host. Each run with a tracer is paired with the runs without right before and after it. Prints
Markdown: medians of the pairs' differences with their quartiles, ratios, what the collectd used by
thread, and for how long denet's programs ran (kernel.bpf_stats_enabled, in runs of its own).

Needs root, gcc, bpftool, and offcputime (Debian: libbpf-tools); without it only denet is measured.
"""
import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from statistics import median

sys.dont_write_bytecode = True
from daemon import (Daemon, build, denet_body, median_and_quartiles, option_parser, print_table, rotate,
                    threads_used)
from spawn import program_costs

SETTLE = 2.5  # seconds after a tracer has started; a process is matched by then

# offcputime's added cost divided by denet's, at least.
TARGETS = (("offcputime -p", "stacks, followed", 6), ("offcputime", "stacks, not followed", 15))


class Pipes:
    """The pair, which waits between two runs."""

    def __init__(self, program, pair, switches):
        self.switches = switches
        self.process = subprocess.Popen(["pipes", "ping", pair], executable=program, text=True,
                                        bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def run(self):
        """ns of a switch."""
        self.process.stdin.write(f"run {self.switches // 2}\n")
        return float(self.process.stdout.readline())


class Denet:
    """A collectd with denet while a run goes on."""

    def __init__(self, arguments, mode, pattern):
        self.daemon = Daemon(denet_body(arguments.plugins, "bpf", pattern, f'OffCPU "{mode}"'), 10)
        self.shares = collections.defaultdict(list)  # thread -> % of a CPU, run by run
        self.rates = []

    def run(self, pipes):
        with self.daemon as daemon:
            time.sleep(SETTLE)
            used, begun = threads_used(daemon.pid), time.monotonic()
            ns = pipes.run()
            seconds = time.monotonic() - begun
            for name, (after, _) in threads_used(daemon.pid).items():
                self.shares[name].append((after - used[name][0]) / 1e7 / seconds)
            self.rates.append(pipes.switches / seconds)
        return ns


class Peer:
    """offcputime while a run goes on."""

    def __init__(self, *options):
        path = os.environ["PATH"] + ":/usr/sbin"
        names = "offcputime", "offcputime-libbpf"  # in Debian 12, and since 13
        found = [shutil.which(name, path=path) for name in names]
        self.command = [found[0] or found[1], *options]

    def run(self, pipes):
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            time.sleep(SETTLE)
            if process.poll() is not None:
                raise RuntimeError(f"{self.command} ended with {process.returncode}")
            return pipes.run()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def make_tracers(arguments, pipes):
    tracers = {
        "times, followed": Denet(arguments, "times", "^pipes ping"),
        "stacks, followed": Denet(arguments, "stacks", "^pipes ping"),
        "stacks, not followed": Denet(arguments, "stacks", "^sleep 31557600$"),
    }
    if Peer().command[0]:
        tracers["offcputime -p"] = Peer("-p", str(pipes.pid))
        tracers["offcputime"] = Peer()
    else:
        print("offcputime is not there (Debian: libbpf-tools)", file=sys.stderr)
    return tracers


def denets(tracers):
    return [(name, tracer) for name, tracer in tracers.items() if isinstance(tracer, Denet)]


def print_costs(added, base):
    print_table("what | added ns a switch (quartiles) | added",
                (f"{name} | {median_and_quartiles(differences, 0)} "
                 f"| {100 * median(differences) / base:+.1f} %" for name, differences in added.items()))
    rows = []
    for peer, ours, least in TARGETS:
        if peer in added:
            own = median(added[ours])
            ratio = f"{median(added[peer]) / own:.1f}" if own > 0 else "denet's is within the noise"
            rows.append(f"{peer} / {ours} | {ratio} | {least}")
    print_table("what | ratio of the added ns | at least", rows)


def print_threads(tracers):
    rows = []
    for name, tracer in denets(tracers):
        shares = {thread: median(values) for thread, values in tracer.shares.items()}
        parts = ", ".join(f"{thread} {share:.2f}" for thread, share in
                          sorted(shares.items(), key=lambda row: -row[1]) if share >= 0.005)
        rows.append(f"{name} | {median(tracer.rates):,.0f} | {sum(shares.values()):.2f} | {parts}")
    print("\nCPU use of the collectd meanwhile, % of one CPU by thread:")
    print_table("what | switches a second | all threads | of which", rows)


def program_rows(tracers, pipes):
    """How long denet's own programs run, without the way into them."""
    for name, tracer in denets(tracers):
        costs, = program_costs(tracer.daemon, SETTLE, [pipes.run])
        spent = {program: (count / pipes.switches, ns / pipes.switches)
                 for program, (count, ns) in costs.items()}
        parts = ", ".join(f"{program} {ns:.1f} ({count:.2f} runs)"
                          for program, (count, ns) in spent.items() if ns >= 0.05)
        yield f"{name} | {sum(ns for _, ns in spent.values()):.0f} | {parts}"


def compare(tracers, arguments, pipes):
    added, untraced = {name: [] for name in tracers}, [pipes.run()]
    for turn in range(arguments.rounds):
        for name in rotate(list(tracers), turn):
            before = untraced[-1]
            traced = tracers[name].run(pipes)
            time.sleep(1)
            untraced.append(pipes.run())
            added[name].append(traced - (before + untraced[-1]) / 2)
    print(f"Two {arguments.pair}, a byte through pipes on one CPU: {median(untraced):.0f} ns a "
          f"switch untraced; medians of {arguments.rounds} pairs of {arguments.switches:,} switches")
    print_costs(added, median(untraced))


def main():
    parser = option_parser(__doc__, with_source=False)
    parser.add_argument("--pair", choices=("threads", "processes"), default="threads")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--switches", type=int, default=600000, help="in one run")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        program = build(folder, "pipes", "-pthread")
        other = subprocess.Popen(["sleep", "31557600"])
        stack.callback(other.wait)
        stack.callback(other.kill)
        pipes = stack.enter_context(Pipes(program, arguments.pair, arguments.switches))
        tracers = make_tracers(arguments, pipes)
        compare(tracers, arguments, pipes)
        print_threads(tracers)
        if shutil.which("bpftool"):
            print("\nns in denet's BPF programs for one switch, and runs of each for one switch:")
            print_table("what | ns | of which", program_rows(tracers, pipes))


if __name__ == "__main__":
    main()
