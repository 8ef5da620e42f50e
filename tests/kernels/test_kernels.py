"""Truths that hold on a slow machine too, as a guest without hardware help is one."""

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import test_life
from blocking import (ON_DISK, PACE, REASON_OF, WRITE, blocked, blocker_rule, off_cpu)
from harness import Collectd, Workload, bpf_only, program, rule, source_in_use, wait_until


def has_stacks():
    """Returns whether denet can have off-CPU stacks here: x86-64, Linux 5.15 or later, BPF."""
    version = tuple(map(int, platform.release().split("-")[0].split(".")[:2]))
    return source_in_use() == "bpf" and platform.machine() == "x86_64" and version >= (5, 15)


def cpu_us(pid):
    """CPU time of a process, by the kernel (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1000


def zeros(folder, name):
    """Makes a file of 32 MiB that is on its disk. Returns its path."""
    path = Path(folder, name)
    with path.open("wb") as file:
        file.write(bytes(32 << 20))
        os.fsync(file.fileno())
    return str(path)


def is_whole(stack):
    return any(frame.partition(" (")[0] == "main" for frame in stack["frames"])


def at_rest(collectd, pid):
    """Returns a line whose sample was taken after the call."""
    return collectd.wait_for_lines(pid, count=2, after_ms=time.time() * 1e3)[-1]


@bpf_only
class ShortLived(test_life.OneAfterTheOther):
    COUNT = 50


class Counters(unittest.TestCase):
    """Of a process that has done something, and rests."""

    def test_faults_switches_and_io_are_those_of_the_kernel(self):
        rules = rule("rest", f'Executable "{program("sleeper")}"', "Children false")
        with Collectd(PACE + rules, WRITE) as collectd:
            collectd.wait_ready()
            with Workload("sleeper") as sleeper:
                sleeper.ask("touch 8")
                line = at_rest(collectd, sleeper.pid)
                proc = Path(f"/proc/{sleeper.pid}")
                stat = proc.joinpath("stat").read_text().rpartition(")")[2].split()
                pairs = [pair.split(":") for name in ("status", "io")
                         for pair in proc.joinpath(name).read_text().splitlines()]
                kernel = {key: value.split()[0] for key, value in pairs if value.strip()}
                self.assertGreater(int(stat[7]), 30)  # few, as pages may be large
                used = collectd.wait_for_values("rest", "ps_cputime", after=time.time())[-1]
                self.assertAlmostEqual(sum(used.numbers), cpu_us(sleeper.pid), delta=20)
        for key, value in {"page_faults_cached": stat[7], "page_faults_disk": stat[9],
                           "ctx_switches_voluntary": kernel["voluntary_ctxt_switches"],
                           "ctx_switches_involuntary": kernel["nonvoluntary_ctxt_switches"],
                           "syscall_read_bytes": kernel["rchar"],
                           "syscall_write_bytes": kernel["wchar"]}.items():
            with self.subTest(metric=key):
                self.assertEqual(line[key], int(value))


class Busy(unittest.TestCase):
    def test_cpu_time_is_that_of_the_kernel(self):
        rules = rule("busy", f'Executable "{program("busy")}"', "Children false")
        with Collectd(PACE + rules, WRITE) as collectd:
            collectd.wait_ready()
            with Workload("busy", "1") as busy:
                collectd.wait_for_lines(busy.pid, count=10)
                os.kill(busy.pid, signal.SIGSTOP)
                at_rest(collectd, busy.pid)
                used = collectd.wait_for_values("busy", "ps_cputime", after=time.time())[-1]
                self.assertAlmostEqual(sum(used.numbers), cpu_us(busy.pid), delta=20)
                self.assertGreater(cpu_us(busy.pid), 500_000)
        usage = [line["cpu_usage"] for line in collectd.samples_of(busy.pid)[1:]]
        self.assertAlmostEqual(statistics.median(usage), 100, delta=40)  # others need the CPU too


class Blocked(unittest.TestCase):
    """Each program blocks in one way for most of its time, and knows for how long."""

    SECONDS = 1.6

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        mode = "stacks" if has_stacks() else "times"
        rules = "".join(blocker_rule(kind, kind) for kind in REASON_OF)
        collectd = cls.enterClassContext(Collectd(f'{PACE}OffCPU "{mode}"\n{rules}', WRITE))
        collectd.wait_ready()
        cls.truth, cls.lines = {}, {}
        for kind in REASON_OF:
            data = [zeros(folder, kind)] if kind in ON_DISK else []
            with Workload("blocker", kind, "45", "5", *data) as workload:
                time.sleep(cls.SECONDS)  # this is what is measured
                cls.truth[kind] = json.loads(workload.ask("stop"))
                at_rest(collectd, workload.pid)
                cls.lines[kind] = collectd.samples_of(workload.pid)
        cls.complaints = collectd.complaints()

    def test_the_blocked_time_is_what_the_program_knows(self):
        for kind in set(self.lines) - ON_DISK:  # whose waits are too short here
            with self.subTest(kind=kind):
                share = self.lines[kind][-1]["off_cpu_ns"] / self.truth[kind]["blocked_ns"]
                self.assertAlmostEqual(share, 1, delta=0.05)

    def test_each_wait_has_its_reason(self):
        for kind, lines in self.lines.items() if has_stacks() else ():
            with self.subTest(kind=kind):
                reasons = off_cpu(lines[-1])["by_reason"]
                share = reasons.get(REASON_OF[kind], 0) / blocked(lines[-1])
                self.assertGreaterEqual(share, 0.4 if kind in ON_DISK else 0.9, reasons)

    def test_stacks_are_whole(self):
        """From the first whole one on: the libraries of a new process are not known at once. Some
        are cut, as the thread goes on while its stack is read. In a child's wait there is also
        vfork(), which has no callers."""
        for kind, lines in self.lines.items() if has_stacks() else ():
            with self.subTest(kind=kind):
                times = [(is_whole(stack), stack["time_ns"]) for line in lines
                         for stack in off_cpu(line)["stacks"] if stack["reason"] == REASON_OF[kind]]
                first = [whole for whole, _ in times].index(True)
                share = sum(ns for whole, ns in times[first:] if whole) / \
                    sum(ns for _, ns in times[first:])
                self.assertGreater(share, 0.05 if kind == "child" else 0.7, times)

    def test_there_were_no_complaints(self):
        self.assertEqual(self.complaints, [])


@bpf_only
class Stacks(unittest.TestCase):
    def test_the_log_says_what_they_need_where_they_are_not_available(self):
        with Collectd('OffCPU "stacks"\n' + rule("a", 'Comm "a"')) as collectd:
            collectd.wait_ready()
            complaints = collectd.complaints()
        if has_stacks():
            self.assertEqual(complaints, [])
        else:
            needs = "Linux 5.15" if platform.machine() == "x86_64" else "x86_64 only"
            self.assertIn(needs, "\n".join(complaints))


class Threads(unittest.TestCase):
    def test_the_usage_of_threads_that_have_ended_stays(self):
        rules = rule("crowd", f'Executable "{program("crowd")}"', "Children false")
        with Collectd(PACE + rules, WRITE) as collectd:
            collectd.wait_ready()
            with Workload("crowd", "4") as crowd:
                slept = json.loads(crowd.ask("storm 500 20 5"))
                line = at_rest(collectd, crowd.pid)
                used = collectd.wait_for_values("crowd", "ps_cputime", after=time.time())[-1]
                self.assertAlmostEqual(sum(used.numbers), cpu_us(crowd.pid), delta=1000)
                self.assertEqual(collectd.latest("crowd", "ps_count"), [1, 5])
                self.assertEqual(slept["waits"], 500)
                if source_in_use() == "bpf":
                    self.assertGreater(line["off_cpu_ns"], slept["blocked_ns"])

    def test_an_exec_by_a_thread_goes_on_with_the_process(self):
        script = "import os, sys, threading; sys.stdin.readline();" \
            "threading.Thread(target=os.execv, args=(sys.argv[1], sys.argv[1:])).start();" \
            "threading.Event().wait()"
        python = os.path.realpath(sys.executable)
        command = [python, "-c", script, program("sleeper"), "after-exec"]
        rules = rule("both", f'Executable "{python}"', f'Executable "{program("sleeper")}"',
                     "Children false") + \
            rule("after", f'Executable "{program("sleeper")}"', "Children false")
        with Collectd(PACE + rules, WRITE) as collectd:
            collectd.wait_ready()
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            with process:
                collectd.wait_for_lines(process.pid)
                process.stdin.write(b"go\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b"ready\n")
                wait_until(lambda: collectd.latest("after", "ps_count") == [1, 1], "its rule")
                line = at_rest(collectd, process.pid)
                self.assertEqual(line["thread_count"], 1)
                metadata = [line for line in collectd.lines_of(process.pid, "both")
                            if line["kind"] == "metadata"]
                self.assertEqual([metadata[at]["executable"] for at in (0, -1)],
                                 [python, program("sleeper")])
                process.kill()
            if source_in_use() == "bpf":
                last = wait_until(lambda: [line for line in collectd.samples_of(process.pid)
                                           if "exit" in line], "its end")[-1]
                self.assertEqual(last["exit"], {"signal": 9})
            self.assertEqual(collectd.complaints(), [])
