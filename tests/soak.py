#!/usr/bin/env python3
"""Runs denet on a busy host for a while and checks that memory, descriptors and delays do not grow.

soak.py --plugins DIR [--source bpf|procfs] [--minutes 10] [--sleepers 5000] [--execs 50]

The load (tests/programs/soak.c): 5,000 processes, 50 execs a second, threads that come and go, all
with records, and OffCPU "stacks" for four processes that wait for this and that. MaxTotalSize is
TOTAL_MIB, so that the files reach it within the first minute; from then on each new file removes an
old one. Each second the memory, descriptors, CPU time and _self values of collectd are read. Prints
a table with one row a minute and then the claims, each with its figures:

* Memory: the median VmRSS of the last quarter of the time after the first minute is not more than
  GROWTH_KIB above that of its first quarter.
* Descriptors: the same, at most GROWTH_FDS more.
* No tick is late: of SAMPLED processes, no line comes LATE_MS more after the one before than its
  interval. A process that only sleeps, 10 ms each time, shows when the machine delays threads:
  lines that are late while it is late are counted apart, and no others may be late.
* No event is lost, no record is dropped, the log has no warning, and all files parse.

The exit status is 0 if all hold. Needs root and a machine that does nothing else.
"""
import collections
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "e2e"), str(HERE / "bench")]

from daemon import option_parser, print_table, running, threads_used  # noqa: E402
from harness import HOST, Collectd, program, read_lines, rule, wait_until  # noqa: E402

TOTAL_MIB = 100
GROWTH_KIB = 1024
GROWTH_FDS = 16
OLD = 11  # seconds; older processes are sampled at the longest interval
INTERVAL_MS = 1000  # the longest interval
LATE_MS = 50
SAMPLED = 50
THREADS = ("denet-sampler", "denet-writer", "denet-stacks")
ROLES = ("sleeper", "worker", "churn", "brief")
STAMP = re.compile(rb'"ts_ms":([0-9]+)')

Look = collections.namedtuple("Look", "rss anon fds threads")


def look_at(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":", 1) for line in text.splitlines())
    rss, anon = (int(status[key].split()[0]) for key in ("VmRSS", "RssAnon"))  # KiB
    return Look(rss, anon, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))


class Follower:
    """The lines of one process, read before retention removes their files."""

    def __init__(self, first):
        self.first, self.number = first, 1
        self.file, self.rest, self.last = open(first, "rb"), b"", None
        self.gaps = []  # (ms, ts_ms of the line after it)

    def segment(self, number):
        """Returns the path of a segment, which may be in the folder of a later day, or None."""
        name = f"{self.first.stem}_{number:04}.jsonl"
        return next(self.first.parent.parent.glob(f"*/{name}"), None)

    def read(self):
        while True:
            following = self.segment(self.number + 1)
            self._read_file()
            if not following:
                return
            self.number += 1
            self.file.close()
            self.file = open(following, "rb")

    def _read_file(self):
        whole, _, self.rest = (self.rest + self.file.read()).rpartition(b"\n")
        for found in STAMP.finditer(whole):
            stamp = int(found.group(1))
            if self.last:
                self.gaps.append((stamp - self.last, stamp))
            self.last = stamp


class Reference:
    """When and for how long the machine made a thread wait that was due."""

    def __init__(self, path):
        self.path = path  # lines "UNIX_MS_AT_ITS_END LATE_US"

    def worst_between(self, from_ms, to_ms):
        delays = [map(int, line.split()) for line in self.path.read_text().splitlines()]
        return max((late_us / 1000 for at, late_us in delays
                    if at >= from_ms and at - late_us / 1000 <= to_ms), default=0)


def configuration(source):
    rules = ""
    for role in ROLES:
        has_stacks = role == "worker" and source == "bpf"
        # Both: the command line of a process whose name is another one need not be read.
        rules += rule(role, f'Comm "soak-{role}"', f'CommandLine "^soak-{role} [0-9]+$"',
                      'OffCPU "stacks"' if has_stacks else "Children false")
    return f'Source "{source}"\n{rules}'


def late_lines(followers, from_ms, to_ms):
    """(ms too late, ts_ms) of those that came within the time."""
    return [(gap - INTERVAL_MS, at) for follower in followers for gap, at in follower.gaps
            if from_ms < at <= to_ms and gap - INTERVAL_MS > LATE_MS]


def tell_apart(late, reference):
    """Late lines that have no excuse, and those for which the machine was at least half as late."""
    guilty, excused = [], []
    for ms, at in late:
        has_excuse = reference.worst_between(at - ms - LATE_MS, at + LATE_MS) >= ms / 2
        (excused if has_excuse else guilty).append((ms, at))
    return guilty, excused


class Soak:
    def __init__(self, arguments, collectd, reference):
        self.arguments, self.collectd, self.reference = arguments, collectd, reference
        self.looks, self.followers, self.printed = [], [], 0
        self.used = threads_used(collectd.pid)
        self.minute_from_ms = self.begun_ms = int(time.time() * 1000)

    def find_followers(self):
        """One file in a hundred or so of those whose process only sleeps."""
        paths = sorted((self.collectd.records_folder / HOST / "sleeper").glob("*/*[0-9].jsonl"))
        firsts = [path for path in paths if "_" not in path.name]
        self.followers = [Follower(path) for path in firsts[::max(1, len(firsts) // SAMPLED)]]

    def look(self):
        self.looks.append(look_at(self.collectd.pid))
        for follower in self.followers:
            follower.read()

    def own(self, what):
        """The latest value of the instance _self."""
        return self.collectd.latest("_self", what)[0]

    def minute_row(self, minute):
        looks, self.printed = self.looks[self.printed:], len(self.looks)
        now_ms = int(time.time() * 1000)
        guilty, excused = tell_apart(late_lines(self.followers, self.minute_from_ms, now_ms),
                                     self.reference)
        used = threads_used(self.collectd.pid)
        shares, waits = zip(*([(now - before) / 1e4 / (now_ms - self.minute_from_ms)
                               for now, before in zip(used[name], self.used[name])]
                              for name in THREADS if name in used))
        widest = max((gap for follower in self.followers for gap, at in follower.gaps
                      if at > self.minute_from_ms), default=0)
        ticks = [value.numbers[0] for value in self.collectd.values("_self", "duration-tick")
                 if value.time * 1000 > self.minute_from_ms]
        median = statistics.median
        machine_ms = self.reference.worst_between(self.minute_from_ms, now_ms)
        self.used, self.minute_from_ms = used, now_ms
        return (f"{minute} | {median(look.rss for look in looks) / 1024:.2f} "
                f"| {median(look.anon for look in looks) / 1024:.2f} "
                f"| {max(look.rss for look in looks) / 1024:.2f} "
                f"| {median(look.fds for look in looks):.0f} | {looks[-1].threads} "
                f"| {1000 * max(ticks, default=0):.0f} | {widest} | {len(guilty)} + {len(excused)} "
                f"| {machine_ms:.0f} | {self.own('derive-records'):,.0f} "
                f"| {' '.join(f'{share:.1f}' for share in shares)} | {waits[0]:.1f}")

    def rows(self):
        """Runs, and yields one row a minute."""
        begun = time.monotonic()
        for second in range(1, 60 * self.arguments.minutes + 1):
            time.sleep(max(0, begun + second - time.monotonic()))
            # What the first tick matched needs a moment to have files.
            if second == 10:
                self.find_followers()
            self.look()
            if second % 60 == 0:
                yield self.minute_row(second // 60)

    def quarters(self, what):
        """Medians of the first and of the last quarter of the time after the first minute."""
        late = [getattr(look, what) for look in self.looks[60:]]
        part = max(1, len(late) // 4)
        return statistics.median(late[:part]), statistics.median(late[-part:])

    def claims(self, status):
        """(whether it holds, what was seen) of each."""
        rss, fds = self.quarters("rss"), self.quarters("fds")
        yield rss[1] - rss[0] <= GROWTH_KIB, f"memory: {rss[0]:,.0f} KiB, then {rss[1]:,.0f} KiB"
        yield fds[1] - fds[0] <= GROWTH_FDS, f"descriptors: {fds[0]:.0f}, then {fds[1]:.0f}"
        lines = sum(len(follower.gaps) for follower in self.followers)
        late = late_lines(self.followers, self.begun_ms + 20000, float("inf"))
        guilty, excused = tell_apart(late, self.reference)
        yield not guilty and lines > 0, (
            f"ticks: of {lines:,} lines {len(guilty)} late by more than {LATE_MS} ms (worst "
            f"{max((ms for ms, _ in guilty), default=0)} ms) and {len(excused)} while the machine "
            f"was, all at {len({at for _, at in late})} moments")
        for what in ("derive-bpf_lost", "derive-records_dropped"):
            if what != "derive-bpf_lost" or self.arguments.source == "bpf":
                yield self.own(what) == 0, f"{what}: {self.own(what):,.0f}"
        said = " ".join(self.collectd.complaints())
        yield status == 0 and not said, f"collectd: status {status}, {said or 'no complaint'}"
        yield self.parse_files()

    def parse_files(self):
        files, lines = self.collectd.files(), 0
        try:
            for path in files:
                found = read_lines(path)
                if found[0]["kind"] != "metadata":
                    return False, f"{path.name} does not begin with its metadata"
                lines += len(found)
        except (ValueError, IndexError) as error:
            return False, f"{path.name}: {error}"
        return bool(files), f"files: {len(files):,} with {lines:,} lines parse"


@contextlib.contextmanager
def loaded(path, arguments):
    folder = pathlib.Path(path).parent
    for role in ROLES:
        os.link(path, folder / f"soak-{role}")
    command = [path, "load", str(folder), str(arguments.sleepers), str(arguments.execs)]
    with open(folder / "delays", "w") as delays, running(command, OLD), \
            subprocess.Popen([path, "reference"], stdout=delays) as reference:
        try:
            yield Reference(folder / "delays")
        finally:
            reference.kill()


def soak(arguments):
    """Whether every claim holds."""
    write = f"  MaxTotalSize {TOTAL_MIB}\n"
    with loaded(program("soak"), arguments) as reference:
        with Collectd(configuration(arguments.source), write) as collectd:
            wait_until(lambda: collectd.latest("_self", "gauge-source"), "the first values", 60)
            run = Soak(arguments, collectd, reference)
            print_table("minute | RSS MiB | of it anonymous | most | descriptors | threads "
                        "| longest tick ms | widest gap ms | late lines + excused | machine late ms "
                        "| records | % of a CPU: sampler writer stacks | sampler waits for one, %",
                        run.rows())
            status = collectd.stop()
        claims = list(run.claims(status))
    print()
    for holds, seen in claims:
        print(f"{'holds' if holds else 'FAILS'}: {seen}")
    failed = sum(not holds for holds, _ in claims)
    print(f"soak, {arguments.source}, {arguments.minutes} minutes: "
          f"{len(claims) - failed} claims hold, {failed} fail")
    return not failed


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--minutes", type=int, default=10, choices=range(2, 1441), metavar="N")
    parser.add_argument("--sleepers", type=int, default=5000)
    parser.add_argument("--execs", type=int, default=50, help="a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="denet-soak-") as folder:
        os.environ["DENET_E2E_FOLDER"] = folder
        os.environ["DENET_PLUGINS"] = arguments.plugins
        sys.exit(not soak(arguments))


if __name__ == "__main__":
    main()
