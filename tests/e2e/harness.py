"""A private collectd, workload processes of known cost, and waits for conditions."""

import fcntl
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import sanitizer

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "programs"
PROJECT = HERE.parent.parent
HOST = "testhost"
MIB = 1 << 20
COLLECTD = shutil.which("collectd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

# The process has every capability, but only in a user namespace of its own.
IN_USER_NAMESPACE = ["unshare", "--user", "--map-root-user"]

# One value list as the csv plugin prints it; counters are not rates.
Value = namedtuple("Value", "plugin instance type type_instance time numbers")

_PUTVAL = re.compile(
    r"PUTVAL [^/]+/([^/-]+)(?:-([^/]*))?/([^/ -]+)(?:-(\S*))? interval=\S+ ([0-9.]+):(\S+)$")


def plugins_folder():
    return Path(os.environ["DENET_PLUGINS"])


def is_sanitized():
    """Returns whether the plugins were built with a sanitizer."""
    return bool(sanitizer.runtimes(plugins_folder()))


def source_in_use():
    """Returns the source that this run tests: "procfs" or "bpf"."""
    return os.environ.get("DENET_E2E_SOURCE", "procfs")


def bpf_only(case):
    """Marks a case of the BPF source: run.py leaves it out of other runs."""
    case.only_source = "bpf"
    return case


def procfs_only(case):
    """Marks a case of /proc, or of something that is the same with each source: run once, with
    /proc."""
    case.only_source = "procfs"
    return case


def alone(case):
    """Marks a case that others would disturb: it looks at all processes of the host or at
    everything in the kernel, or needs a certain pid. run.py runs it when all others have ended."""
    case.is_alone = True
    return case


def measures(case):
    """Marks a case that measures CPU time, run delay or the precision of times, or that fills the
    machine: it runs alone, too. With a sanitizer its figures mean nothing: it runs beside others,
    and only the reports of the sanitizer count."""
    case.is_alone = not is_sanitized()
    case.is_for_reports = is_sanitized()
    return case


def native_only(test):
    """Marks a test or a case that would measure the sanitizer: run.py leaves it out of such
    runs."""
    test.is_native_only = True
    return test


def need(test, is_there, what):
    """Skips a test of the BPF source if something is missing; fails it if BPF is required."""
    if not is_there and os.environ.get("DENET_REQUIRE_BPF") == "1":
        test.fail(f"needs {what}")
    if not is_there:
        test.skipTest(f"needs {what}")


@functools.lru_cache
def work_folder():
    """Returns the folder of this run, which run.py makes and removes."""
    return Path(os.environ["DENET_E2E_FOLDER"])


@functools.lru_cache
def collectd_plugin_folder():
    text = subprocess.run([COLLECTD, "-h"], capture_output=True, text=True).stdout
    return re.search(r"Plugin directory +(\S+)", text).group(1)


@functools.lru_cache
def can_read_every_executable():
    """Returns false in some sandboxes, even for root."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            os.readlink(f"/proc/{pid}/exe")
        except PermissionError:
            return False
        except OSError:
            pass
    return True


def patience():
    """Returns the factor for all time limits: a sanitizer makes collectd slow."""
    return 4 if is_sanitized() else 1


def wait_until(condition, what, timeout=15, pause=0.05):
    """Polls until condition() is true. Returns its value; raises an AssertionError after
    timeout."""
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
    """Returns a block of the configuration: rule("a", 'Comm "a"')."""
    body = "".join(f"    {line}\n" for line in lines)
    return f'  <{key} "{name}">\n{body}  </{key}>\n'


def every(seconds):
    """The options for ticks that are so far apart."""
    return f"BaseInterval {seconds}\nMaxInterval {seconds}\n"


def program_rule(name, workload, *lines):
    """A rule for the processes of a program of tests/programs."""
    return rule(name, f'Executable "{program(workload)}"', *lines)


def stock_plugin(name, *lines):
    """The configuration of one of collectd's own plugins, for Collectd(extra=)."""
    body = "".join(f"  {line}\n" for line in lines)
    return f'PluginDir "{collectd_plugin_folder()}"\nLoadPlugin {name}\n' \
        f"<Plugin {name}>\n{body}</Plugin>\n"


class Collectd:
    """A context manager that runs collectd in the foreground, in a folder of its own."""

    def __init__(self, denet="", write="", plugins=("write_denet", "denet"), interval=1,
                 extra="", prefix=(), folder=None, with_block=True, preload=()):
        """preload: libraries to load into collectd before all others."""
        self.folder = Path(folder or tempfile.mkdtemp(prefix="collectd-", dir=work_folder()))
        self.folder.chmod(0o755)
        self.records_folder = self.folder / "denet"
        self.prefix = list(prefix)
        self.preload = list(preload)
        self.process = None
        self.stopped_at = None
        self.read = {}  # name: (lines, bytes that were read), for the files that only grow
        self.found = []  # the values in the lines of stderr
        self.looked_through = 0  # lines of stderr
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
        """Runs collectd -T: init and one read in the main thread. Returns the exit status."""
        with open(self.folder / "stderr", "ab") as out:
            return subprocess.run(self.command("-T"), stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out, timeout=30 * patience()).returncode

    def stop(self):
        """Ends it as init does. Returns its exit status."""
        if self.process.poll() is None:
            self.stopped_at = time.time()
            self.process.send_signal(signal.SIGTERM)
        if sanitizer.is_for_threads(plugins_folder()):
            self._signal_again()
        try:
            return self.process.wait(timeout=20 * patience())
        except subprocess.TimeoutExpired as late:
            late.add_note(f"its threads: {threads_of(self.pid)}")
            raise

    def _signal_again(self):
        """Sends a second signal. The thread sanitizer delays signals and loses one of some
        hundreds: its own handler is called, collectd's is not. collectd handles a second one as
        the first."""
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)

    def close(self):
        """Ends it, by SIGKILL if needed. The folder stays until the run ends."""
        if not self.process:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise AssertionError("collectd did not end in time after SIGTERM") from late

    def _lines(self, name):
        """Returns the whole lines of a file. Reads only what is new."""
        lines, done = self.read.get(name, ([], 0))
        path = self.folder / name
        if path.exists():
            with path.open("rb") as file:
                file.seek(done)
                new = file.read()
            whole = new[:new.rfind(b"\n") + 1]
            lines += whole.decode("utf-8", "backslashreplace").split("\n")[:-1]
            self.read[name] = lines, done + len(whole)
        return lines

    def log(self):
        """Returns all lines of the log, including those before the logfile plugin was loaded."""
        return [line for line in self._lines("stderr") if not line.startswith("PUTVAL")] + \
            self._lines("collectd.log")

    def complaints(self):
        """Returns warnings and errors, except those that denet does not cause."""
        # collectd -T never empties its queue; collectd is slow on a busy machine
        ignored = ["left after shutting down", "above its read interval", "Not sleeping because"]
        if not can_read_every_executable():
            ignored += ["of a process may not be read", "task iterator leaves out"]
        return [line for line in self.log() if ("[warning]" in line or "[error]" in line)
                and not any(words in line for words in ignored)]

    def all_values(self):
        for line in self._lines("stderr")[self.looked_through:]:
            found = _PUTVAL.match(line)
            if line.startswith("PUTVAL") and not found:
                raise AssertionError(f"an identifier that collectd cannot parse: {line}")
            if found:
                plugin, instance, kind, type_instance, when, numbers = found.groups()
                self.found.append(
                    Value(plugin, instance or "", kind, type_instance or "", float(when),
                          [float(number) for number in numbers.split(":")]))
            self.looked_through += 1
        return list(self.found)

    def values(self, instance, what):
        """Returns one series (what: "ps_rss" or "gauge-cpu_percent"), in order of time."""
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
        """Waits until the series has count values later than after. Returns them."""
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
        """Returns {path: lines}, parsed strictly; a last line without a newline is an error."""
        return {path: read_lines(path) for path in self.files()}

    def pids_of_files(self, instance):
        return sorted(int(path.name.partition("-")[0]) for path in self.files()
                      if path.parents[1].name == instance)

    def lines_of(self, pid, instance=None):
        """Returns all lines of one process, its segments in order."""
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
                     if line["ts_ms"] > after_ms]
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
    """Returns the lines of a file; ValueError if one is not UTF-8, not JSON, or torn. A file that has
    not changed is not parsed again."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        known, lines = _parsed.get(path, (None, None))
        if known != key:
            raw = file.read()
            if raw and not raw.endswith(b"\n"):
                raise ValueError(f"{path}: the last line is torn")
            lines = [json.loads(line.decode("utf-8"), parse_constant=_refuse_constant,
                                object_pairs_hook=_refuse_double_keys)
                     for line in raw.split(b"\n")[:-1]]
            if len(raw) == status.st_size:
                _parsed[path] = key, lines
    return list(lines)


_parsed = {}  # path: (what its status was, its lines)


def check_series_rise(test, collectd, instance, *series, least=2):
    """Checks that no number of these series of a group falls, and that each has so many values."""
    for what in series:
        values = collectd.values(instance, what)
        test.assertGreaterEqual(len(values), least, what)
        for before, after in zip(values, values[1:]):
            test.assertTrue(all(b >= a for a, b in zip(before.numbers, after.numbers)),
                            f"{what}: {before} then {after}")


def check_counters_rise(test, values):
    """Checks that no counter falls: values are parts of consecutive lines."""
    counters = [key for key in values[0]
                if key.endswith(("_bytes", "_ns", "_cached", "_disk", "voluntary"))]
    test.assertGreater(len(counters), 8)
    for before, after in zip(values, values[1:]):
        for key in counters:
            test.assertGreaterEqual(after[key], before[key], key)


def check_none_lost(test, collectd, times_ms):
    """Checks that no line is missing that a report has counted; times_ms: of all samples in the
    files of a collectd, which are in the files in this order. A late line is not a lost line."""
    report = [value for value in collectd.values("_self", "derive-records")
              if value.time * 1e3 < max(times_ms)][-1]
    test.assertGreaterEqual(sum(moment <= report.time * 1e3 + 5 for moment in times_ms),
                            report.numbers[0], "a line was lost")


def now_ms():
    return time.time() * 1e3


@functools.lru_cache
def program(name, flags=(), suffix=""):
    """Compiles a program of tests/programs. Returns its path. Programs of one source with different
    flags have different suffixes."""
    source = next(path for path in (SOURCES / f"{name}.c", SOURCES / f"{name}.cc") if path.exists())
    out = work_folder() / "programs" / (name + suffix)
    out.parent.mkdir(exist_ok=True)
    out.parent.chmod(0o755)
    # Rules tell the processes of different folders apart, so each folder has a copy.
    compiled = Path(os.environ.get("DENET_E2E_PROGRAMS", out.parent)) / out.name
    with open(compiled.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not compiled.exists():
            compiler = "cc" if source.suffix == ".c" else "c++"
            subprocess.run([compiler, "-O1", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra",
                            *flags, "-o", str(compiled), str(source)], check=True)
    if compiled != out:
        shutil.copy(compiled, out)
    return str(out)


def make_cgroup(name):
    """Makes a cgroup below our own, or of an absolute path, in the hierarchy that denet reads.
    Returns None if that fails."""
    places = {line.split(":", 2)[1]: line.split(":", 2)[2]
              for line in Path("/proc/self/cgroup").read_text().splitlines()}
    for mount, controller in (("/sys/fs/cgroup", ""), ("/sys/fs/cgroup/unified", ""),
                              ("/sys/fs/cgroup/systemd", "name=systemd")):
        here = Path(mount + places.get(controller, "/nowhere"))
        group = Path(mount + name) if name.startswith("/") else here / name
        if (here / "cgroup.procs").exists():
            try:
                group.mkdir(parents=name.startswith("/"))
            except OSError:
                continue
            return group
    return None


def remove_cgroup(group):
    """Removes a cgroup as soon as its last process is gone, and those above it that are empty."""
    def is_gone():
        try:
            group.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True
    wait_until(is_gone, f"{group} to go")
    for above in group.parents:
        try:
            above.rmdir()
        except OSError:
            break


def why_no_bpf():
    """Returns why the BPF source is not available here; "" if it is."""
    collectd = Collectd('Source "bpf"\n' + rule("me", 'Comm "collectd"'))
    if collectd.run_once() == 0:
        return ""
    reasons = [line.partition("] denet plugin: ")[2] for line in collectd.complaints()]
    return next(filter(None, reasons), "collectd did not start, and denet logged no reason")


def statm_bytes(pid):
    """Returns the bytes of a process's address space, and those that are resident."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[:2]
    return [int(number) * os.sysconf("SC_PAGE_SIZE") for number in pages]


def threads_of(pid):
    """Returns the name, the state (R, S, ...) and the kernel function of each thread of a
    process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            name, rest = (task / "stat").read_text().partition("(")[2].rsplit(") ", 1)
            found.append((name, rest[0], (task / "wchan").read_text()))
        except OSError:
            pass
    return sorted(found)


class Workload:
    """A process of a program of tests/programs. It prints "ready" when it has started, answers
    each line of its input with one line, and ends at the end of its input. path: of a program that
    is compiled already."""

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
        """Closes its input. Returns its exit status."""
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
