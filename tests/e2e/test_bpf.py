"""The BPF source: it has the numbers of /proc, says which capability is missing, and leaves nothing
in the kernel."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import (IN_USER_NAMESPACE, Collectd, Workload, alone, bpf_only, measures, need, program,
                     program_rule, rule, wait_until, work_folder)
from spawner import Spawner, end_of, totals

# The two sample at different times, and the network counters are the namespace's.
NOT_AT_ONE_MOMENT = {"ts_ms", "cpu_usage", "uptime_secs", "cpu_core", "sys_net_rx_bytes",
                     "sys_net_tx_bytes", "off_cpu_ns"}
OBJECTS = ("prog", "map", "link")


@measures
@bpf_only
class SameAsProc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.many = cls.enterClassContext(Workload("threads", "40"))
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        cls.io = cls.enterClassContext(Workload("files", f"{folder}/file"))
        cls.parent = cls.enterClassContext(Workload("family"))
        cls.rest = cls.enterClassContext(
            Workload("sleeper", "at rest", environment={b"SLEEPER_MIB": b"20"}))
        cls.io.ask("fsync 3145728")
        cls.io.ask("read 6553600")
        cls.parent.ask("worker 40960 50")  # its usage is not its parent's
        cls.pids = {"threads": cls.many.pid, "I/O": cls.io.pid, "parent": cls.parent.pid,
                    "rest": cls.rest.pid}
        rules = "SinceProcessStart true\n" + \
            rule("all", 'Comm "~^(threads|files|family|sleeper)$"', "Children false")
        with Collectd('Source "bpf"\n' + rules) as bpf, \
                Collectd('Source "procfs"\n' + rules) as procfs:
            cls.lines = {name: {pid: collectd.wait_for_lines(pid, count=3)[-1]
                                for pid in cls.pids.values()}
                         for name, collectd in (("bpf", bpf), ("procfs", procfs))}

    def test_every_metric_of_a_process_at_rest_is_the_same(self):
        for name, pid in self.pids.items():
            ours, theirs = (self.lines[source][pid] for source in ("bpf", "procfs"))
            self.assertEqual(set(ours), set(theirs))
            for key in set(ours) - NOT_AT_ONE_MOMENT:
                with self.subTest(process=name, metric=key):
                    self.assertEqual(ours[key], theirs[key])

    def test_blocked_time_of_a_process_at_rest_differs_by_the_time_between_the_samples(self):
        for name, pid in self.pids.items():
            with self.subTest(process=name):
                ours, theirs = (self.lines[source][pid] for source in ("bpf", "procfs"))
                threads = ours["thread_count"]
                later_ns = (ours["ts_ms"] - theirs["ts_ms"]) * 1e6
                # /proc has the start of a thread in ticks of 10 ms.
                self.assertAlmostEqual(ours["off_cpu_ns"] - theirs["off_cpu_ns"],
                                       threads * later_ns, delta=threads * 12e6)

    def test_io_and_threads_are_what_the_processes_did(self):
        self.assertEqual(self.lines["bpf"][self.many.pid]["thread_count"], 40)
        line = self.lines["bpf"][self.io.pid]
        self.assertGreaterEqual(line["disk_write_bytes"], 3145728)
        self.assertGreaterEqual(line["syscall_read_bytes"], 6553600)
        self.assertGreaterEqual(line["syscall_write_bytes"], 3145728)


@bpf_only
class WithoutCapabilities(unittest.TestCase):
    """One capability is missing, and the log line names it."""

    RULES = rule("me", 'Comm "collectd"') + \
        rule("job", f'CommandLine "^{program("job")} of-somebody "', "Children false")

    def started_without(self, *capabilities, settings=""):
        need(self, shutil.which("setpriv") and os.geteuid() == 0, "setpriv and root")
        bounding = ",".join("-" + name for name in capabilities)
        prefix = ["setpriv", "--inh-caps=-all", f"--bounding-set={bounding}"]
        return self.enterContext(Collectd(settings + 'Source "auto"\n' + self.RULES, prefix=prefix,
                                          interval=0.5))

    def test_all_others_can_go(self):
        names = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True)
        collectd = self.started_without(*(set(names.stdout.split()) - {"bpf", "perfmon"}))
        self.assertEqual(collectd.wait_ready(), [2])
        spawner = self.enterContext(Spawner())
        spawner.ask("as 65534")
        jobs = spawner.run(program("job"), "of-somebody", 2, 0, 0, count=10)
        found = totals(collectd, "job", 10)
        self.assertEqual((found["derive-starts"], found["derive-exits"]), ([10], [10]))
        lines = wait_until(lambda: collectd.lines_of(jobs[-1]["pid"]), "its file")
        self.assertEqual((lines[0]["executable"], lines[0]["uid"]), (program("job"), 65534))
        self.assertEqual(lines[-1]["exit"], end_of(jobs[-1]))

    def test_without_cap_sys_ptrace_there_are_stacks_and_a_log_line(self):
        collectd = self.started_without("sys_ptrace", settings='OffCPU "stacks"\n')
        collectd.wait_for_values("me", "total_time_in_ms-offcpu_runqueue")
        lines = [line for line in collectd.log() if "CAP_SYS_PTRACE" in line and "stacks" in line]
        self.assertEqual(len(lines), 1, collectd.log())

    def test_without_cap_bpf_or_cap_perfmon_it_falls_back_on_proc(self):
        for capability in ("bpf", "perfmon"):
            with self.subTest(capability=capability):
                collectd = self.started_without(capability, "sys_admin")
                self.assertEqual(collectd.wait_ready(), [1])
                word = "CAP_" + capability.upper()
                self.assertEqual(len([line for line in collectd.log() if word in line]), 1)

    def test_a_capability_that_it_has_in_its_user_namespace_is_no_remedy(self):
        need(self, shutil.which("unshare") and os.geteuid() == 0, "unshare and root")
        with Collectd('Source "auto"\n' + self.RULES, prefix=IN_USER_NAMESPACE) as collectd:
            line, = collectd.wait_for_log("BPF is not permitted")
            self.assertIn("although this process has CAP_BPF and CAP_PERFMON, a sandbox", line)


@bpf_only
class LeftOut(unittest.TestCase):
    def test_a_task_iterator_without_pid_1_is_logged_once(self):
        """Some sandboxes leave it out."""
        with tempfile.NamedTemporaryFile("w", dir=work_folder()) as file:
            file.write("1\n")
            file.flush()
            with Collectd(rule("init", f'PidFile "{file.name}"'), interval=0.5) as collectd:
                found = collectd.wait_for_values("init", "ps_count", count=4)[-1].numbers[0]
                lines = [line for line in collectd.log() if "task iterator leaves out" in line]
        self.assertEqual(len(lines), 0 if found else 1)
        self.assertFalse([line for line in lines if 'Source "procfs"' not in line])


def objects_of(pid):
    """The BPF programs, maps and links of a process: {("prog", 12), ...}."""
    texts = []
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the process has closed it
            texts.append(path.read_text())
    return {(kind, int(number)) for text in texts for kind in OBJECTS
            for number in re.findall(rf"^{kind}_id:\s*(\d+)", text, re.MULTILINE)}


def objects_in_kernel():
    found = set()
    for kind in OBJECTS:
        listing = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True,
                                 check=True).stdout
        found |= {(kind, entry["id"]) for entry in json.loads(listing or "[]")}
    return found


@bpf_only
class FoundAtOnce(unittest.TestCase):
    def test_a_process_is_sampled_when_it_starts(self):
        """Without a new process ticks are ten seconds apart."""
        rules = "MaxInterval 10\n" + rule("soon", 'CommandLine "e2e-found-at-once"')
        with Collectd(rules, "FlushInterval 0.1\n", interval=10) as collectd:
            collectd.wait_ready()
            for _ in range(3):
                with Workload("sleeper", "e2e-found-at-once") as process:
                    line = collectd.wait_for_lines(process.pid)[0]
                    metadata = collectd.lines_of(process.pid)[0]
                    self.assertLess(line["ts_ms"] - metadata["t0_ms"], 4000)


@alone
@bpf_only
class Traces(unittest.TestCase):
    STORM = 3000

    def kill(self, collectd):
        """Kills collectd; nothing of it may stay in the kernel."""
        ours = objects_of(collectd.pid)
        self.assertEqual({kind for kind, _ in ours} & {"prog", "map"}, {"prog", "map"})
        self.assertLessEqual(ours, objects_in_kernel())
        collectd.process.kill()
        collectd.process.wait()
        wait_until(lambda: not ours & objects_in_kernel(), "its objects to go")

    def test_a_run_after_a_kill_counts_only_what_is_born_under_it(self):
        need(self, shutil.which("bpftool"), "bpftool")
        before = set(Path("/sys/fs/bpf").rglob("*"))
        job = [program("job"), "steady", 2, 0, 0]
        rules = program_rule("member", "sleeper", "Children false") + \
            "".join(rule(name, f'CommandLine "^{program("job")} {name} "', "Children false")
                    for name in ("steady", "churn"))
        spawner, churn = (self.enterContext(Spawner()) for _ in range(2))
        self.enterContext(Workload("sleeper"))
        first = self.enterContext(Collectd(rules, interval=0.5))
        first.wait_ready()
        churn.tell(f"storm {self.STORM} {program('job')} churn 3 0 0 1")
        spawner.run(*job, count=50)
        self.assertEqual(totals(first, "steady", 50)["derive-starts"], [50])
        self.kill(first)
        spawner.run(*job, count=30)  # no collectd runs

        second = self.enterContext(Collectd(rules, interval=0.5))
        second.wait_ready()
        spawner.run(*job, count=40)
        found = totals(second, "steady", 40)
        self.assertEqual((found["derive-starts"], found["derive-exits"]), ([40], [40]))
        found = totals(second, "member", 0)
        self.assertEqual((found["ps_count"], found["derive-starts"], found["derive-exits"]),
                         ([1, 1], [0], [0]))
        starts = [run.latest("churn", "derive-starts")[0] for run in (first, second)]
        self.assertTrue(all(starts), starts)
        self.assertLessEqual(sum(starts), self.STORM)
        self.assertEqual(set(Path("/sys/fs/bpf").rglob("*")), before)

    def test_no_file_of_a_known_process_is_opened(self):
        need(self, shutil.which("strace"), "strace")
        with Workload("sleeper", "known") as process, \
                Collectd(rule("x", 'Comm "sleeper"', "Records false"), interval=0.5) as collectd:
            collectd.wait_for_values("x", "ps_rss", count=3)
            trace = subprocess.run(
                ["timeout", "2.5", "strace", "-f", "-e", "trace=open,openat,openat2", "-p",
                 str(collectd.pid)], capture_output=True, text=True)
        self.assertIn("attached", trace.stderr)
        self.assertNotIn(f"/{process.pid}/", trace.stderr)
