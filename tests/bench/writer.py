#!/usr/bin/env python3
"""The cost of writing the samples of processes: write_denet against collectd's write_log with JSON and
its csv plugin, in one run, and the share of a core that write_denet takes with 10,000 processes.

writer.py --plugins DIR [--turns 5] [--processes 200 1000] [--rounds 20] [--demand 10000]
          [--seconds 20] [--limits 1024 20000]

A plugin of the benchmark (feeder.c) sends the same numbers of each process: to write_denet one line of
JSON, as denet does; to the others the value lists that denet dispatches for a group of one process.
All get them by plugin_write() from one thread, so that no figure contains collectd's queue and cache.
The files are made before the measurement; then samples of all processes come round by round. Time is
CPU time: of the sending thread during plugin_write() (write_log and csv write in it) and of all other
threads of collectd (denet-writer is write_denet's). Prints Markdown tables: medians of the turns, each
of which measures all writers. The files are checked for every line.

The second table is of 10,000 processes with a line a second each, all sent at once, as at a tick; by
the soft limit of descriptors (RLIMIT_NOFILE) at the start of collectd. Exits with 1 if that takes
TARGET % of a core or more. The files are made in TMPDIR.
"""
import collections
import contextlib
import itertools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import HERE, Daemon, option_parser, print_table, rotate

PROJECT = HERE.parent.parent

TARGET = 5  # % of a core that the demand may take

# A writer's configuration (paths are relative to collectd's folder), where its files are, and what a
# line of a sample has that no other line has.
Writer = collections.namedtuple("Writer", "name body pattern mark")
WRITERS = (
    Writer("write_denet", 'PluginDir "{plugins}"\nLoadPlugin write_denet\n', "denet/*/*/*/*.jsonl",
           b'"kind":"sample"'),
    Writer("write_log", 'LoadPlugin write_log\n<Plugin write_log>\n  Format "JSON"\n</Plugin>\n'
           '<Plugin logfile>\n  File "written"\n  LogLevel info\n  Timestamp false\n</Plugin>\n',
           "written", b'[{"values"'),
    Writer("csv", 'LoadPlugin csv\n<Plugin csv>\n  DataDir "csv"\n</Plugin>\n', "csv/*/*/*",
           b"17000000"),
)

FEEDER = """
PluginDir "{folder}"
LoadPlugin feeder
<Plugin feeder>
  Writer "{writer}"
  Processes {processes}
  Rounds {rounds}
  Period {period}
  Result "result"
</Plugin>
"""


def build_feeder(folder):
    """The plugin, in folder."""
    sources = [str(HERE / "feeder.c"), str(PROJECT / "plugin" / "collectd" / "line_channel.c"),
               str(PROJECT / "core" / "util" / "buffer.c")]
    subprocess.run(["cc", "-O2", "-Werror", "-shared", "-fPIC", "-D_GNU_SOURCE", "-DHAVE_CONFIG_H",
                    "-I", str(PROJECT), "-isystem", "/usr/include/collectd",
                    "-o", os.path.join(folder, "feeder.so"), *sources], check=True)


@contextlib.contextmanager
def descriptors(limit):
    """Processes started meanwhile have this limit of open files; None: an unchanged one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, before[1])))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def wait_for_result(daemon):
    path = pathlib.Path(daemon.folder.name, "result")
    while not (path.exists() and path.read_text().endswith("\n")):
        if daemon.process.poll() is not None:
            raise RuntimeError("collectd ended while it was fed")
        time.sleep(0.05)
    return json.loads(path.read_text())


def count_written(folder, writer):
    """Lines of samples, and bytes of everything, in the writer's files."""
    lines = size = 0
    for path in pathlib.Path(folder).glob(writer.pattern):
        data = path.read_bytes()
        lines += data.count(writer.mark)
        size += len(data)
    return lines, size


def feed(arguments, writer, processes, rounds, period=0, limit=None):
    """The figures of the feeder, and bytes, all for one sample of one process."""
    body = writer.body.format(plugins=arguments.plugins) + FEEDER.format(
        folder=arguments.folder, writer=writer.name, processes=processes, rounds=rounds,
        period=period)
    with descriptors(limit), Daemon(body, 3600) as daemon:
        result = wait_for_result(daemon)
        lines, size = count_written(daemon.folder.name, writer)
    samples, calls = processes * rounds, result["calls"]
    expected = calls // rounds * (rounds + 1)
    if result["failures"] or lines != expected:
        raise RuntimeError(f"{writer.name}: {result['failures']} calls failed, "
                           f"{lines} lines of {expected} are there")
    return {"handing": result["calling_ns"] / samples, "writing": result["others_ns"] / samples,
            "cpu": (result["calling_ns"] + result["others_ns"]) / samples,
            "lines": calls / samples, "bytes": size / processes / (rounds + 1)}


def medians(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def compare(arguments, processes):
    found = {writer: [] for writer in WRITERS}
    for turn in range(arguments.turns):
        for writer in rotate(WRITERS, turn):
            found[writer].append(feed(arguments, writer, processes, arguments.rounds))
    ours = found[WRITERS[0]]
    for writer, rows in found.items():
        row = medians(rows)
        per_second = 1e9 / row["cpu"]
        ratio = statistics.median(other["cpu"] / own["cpu"] for other, own in zip(rows, ours))
        yield (f"{processes:,} | {writer.name} | {row['lines']:.0f} lines, {row['bytes']:,.0f} bytes "
               f"| {row['cpu'] / 1000:.1f} | {per_second:,.0f} | {row['lines'] * per_second:,.0f} "
               f"| {row['bytes'] * per_second / 1e6:.0f} | {ratio:.1f}")


def demand(arguments, out_shares):
    """Appends the share of a core with each limit."""
    for limit in arguments.limits:
        row = medians([feed(arguments, WRITERS[0], arguments.demand, arguments.seconds, 1, limit)
                       for _ in range(arguments.turns)])
        handing, writing, both = (row[key] * arguments.demand / 1e7
                                  for key in ("handing", "writing", "cpu"))
        out_shares.append(both)
        yield f"{limit:,} | {handing:.2f} | {writing:.2f} | {both:.2f}"


def main():
    parser = option_parser(__doc__, with_source=False)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="*", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=20, help="samples of each process in one turn")
    parser.add_argument("--demand", type=int, default=10000, help="processes with a line a second")
    parser.add_argument("--seconds", type=int, default=20, help="for which the demand goes on")
    parser.add_argument("--limits", type=int, nargs="*", default=[1024, 20000])
    arguments, shares = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as arguments.folder:
        build_feeder(arguments.folder)
        print_table("processes | writer | for one process's sample | CPU µs for it | samples a second on "
                    "one core | lines a second | MB/s | time / write_denet's",
                    itertools.chain(*(compare(arguments, count) for count in arguments.processes)))
        print(f"\n{arguments.demand:,} processes, a line a second each; % of a core, to be less "
              f"than {TARGET}:")
        print_table("descriptors | handing over | writing | both", demand(arguments, shares))
    sys.exit(max(shares, default=0) >= TARGET)


if __name__ == "__main__":
    main()
