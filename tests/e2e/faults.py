"""Faults for a collectd, and checks of its files that hold after any fault."""

import os
import socket
import subprocess
from pathlib import Path

from harness import Workload, every, now_ms, program_rule, read_lines, stock_plugin, wait_until

FAST = every(0.2)
# A tree with lines of more than a page: a few fill a file.
MEMBERS = 20
TREE = program_rule("herd", "herd")
SMALL_FILES = "FlushInterval 0.1\nMaxFileSize 0.05\n"


def herd(members=MEMBERS, bytes_each=0):
    """Starts a tree of a root and so many members."""
    return Workload("herd", str(members), "x" * bytes_each)


def thread_of(pid, name):
    """Returns the tid of the thread of that name."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    return None


def cpu_seconds(pid, thread=None):
    """Returns the CPU time of a process or of one of its threads."""
    path = f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat"
    fields = Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Tampering:
    """A context manager: strace(1) changes a system call of the writer's thread as what says, such
    as "error=EIO"; path: only calls on this path."""

    def __init__(self, collectd, call, what, path=None):
        thread = thread_of(collectd.pid, "denet-writer")
        only = ["-P", str(path)] if path else []
        self.process = subprocess.Popen(
            ["strace", "-qq", "-o", os.devnull, "-p", str(thread), *only, "-e", f"trace={call}",
             "-e", f"inject={call}:{what}"], stdin=subprocess.DEVNULL)
        status = Path(f"/proc/{collectd.pid}/task/{thread}/status")
        wait_until(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace to attach")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """Detaches; the thread continues."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=10)


def hang(collectd):
    """Returns a context manager: the writer's thread hangs, as on a dead disk, until it is
    closed."""
    return Workload("holder", str(thread_of(collectd.pid, "denet-writer")))


def told(collectd, words=""):
    """Returns what write_denet has logged."""
    return [line for line in collectd.log() if "write_denet plugin: " in line and words in line]


def check_files(test, folder, instance="*"):
    """Checks that each file of the group is whole, that no line exists twice, and that names sort
    as times do. Returns {(group, pid and start): {number of the segment: times}}."""
    found = {}
    for path in sorted(Path(folder).glob(f"*/{instance}/**/*.jsonl")):
        head, *lines = read_lines(path)
        test.assertEqual(head["kind"], "metadata", path)
        test.assertNotIn("metadata", [line["kind"] for line in lines], path)
        stem, _, number = path.stem.partition("_")
        test.assertEqual(stem, f'{head["pid"]}-{head["t0_ms"]}')
        parts = found.setdefault((path.relative_to(folder).parts[1], stem), {})
        test.assertNotIn(int(number or 1), parts, path)
        parts[int(number or 1)] = [line["ts_ms"] for line in lines]
    for key, parts in found.items():
        times = [moment for number in sorted(parts) for moment in parts[number]]
        test.assertEqual(times, sorted(set(times)), f"{key}: a time stands twice or falls")
    return found


def lines_after(found, moment_s):
    """Returns how many of the lines that check_files() returned are later."""
    return sum(time_ms > moment_s * 1e3 for parts in found.values() for times in parts.values()
               for time_ms in times)


def wait_for_more(collectd, folder=None, count=2, name="*.jsonl"):
    """Waits for so many lines later than this call, in files of that name."""
    start = now_ms()

    def fresh():
        folder_now = Path(folder or collectd.records_folder)
        times = [moment for path in folder_now.glob(f"**/{name}") for moment in latest_times(path)]
        return sum(moment > start for moment in times) >= count
    wait_until(fresh, f"{count} lines more", timeout=30)


def latest_times(path):
    """Returns the times of a file that is being written and may be removed."""
    try:
        return [line.get("ts_ms", 0) for line in read_lines(path)]
    except (FileNotFoundError, ValueError):
        return []


class Socket:
    """The protocol of collectdctl(1): one line to the plugin unixsock, one line from it."""

    def __init__(self, collectd):
        """collectd: with the configuration of settings()."""
        self.socket = socket.socket(socket.AF_UNIX)
        path = str(collectd.folder / "socket")
        wait_until(lambda: not self.socket.connect_ex(path), "collectd's socket")
        self.lines = self.socket.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.lines.close()
        self.socket.close()

    @staticmethod
    def settings():
        return stock_plugin("unixsock", 'SocketFile "socket"')  # in collectd's BaseDir

    def ask(self, words):
        self.socket.sendall(words.encode() + b"\n")
        return self.lines.readline().strip()
