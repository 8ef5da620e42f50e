"""A private collectd, workload processes of known cost, and waiting without sleeping blindly."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from collections import namedtuple
from pathlib import Path

import sanitizer

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "programs"
PROJECT = HERE.parent.parent
HOST = "testhost"
COLLECTD = shutil.which("collectd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

# One value list as the csv plugin prints it; counters are raw.
Value = namedtuple("Value", "plugin instance type type_instance time numbers")

_PUTVAL = re.compile(
    r"PUTVAL [^/]+/([^/-]+)(?:-([^/]*))?/([^/ -]+)(?:-(\S*))? interval=\S+ ([0-9.]+):(\S+)$")


def plugins_folder():
    return Path(os.environ["DENET_PLUGINS"])


def is_sanitized():
    """Whether this run tests plugins that were built with a sanitizer."""
    return bool(sanitizer.runtimes(plugins_folder()))


def source_in_use():
    """Which source this run tests: "procfs" or "bpf"."""
    return os.environ.get("DENET_E2E_SOURCE", "procfs")


def bpf_is_required():
    return os.environ.get("DENET_REQUIRE_BPF") == "1"


def bpf_only(case):
    """A test case of what only the BPF source has: run.py leaves it out of other runs."""
    case.only_source = "bpf"
    return case


def procfs_only(case):
    """One of /proc, or for which the source makes no difference: it is run once, with /proc."""
    case.only_source = "procfs"
    return case


def alone(case):
    """A test case that others would disturb, as it looks at all processes of the host or at all that
    is in the kernel, or needs a certain pid: run.py runs it when all others have ended."""
    case.is_alone = True
    return case


def measures(case):
    """A test case that measures the use of CPUs, the wait for one, or how exactly times are kept, or
    that fills the machine: it is run alone too. With a sanitizer there is nothing to be measured: it
    is run as any other, and only what the sanitizer reports counts."""
    case.is_alone = not is_sanitized()
    case.is_for_reports = is_sanitized()
    return case


def native_only(test):
    """A test, or all of a case, that with a sanitizer would be about the sanitizer: run.py leaves it
    out."""
    test.is_native_only = True
    return test


def need(test, is_there, what):
    """Skips a test of the BPF source that lacks something; where BPF is required it fails."""
    if not is_there and bpf_is_required():
        test.fail(f"needs {what}")
    if not is_there:
        test.skipTest(f"needs {what}")


@functools.lru_cache
def work_folder():
    """The folder that run.py made for this run and removes at its end."""
    return Path(os.environ["DENET_E2E_FOLDER"])


@functools.lru_cache
def collectd_plugin_folder():
    text = subprocess.run([COLLECTD, "-h"], capture_output=True, text=True).stdout
    return re.search(r"Plugin directory +(\S+)", text).group(1)


@functools.lru_cache
def can_read_every_executable():
    """Not so in some sandboxes, even for root."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            os.readlink(f"/proc/{pid}/exe")
        except PermissionError:
            return False
        except OSError:
            pass
    return True


def patience():
    """How much longer than usual something may take: a sanitizer makes a slow collectd."""
    return 4 if is_sanitized() else 1


def wait_until(condition, what, timeout=15, pause=0.05):
    """Polls until condition() is true, and gives its value; an AssertionError after timeout."""
    timeout *= patience()
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(pause)


def rule(name, *lines, key="Rule"):
    """A block of the configuration: rule("a", 'Comm "a"')."""
    body = "".join(f"    {line}\n" for line in lines)
    return f'  <{key} "{name}">\n{body}  </{key}>\n'


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Collectd:
    """Runs collectd in the foreground, in a folder of its own; a context manager."""

    def __init__(self, denet="", write="", plugins=("write_denet", "denet"), interval=1,
                 extra="", prefix=(), folder=None, with_block=True, preload=()):
        """preload: libraries that are loaded into collectd before all others."""
        self.folder = Path(folder or tempfile.mkdtemp(prefix="collectd-", dir=work_folder()))
        self.folder.chmod(0o755)
        self.records_folder = self.folder / "denet"
        self.prefix = list(prefix)
        self.preload = list(preload)
        self.process = None
        self.stopped_at = None
        if "Source " not in denet:
            denet = f'  Source "{source_in_use()}"\n{denet}'
        blocks = {"denet": denet, "write_denet": write}
        self.config = self.folder / "collectd.conf"
        text = f"""Hostname "{HOST}"
FQDNLookup false
BaseDir "{self.folder}"
PIDFile "{self.folder}/collectd.pid"
Interval {interval}
PluginDir "{collectd_plugin_folder()}"
LoadPlugin logfile
<Plugin logfile>
  File "{self.folder}/collectd.log"
  LogLevel info
  Timestamp true
  PrintSeverity true
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "stderr"
  StoreRates false
</Plugin>
PluginDir "{plugins_folder()}"
"""
        text += "".join(f"LoadPlugin {name}\n" for name in plugins)
        for name in plugins if with_block else ():
            text += f"<Plugin {name}>\n{blocks.get(name, '')}</Plugin>\n"
        self.config.write_bytes((text + extra).encode("utf-8", "surrogateescape"))

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.close()

    def command(self, option):
        return [*self.prefix, *sanitizer.prefix(plugins_folder(), work_folder(), self.preload),
                COLLECTD, option, "-C", str(self.config)]

    def start(self):
        self.started_at = time.time()
        with open(self.folder / "stderr", "ab") as out:
            self.process = subprocess.Popen(self.command("-f"), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        return self

    @property
    def pid(self):
        return self.process.pid

    def run_once(self):
        """collectd -T: configuration, init and one read in the main thread; the exit status."""
        with open(self.folder / "stderr", "ab") as out:
            return subprocess.run(self.command("-T"), stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out, timeout=30 * patience()).returncode

    def stop(self):
        """Ends it as init would, and gives its exit status."""
        if self.process.poll() is None:
            self.stopped_at = time.time()
            self.process.send_signal(signal.SIGTERM)
        if sanitizer.is_for_threads(plugins_folder()):
            self._ask_again()
        try:
            return self.process.wait(timeout=20 * patience())
        except subprocess.TimeoutExpired as late:
            late.add_note(f"its threads: {threads_of(self.pid)}")
            raise

    def _ask_again(self):
        """The thread sanitizer puts signals off, and of some hundreds it loses one: its own handler
        was called, collectd's never. A second one is to collectd as the first."""
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)

    def close(self):
        """Ends it for sure; the folder stays until the run ends."""
        if not self.process:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise AssertionError("collectd did not end in time after SIGTERM") from late

    def _lines(self, name):
        path = self.folder / name
        text = path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""
        return text[:text.rfind("\n") + 1].split("\n")[:-1]

    def log(self):
        """Every line of the log, also what came before the logfile plugin was there."""
        return [line for line in self._lines("stderr") if not line.startswith("PUTVAL")] + \
            self._lines("collectd.log")

    def complaints(self):
        """Warnings and errors, but for those that are not about denet's own doings."""
        passed_over = ["left after shutting down"]  # collectd -T never empties its queue
        if is_sanitized():
            passed_over += ["above its read interval", "Not sleeping because"]  # collectd is slow
        if not can_read_every_executable():
            passed_over.append("of a process may not be read")
        return [line for line in self.log() if ("[warning]" in line or "[error]" in line)
                and not any(words in line for words in passed_over)]

    def all_values(self):
        values = []
        for line in self._lines("stderr"):
            found = _PUTVAL.match(line)
            if line.startswith("PUTVAL") and not found:
                raise AssertionError(f"an identifier that collectd cannot take apart: {line}")
            if found:
                plugin, instance, kind, type_instance, when, numbers = found.groups()
                values.append(Value(plugin, instance or "", kind, type_instance or "", float(when),
                                    [float(number) for number in numbers.split(":")]))
        return values

    def values(self, instance, what):
        """Of one series (what: "ps_rss" or "gauge-cpu_percent"), in order of time."""
        kind, _, type_instance = what.partition("-")
        return sorted((value for value in self.all_values()
                       if (value.instance, value.type, value.type_instance) ==
                       (instance, kind, type_instance)), key=lambda value: value.time)

    def latest(self, instance, what):
        series = self.values(instance, what)
        return series[-1].numbers if series else None

    def instances(self):
        return {value.instance for value in self.all_values()} - {"_self"}

    def wait_for_values(self, instance, what, count=1, after=0.0, timeout=20):
        """Waits until the series has count values that were taken after the time, and gives them."""
        def fresh():
            series = [value for value in self.values(instance, what) if value.time > after]
            return len(series) >= count and series
        return wait_until(fresh, f"{count} values {instance}/{what}", timeout)

    def wait_for_log(self, words, timeout=10):
        return wait_until(lambda: [line for line in self.log() if words in line],
                          f'"{words}" in the log', timeout)

    def wait_ready(self):
        return wait_until(lambda: self.latest("_self", "gauge-source"), "the first values")

    def files(self):
        return sorted(self.folder.glob("**/*.jsonl"))

    def records(self):
        """Path -> its lines, parsed strictly; a last line without its newline fails too."""
        return {path: read_lines(path) for path in self.files()}

    def lines_of(self, pid, instance=None):
        """All lines of one process, its parts one after the other."""
        lines = []
        for path in self.files():
            if path.name.startswith(f"{pid}-") and instance in (None, path.parents[1].name):
                lines += read_lines(path)
        return lines

    def samples_of(self, pid, instance=None):
        return [line for line in self.lines_of(pid, instance) if line["kind"] != "metadata"]

    def wait_for_lines(self, pid, count=1, instance=None, after_ms=0, timeout=20):
        def fresh():
            lines = [line for line in self.samples_of(pid, instance)
                     if line_time(line) > after_ms]
            return len(lines) >= count and lines
        return wait_until(fresh, f"{count} lines of process {pid}", timeout)


def _refuse_constant(word):
    raise ValueError(f"{word} is no JSON")


def _refuse_double_keys(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key stands twice: {sorted(keys)}")
    return dict(pairs)


def read_lines(path):
    """The lines of one file; ValueError when one is not UTF-8, not JSON, or torn."""
    raw = Path(path).read_bytes()
    if raw and not raw.endswith(b"\n"):
        raise ValueError(f"{path}: the last line is torn")
    return [json.loads(line.decode("utf-8"), parse_constant=_refuse_constant,
                       object_pairs_hook=_refuse_double_keys)
            for line in raw.split(b"\n")[:-1]]


def line_time(line):
    return line.get("ts_ms", 0)


@functools.lru_cache
def program(name, flags=(), suffix=""):
    """The path of a compiled program of tests/programs; a suffix tells apart what other flags, after
    the usual ones, make of the same source."""
    source = next(path for path in (SOURCES / f"{name}.c", SOURCES / f"{name}.cc") if path.exists())
    out = work_folder() / "programs" / (name + suffix)
    out.parent.mkdir(exist_ok=True)
    out.parent.chmod(0o755)
    compiler = "cc" if source.suffix == ".c" else "c++"
    subprocess.run([compiler, "-O1", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra", *flags, "-o",
                    str(out), str(source)], check=True)
    return str(out)


def make_cgroup(name):
    """A cgroup below our own, in the hierarchy whose path is a process's; None if none can be."""
    places = {line.split(":", 2)[1]: line.split(":", 2)[2]
              for line in Path("/proc/self/cgroup").read_text().splitlines()}
    for mount, controller in (("/sys/fs/cgroup", ""), ("/sys/fs/cgroup/unified", ""),
                              ("/sys/fs/cgroup/systemd", "name=systemd")):
        here = Path(mount + places.get(controller, "/nowhere"))
        if (here / "cgroup.procs").exists():
            try:
                (here / name).mkdir()
            except OSError:
                continue
            return here / name
    return None


def remove_cgroup(group):
    """Once the last process in it is gone, which takes the kernel a moment."""
    def is_gone():
        try:
            group.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True
    wait_until(is_gone, f"{group} to go")


def why_no_bpf():
    """Why this machine or this build cannot have the BPF source; "" if it can."""
    collectd = Collectd('Source "bpf"\n' + rule("me", 'Comm "collectd"'))
    if collectd.run_once() == 0:
        return ""
    told = [line.partition("] denet plugin: ")[2] for line in collectd.complaints()]
    return next(filter(None, told), "collectd did not start, and denet did not say why")


def comm_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def threads_of(pid):
    """Of each thread of a process: its name, its state (R, S, ...) and where in the kernel it waits."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            name, rest = (task / "stat").read_text().partition("(")[2].rsplit(") ", 1)
            found.append((name, rest[0], (task / "wchan").read_text()))
        except OSError:
            pass
    return sorted(found)


class Workload:
    """One process of a program of ours. It says "ready" once it is what it should be, answers each
    word that it is told with one line, and ends at the end of its input. path: of one that was
    compiled already, otherwise than usual."""

    def __init__(self, name, *arguments, argv0=None, environment=None, prefix=(), cpus=None,
                 path=None):
        path = path or program(name)
        command = [*prefix, path] if prefix else [argv0 if argv0 is not None else path]
        set_cpus = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
        self.process = subprocess.Popen(
            [*command, *arguments], executable=None if prefix else path, preexec_fn=set_cpus,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
            env={**os.environb, **(environment or {})})
        self.pid = self.process.pid
        self.answer = self._read_answer()

    def _read_answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"workload {self.process.args} ended: {self.process.wait()}")
        return line.decode().strip()

    def ask(self, words):
        self.tell(words)
        return self._read_answer()

    def tell(self, words):
        self.process.stdin.write(words.encode() + b"\n")

    def end(self):
        """Lets it end by itself; its exit status."""
        self.process.stdin.close()
        return self.process.wait(timeout=10)

    def kill(self):
        self.process.kill()
        return self.process.wait(timeout=10)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
