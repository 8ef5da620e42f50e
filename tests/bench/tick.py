#!/usr/bin/env python3
"""CPU time of one pass over the host: denet against collectd's own processes plugin, in one run.

tick.py --plugins DIR [--processes 2000] [--rounds 3] [--seconds 8]

Both run under collectd at an interval of one second, in turn, over the same processes; what an empty
collectd costs is subtracted. Medians of the rounds.
"""
import argparse
import ctypes
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).parent
LIBC = ctypes.CDLL(None, use_errno=True)


def cpu_seconds(pid):
    """CPU time of all threads of a process, by its CPU clock (clock_getcpuclockid(3))."""
    clock = ctypes.c_int()
    if LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def config(folder, plugins, body):
    return f"""
Hostname "bench"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/pid"
Interval 1
LoadPlugin logfile
<Plugin logfile>
  File "{folder}/log"
  LogLevel warning
</Plugin>
PluginDir "{plugins}"
{body}
"""


def measure(plugins, body, seconds):
    """CPU ms that a collectd with this configuration uses a second, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "collectd.conf")
        path.write_text(config(folder, plugins, body))
        daemon = subprocess.Popen(["collectd", "-f", "-C", str(path)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            before, begun = cpu_seconds(daemon.pid), time.monotonic()
            time.sleep(seconds)
            used = cpu_seconds(daemon.pid) - before
            return 1000 * used / (time.monotonic() - begun)
        finally:
            daemon.terminate()
            if daemon.wait(30) != 0:
                raise RuntimeError(pathlib.Path(folder, "log").read_text())


def peer(pattern):
    """With what it can have of the metrics that denet has by default."""
    return f"""
PluginDir "/usr/lib/collectd"
LoadPlugin processes
<Plugin processes>
  CollectContextSwitch true
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""


def peer_least(pattern):
    return peer(pattern).replace("CollectContextSwitch true", "")


def denet(pattern):
    return f"""
LoadPlugin denet
<Plugin denet>
  Source "procfs"
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""


def compare(name, pattern, arguments):
    """One row: medians of ms a pass, and denet's share of each form of the peer."""
    rows = []
    for _ in range(arguments.rounds):
        empty, least, full, ours = (
            measure(arguments.plugins, make(pattern), arguments.seconds)
            for make in (lambda _: "", peer_least, peer, denet))
        rows.append((least - empty, full - empty, ours - empty,
                     (ours - empty) / (least - empty), (ours - empty) / (full - empty)))
    least, full, ours, to_least, to_full = (statistics.median(column) for column in zip(*rows))
    print(f"{name:36} processes {least:6.1f} ms, with context switches {full:6.1f} ms; "
          f"denet {ours:6.1f} ms: {to_least:.3f} and {to_full:.3f} of them", flush=True)


def with_sleepers(every, name, arguments):
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "sleepers")
        subprocess.run(["cc", "-O1", "-o", program, str(HERE / "sleepers.c")], check=True)
        command = [program, str(arguments.processes), str(every), "500"]
        sleepers = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            sleepers.stdout.readline()
            compare(f"{name}, every one matched", "sleeper", arguments)
            compare(f"{name}, one in 100 matched", "sleeper [0-9]*00$", arguments)
        finally:
            sleepers.kill()
            sleepers.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugins", required=True, type=os.path.abspath)
    parser.add_argument("--processes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    print(f"{arguments.processes} processes, CPU time of one pass over the host")
    with_sleepers(0, "all asleep", arguments)
    with_sleepers(10, "one in ten awake", arguments)
    with_sleepers(1, "all awake", arguments)


if __name__ == "__main__":
    main()
