#!/usr/bin/env python3
"""What off-CPU profiling adds to a context switch: denet against libbpf-tools' offcputime, in one
run.

switch.py --plugins DIR [--pair threads|processes] [--rounds 9] [--switches 600000]

Two threads, or two processes, pass a byte to and fro through pipes on one CPU (pipes.c). They do so
untraced, and with each of: denet with OffCPU "times"; denet with "stacks" and a rule that matches
the first one's process; denet with "stacks" for a process that is not theirs; offcputime -p of the
first one's process; offcputime of the whole host. Each run with a tracer is paired with those
without right before and right after it, and within a round each has its turn. Prints Markdown:
medians of the pairs' differences with their quartiles, the ratios, what the collectd itself used
meanwhile by thread, and for how long denet's programs ran for each switch, as the kernel counts it
(kernel.bpf_stats_enabled, on for a run of its own only).

Takes root, gcc, bpftool, and offcputime (Debian: libbpf-tools); without it denet stands alone.
"""
import argparse
import collections
import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import Daemon
from spawn import program_statistics, program_times

HERE = pathlib.Path(__file__).parent

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


def denet_body(plugins, mode, pattern):
    return f"""
PluginDir "{plugins}"
LoadPlugin denet
<Plugin denet>
  Source "bpf"
  OffCPU "{mode}"
  <Rule "bench">
    CommandLine "{pattern}"
    Children false
  </Rule>
</Plugin>
"""


def threads_used(pid):
    """CPU ns of the threads of a process, {name: ns}."""
    used = collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used[(task / "comm").read_text().strip()] += int(
                (task / "schedstat").read_text().split()[0])
    return used


class Denet:
    """A collectd with denet while a run goes on."""

    def __init__(self, arguments, mode, pattern):
        self.daemon = Daemon(denet_body(arguments.plugins, mode, pattern), 10)
        self.shares = collections.defaultdict(list)  # thread -> % of a CPU, run by run
        self.rates = []

    def run(self, pipes):
        with self.daemon as daemon:
            time.sleep(SETTLE)
            used, begun = threads_used(daemon.pid), time.monotonic()
            ns = pipes.run()
            seconds = time.monotonic() - begun
            for name, after in threads_used(daemon.pid).items():
                self.shares[name].append((after - used[name]) / 1e7 / seconds)
            self.rates.append(pipes.switches / seconds)
        return ns


class Peer:
    """offcputime while a run goes on."""

    def __init__(self, *options):
        path = os.environ["PATH"] + ":/usr/sbin"
        self.command = [shutil.which("offcputime", path=path), *options]

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


def median(values):
    return statistics.median(values)


def print_costs(added, base):
    print("| what | added ns a switch (quartiles) | added |\n|---|---|---|")
    for name, differences in added.items():
        low, _, high = statistics.quantiles(differences * 2, n=4, method="inclusive")
        middle = median(differences)
        print(f"| {name} | {middle:+.0f} ({low:+.0f} to {high:+.0f}) "
              f"| {100 * middle / base:+.1f} % |")


def print_ratios(added):
    print("\n| what | ratio of the added ns | at least |\n|---|---|---|")
    for peer, ours, least in TARGETS:
        if peer in added:
            own = median(added[ours])
            ratio = f"{median(added[peer]) / own:.1f}" if own > 0 else "denet's is within the noise"
            print(f"| {peer} / {ours} | {ratio} | {least} |")


def print_threads(tracers):
    print("\nCPU use of the collectd meanwhile, % of one CPU by thread:\n")
    print("| what | switches a second | all threads | of which |\n|---|---|---|---|")
    for name, tracer in tracers.items():
        if not isinstance(tracer, Denet):
            continue
        shares = {thread: median(values) for thread, values in tracer.shares.items()}
        parts = ", ".join(f"{thread} {share:.2f}" for thread, share in
                          sorted(shares.items(), key=lambda row: -row[1]) if share >= 0.005)
        print(f"| {name} | {median(tracer.rates):,.0f} | {sum(shares.values()):.2f} | {parts} |")


def print_programs(tracers, pipes):
    """How long denet's own programs run, of which the way into them is no part."""
    print("\nns in denet's BPF programs for one switch, and runs of each for one switch:\n")
    print("| what | ns | of which |\n|---|---|---|")
    for name, tracer in tracers.items():
        if not isinstance(tracer, Denet):
            continue
        foreign = program_times()
        with program_statistics(), tracer.daemon:
            time.sleep(SETTLE)
            before = program_times()
            pipes.run()
            after = program_times()
        spent = {key[0]: (ns - before[key][1], runs - before[key][0])
                 for key, (runs, ns) in after.items() if key in before and key not in foreign}
        total = sum(ns for ns, _ in spent.values()) / pipes.switches
        parts = ", ".join(f"{program} {ns / pipes.switches:.1f} ({runs / pipes.switches:.2f} runs)"
                          for program, (ns, runs) in spent.items()
                          if ns / pipes.switches >= 0.05)
        print(f"| {name} | {total:.0f} | {parts} |", flush=True)


def compare(tracers, arguments, pipes):
    added, untraced = {name: [] for name in tracers}, [pipes.run()]
    for turn in range(arguments.rounds):
        names = list(tracers)
        # Each begins a round once: what comes before may leave something behind.
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            before = untraced[-1]
            traced = tracers[name].run(pipes)
            time.sleep(1)
            untraced.append(pipes.run())
            added[name].append(traced - (before + untraced[-1]) / 2)
    print(f"Two {arguments.pair}, a byte through pipes on one CPU: {median(untraced):.0f} ns a "
          f"switch untraced; medians of {arguments.rounds} pairs of {arguments.switches:,} switches\n")
    print_costs(added, median(untraced))
    print_ratios(added)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, type=os.path.abspath)
    parser.add_argument("--pair", choices=("threads", "processes"), default="threads")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--switches", type=int, default=600000, help="in one run")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        program = os.path.join(folder, "pipes")
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", program,
                        str(HERE / "pipes.c")], check=True)
        other = subprocess.Popen(["sleep", "31557600"])
        stack.callback(other.wait)
        stack.callback(other.kill)
        pipes = stack.enter_context(Pipes(program, arguments.pair, arguments.switches))
        tracers = make_tracers(arguments, pipes)
        compare(tracers, arguments, pipes)
        print_threads(tracers)
        if shutil.which("bpftool"):
            print_programs(tracers, pipes)


if __name__ == "__main__":
    main()
