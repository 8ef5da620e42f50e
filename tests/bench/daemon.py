"""What the benchmarks have in common: options, programs, tables, and a private collectd in a temporary
folder, with its CPU time."""
import argparse
import collections
import contextlib
import ctypes
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).parent
LIBC = ctypes.CDLL(None, use_errno=True)

HEAD = """
Hostname "bench"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/pid"
Interval {interval}
LoadPlugin logfile
<Plugin logfile>
  File "{folder}/log"
  LogLevel warning
  PrintSeverity true
</Plugin>
"""


def option_parser(description, with_source=True):
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", required=True, type=os.path.abspath)
    if with_source:
        parser.add_argument("--source", choices=("bpf", "procfs"), default="bpf")
    return parser


def build(folder, name, *options):
    """Returns the path of a program of this folder, compiled in another folder."""
    program = os.path.join(folder, name)
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, str(HERE / f"{name}.c"), *options],
                   check=True)
    return program


@contextlib.contextmanager
def running(command, seconds):
    """A program runs, and has run for so long since its line "ready"."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            time.sleep(seconds)
            yield
        finally:
            process.kill()


def print_table(head, rows):
    """Prints a table in Markdown, each row as soon as it is there. head and rows: "CELL | CELL"."""
    print(f"\n| {head} |\n" + "|---" * (head.count(" | ") + 1) + "|")
    for row in rows:
        print(f"| {row} |", flush=True)


def median_and_quartiles(values, digits):
    # Each value twice: quantiles() needs two, and there may be one.
    low, middle, high = statistics.quantiles(values * 2, n=4, method="inclusive")
    return f"{middle:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def rotate(items, turn):
    """The items, from another one on at each turn: an item may leave something behind for the next."""
    first = turn % len(items)
    return items[first:] + items[:first]


def cpu_seconds(pid):
    """CPU time of all threads of a process (clock_getcpuclockid(3))."""
    clock = ctypes.c_int()
    if LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def threads_used(pid):
    """CPU time and run delay of the threads of a process, {name: [ns, ns]}."""
    used = collections.defaultdict(lambda: [0, 0])
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name = (task / "comm").read_text().strip()
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            used[name][0] += ran
            used[name][1] += waited
    return used


def thread_waits(pid, name):
    """Voluntary context switches of the threads of that name; None if there is no such thread."""
    waits = None
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if fields["Name"].strip() == name:
            waits = (waits or 0) + int(fields["voluntary_ctxt_switches"])
    return waits


# On purpose there is no writer; some sandboxes leave pid 1 out of the task iterator.
EXPECTED = ("No write callback has been registered", "task iterator leaves out")


class Daemon:
    """with Daemon(configuration, interval) as daemon: collectd runs. A warning in its log is an error
    in the end: it did not do what was to be measured."""

    def __init__(self, body, interval):
        self.body, self.interval = body, interval

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name, "collectd.conf")
        path.write_text(HEAD.format(folder=self.folder.name, interval=self.interval) + self.body)
        self.process = subprocess.Popen(["collectd", "-f", "-C", str(path)], cwd=self.folder.name,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        status = self.process.wait(60)
        log = pathlib.Path(self.folder.name, "log")
        lines = log.read_text().splitlines() if log.exists() else []
        said = [line for line in lines if not any(words in line for words in EXPECTED)]
        self.folder.cleanup()
        if kind is None and (status or said):
            raise RuntimeError(f"collectd ended with {status} and said: " + " ".join(said))


def denet_body(plugins, source, pattern, options=""):
    """A configuration with one rule, by the command line, and further options of the plugin."""
    return f"""
PluginDir "{plugins}"
LoadPlugin denet
<Plugin denet>
  Source "{source}"
  {options}
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""
