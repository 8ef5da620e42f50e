"""For the benchmarks: a private collectd in a temporary folder, and its CPU time."""
import ctypes
import pathlib
import subprocess
import tempfile
import time

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


def cpu_seconds(pid):
    """CPU time of all threads of a process (clock_getcpuclockid(3))."""
    clock = ctypes.c_int()
    if LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def thread_waits(pid, name):
    """Voluntary context switches of the threads of that name; None if there is no such thread."""
    waits = None
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if fields["Name"].strip() == name:
            waits = (waits or 0) + int(fields["voluntary_ctxt_switches"])
    return waits


# On purpose there is no writer.
EXPECTED = "No write callback has been registered"


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
        said = [line for line in lines if EXPECTED not in line]
        self.folder.cleanup()
        if kind is None and (status or said):
            raise RuntimeError(f"collectd ended with {status} and said: " + " ".join(said))


def denet_body(plugins, source, pattern):
    """A configuration with one rule, by the command line."""
    return f"""
PluginDir "{plugins}"
LoadPlugin denet
<Plugin denet>
  Source "{source}"
  ProcessMatch "bench" "{pattern}"
</Plugin>
"""
