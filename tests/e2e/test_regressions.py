"""Former bugs: hosts that are too slow, too full or too quick."""

import os
import resource
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, measures, native_only, procfs_only,
                     program, rule, wait_until)

MIB = 1 << 20


def now_ms():
    return time.time() * 1e3


def gaps_ms(lines):
    """Returns the times between the lines."""
    return [after["ts_ms"] - before["ts_ms"] for before, after in zip(lines, lines[1:])]


@measures
@native_only
class TooManyToSample(unittest.TestCase):
    """More processes than can be sampled within the configured interval."""

    COUNT = 1500

    def start_sleepers(self):
        herd = subprocess.Popen(
            ["/bin/sh", "-c", f"i=0; while [ $i -lt {self.COUNT} ]; do sleep 300 & i=$((i+1));"
             " done; echo ready; wait"], stdout=subprocess.PIPE, start_new_session=True)
        self.addCleanup(herd.stdout.close)
        self.addCleanup(herd.wait)
        self.addCleanup(os.killpg, herd.pid, signal.SIGKILL)
        self.assertEqual(herd.stdout.readline(), b"ready\n")

    def test_reports_go_on_and_the_end_is_prompt(self):
        self.start_sleepers()
        with Collectd("BaseInterval 0.01\nMaxInterval 0.01\n" +
                      rule("herd", 'Comm "sleep"', "Children false"),
                      'MaxTotalSize 200\n') as collectd:
            collectd.wait_for_values("herd", "ps_count", timeout=30)
            start = time.time()
            time.sleep(5)  # the reports of this time are tested
            end = time.time()
            times = [value.time for value in collectd.values("herd", "ps_count")
                     if start <= value.time <= end]
            self.assertGreaterEqual(len(times), 3)
            gaps = [b - a for a, b in zip(times, times[1:])]
            self.assertLess(max(gaps), 2.5)
            self.assertGreaterEqual(collectd.latest("herd", "ps_count")[0], self.COUNT)
            start = time.monotonic()
            self.assertEqual(collectd.stop(), 0)
            self.assertLess(time.monotonic() - start, 5)


@measures
class OutOfFiles(unittest.TestCase):
    """For a while collectd cannot open files: a process that cannot be read has not ended."""

    BUSY_BEFORE = 3  # seconds, which must not appear as a jump

    @classmethod
    def setUpClass(cls):
        cls.busy = cls.enterClassContext(Workload("busy"))
        time.sleep(cls.BUSY_BEFORE)
        cls.collectd = cls.enterClassContext(
            Collectd(rule("busy", f'Executable "{program("busy")}"'), interval=0.5))
        cls.collectd.wait_for_values("busy", "ps_cputime", count=3)
        before = resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            time.sleep(1.5)
        finally:
            resource.prlimit(cls.collectd.pid, resource.RLIMIT_NOFILE, before)
        cls.back = time.time()
        cls.collectd.wait_for_values("busy", "ps_cputime", count=3, after=cls.back)
        cls.collectd.wait_for_lines(cls.busy.pid, count=2, after_ms=cls.back * 1e3)

    def test_cpu_time_does_not_jump(self):
        """The CPU clock needs no descriptor: one thread never shows more than the time it had."""
        values = self.collectd.values("busy", "ps_cputime")
        for before, after in zip(values, values[1:]):
            used = (sum(after.numbers) - sum(before.numbers)) / 1e6
            self.assertGreaterEqual(used, 0)
            self.assertLessEqual(used, 1.2 * (after.time - before.time) + 0.1)
        for value in self.collectd.values("busy", "gauge-cpu_percent"):
            self.assertLessEqual(value.numbers[0], 130)

    def test_cpu_time_of_the_meantime_is_not_lost(self):
        values = self.collectd.values("busy", "ps_cputime")
        used = (sum(values[-1].numbers) - sum(values[0].numbers)) / 1e6
        self.assertGreater(used, (values[-1].time - values[0].time) * 0.5)

    def test_nothing_has_ended_or_started(self):
        self.assertEqual(self.collectd.latest("busy", "derive-exits"), [0])
        self.assertEqual(self.collectd.latest("busy", "derive-starts"), [0])
        self.assertEqual(self.collectd.latest("busy", "ps_count"), [1, 2])

    def test_one_file_without_an_end(self):
        self.assertEqual([path.name.partition("-")[0] for path in self.collectd.files()],
                         [str(self.busy.pid)])
        lines = self.collectd.lines_of(self.busy.pid)
        self.assertEqual([line["kind"] for line in lines],
                         ["metadata"] + ["tree"] * (len(lines) - 1))
        self.assertFalse([line for line in lines if "exit" in line])
        self.assertTrue(all(line["parent"] for line in lines[1:]))


@measures
@procfs_only
class LongCommandLines(unittest.TestCase):
    def test_a_regex_over_a_long_command_line_does_not_stall(self):
        with Collectd(rule("java", 'CommandLine "java.*-Dapp"')) as collectd:
            collectd.wait_ready()
            # 30,000 possible starts; a naive search reads from each to the end.
            with Workload("sleeper", "java" * 30_000) as workload:
                born = time.time()
                collectd.wait_for_values("_self", "duration-tick", count=3, after=born, timeout=60)
                # It is looked at again when it is 1 s and 10 s old.
                collectd.wait_for_values("_self", "duration-tick", after=born + 11.5, timeout=60)
                self.assertEqual(collectd.lines_of(workload.pid), [])
            # Such a search would delay several ticks; a machine that stalls may delay one.
            ticks = sorted(value.numbers[0] for value in collectd.values("_self", "duration-tick"))
            self.assertLess(ticks[-2], 1)


class EarlyInALongCommandLine(unittest.TestCase):
    def test_it_matches(self):
        with Workload("sleeper", "java -Dapp", "x" * 120_000) as workload, \
                Collectd(rule("java", 'CommandLine "java.*-Dapp"')) as collectd:
            collectd.wait_for_lines(workload.pid)
            self.assertEqual(collectd.latest("java", "ps_count"), [1, 1])


class Reentry(unittest.TestCase):
    """A root stops matching while its child lives on, and matches again. Lines count since its start,
    groups do not. Other settings, and a root without children, are in tests/scenarios."""

    BEFORE = 50_000_000  # bytes that it wrote before collectd started

    def wait_for_tree(self, members):
        """Waits until the group has so many, and returns lines from some time after that."""
        wait_until(lambda: self.collectd.latest("a", "ps_count") == [members, members],
                   f"{members} members")
        return self.collectd.wait_for_lines(self.writer.pid, count=4, after_ms=now_ms() + 500)[-3:]

    def test_the_tree_goes_on_in_its_file(self):
        self.writer = self.enterContext(Workload("sleeper"))
        self.writer.ask("name e2e-reenter")
        self.writer.ask(f"write {self.BEFORE}")
        child = int(self.writer.ask("child"))
        self.collectd = self.enterContext(Collectd(
            "SinceProcessStart true\nBaseInterval 0.2\nMaxInterval 0.2\n" +
            rule("a", 'Comm "e2e-reenter"'), "FlushInterval 0.1\n", interval=0.5))
        self.wait_for_tree(2)
        self.writer.ask("write 3000000")
        self.writer.ask("name other")
        alone = self.wait_for_tree(1)
        self.writer.ask("name e2e-reenter")
        together = self.wait_for_tree(2)
        self.writer.ask("write 2000000")
        last = self.wait_for_tree(2)[-1]["aggregated"]
        for lines, is_whole in ((alone, False), (together, True)):
            for line in lines:
                self.assertEqual(line["parent"] is not None, is_whole)
                self.assertEqual([entry["pid"] for entry in line["children"]], [child])
        path, = self.collectd.files()
        self.assertTrue(path.name.startswith(f"{self.writer.pid}-"))
        totals = [line["aggregated"] for line in self.collectd.samples_of(self.writer.pid, "a")]
        for before, after in zip(totals, totals[1:]):
            for key in before:
                if key.endswith(("_bytes", "_ns", "_cached", "_disk", "voluntary")):
                    self.assertGreaterEqual(after[key], before[key], key)
        # The root's own writes, and the child's few bytes.
        self.assertGreaterEqual(totals[0]["syscall_write_bytes"], self.BEFORE)
        self.assertGreaterEqual(last["syscall_write_bytes"], self.BEFORE + 5_000_000)
        self.assertLess(last["syscall_write_bytes"], self.BEFORE + 7_000_000)
        octets = self.collectd.latest("a", "io_octets")[1]
        self.assertGreater(octets, 5_000_000)
        self.assertLess(octets, 7_000_000)
        self.assertEqual(self.collectd.complaints(), [])


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "nsenter"))),
                     "needs root, ip, unshare and nsenter")
class ManyInterfaces(unittest.TestCase):
    PAIRS = 80
    # The kernel returns net/dev in pieces of a page: the interface must be behind the first.
    SETUP = f"""for i in $(seq {PAIRS}); do
                  ip link add den$i type veth peer name peer$i || exit 9
                  ip link set den$i up; ip link set peer$i up; done
                ip addr add 10.97.0.1/24 dev den{PAIRS} &&
                ip neigh add 10.97.0.2 lladdr 02:00:00:00:00:01 dev den{PAIRS} &&
                exec "$@" """
    SEND = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for _ in range(200): s.sendto(b'x' * 1000, ('10.97.0.2', 9))")

    def test_traffic_of_the_last_interface_counts(self):
        try:
            workload = self.enterContext(Workload(
                "sleeper", prefix=["unshare", "-n", "sh", "-c", self.SETUP, "sh"]))
        except AssertionError as error:
            self.skipTest(f"no interfaces can be made here: {error}")
        table = Path(f"/proc/{workload.pid}/net/dev").read_text()
        self.assertGreater(table.index(f"den{self.PAIRS}:"), 8192)
        collectd = self.enterContext(Collectd(
            "BaseInterval 0.2\nMaxInterval 0.2\n" +
            rule("a", f'Executable "{program("sleeper")}"', "Children false"),
            "FlushInterval 0.1\n"))
        before = collectd.wait_for_lines(workload.pid, count=2)[-1]
        subprocess.run(["nsenter", "-n", "-t", str(workload.pid), shutil.which("python3"), "-c",
                        self.SEND], check=True)
        after = collectd.wait_for_lines(workload.pid, count=2, after_ms=now_ms() + 300)[-1]
        sent = after["sys_net_tx_bytes"] - before["sys_net_tx_bytes"]
        self.assertGreaterEqual(sent, 200_000)
        self.assertLess(sent, 300_000)


class SlotsAtOnce(unittest.TestCase):
    def test_workers_that_are_replaced_between_two_looks_get_their_slots(self):
        def start_two():
            return [Workload("sleeper", argv0="e2e-worker") for _ in range(2)]

        rules = rule("worker", f'Executable "{program("sleeper")}"', 'CommandLine "^e2e-worker"',
                     'Instance "worker-%{slot}"', "MaxInstances 2", "Children false")
        workers = start_two()
        self.addCleanup(lambda: [worker.close() for worker in workers])
        with Collectd("BaseInterval 1\nMaxInterval 1\n" + rules) as collectd:
            for instance in ("worker-0", "worker-1"):
                collectd.wait_for_values(instance, "ps_count", count=2)
            for worker in workers:
                collectd.wait_for_lines(worker.pid, count=2)
            collectd.wait_for_values("worker-1", "ps_count", after=time.time())  # just after a tick
            old = [worker.pid for worker in workers]
            for worker in workers:
                worker.close()
            workers[:] = start_two()
            for worker in workers:
                collectd.wait_for_lines(worker.pid, count=2)
            collectd.wait_for_values("worker-1", "ps_count", count=3, after=time.time())
            self.assertEqual(collectd.instances(), {"worker-0", "worker-1"})
            files = {}
            for path in collectd.files():
                files.setdefault(path.parents[1].name, []).append(int(path.name.partition("-")[0]))
            self.assertEqual(set(files), {"worker-0", "worker-1"})
            for pids in files.values():
                self.assertEqual(len(pids), 2)
                self.assertEqual(len(set(pids) & set(old)), 1)
            for instance in files:
                self.assertEqual(collectd.latest(instance, "ps_count"), [1, 1])
                self.assertEqual(collectd.latest(instance, "derive-exits"), [1])


@native_only
class SplitConfiguration(unittest.TestCase):
    """Options in more than one block belong together."""

    @classmethod
    def setUpClass(cls):
        """This process is one of ten seconds, which has the longest interval."""
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        born = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > born + 10, "our age")

    def check(self, first, second):
        """A machine that stalls delays single lines, so one gap of several must be right."""
        pid_file = Path(program("sleeper")).parent.parent / "old.pid"
        pid_file.write_text(f"{os.getpid()}\n")
        rules = rule("old", f'PidFile "{pid_file}"', "Children false") + \
            rule("young", f'Executable "{program("sleeper")}"', "Children false")
        with Collectd(first + rules, "FlushInterval 0.1\n", interval=10,
                      extra=f"<Plugin denet>\n{second}</Plugin>\n") as collectd:
            found = []
            for _ in range(5):
                with Workload("sleeper") as young:
                    found += gaps_ms(collectd.wait_for_lines(young.pid, count=2)[:2])
                if abs(found[-1] - 2000) <= 400:
                    break
            else:
                self.fail(f"BaseInterval 2, and between the first two lines are {found} ms")
            wait_until(lambda: any(abs(gap - 5000) <= 600
                                   for gap in gaps_ms(collectd.samples_of(os.getpid()))),
                       "two lines of an old process that are MaxInterval apart", timeout=60)
            self.assertEqual(collectd.complaints(), [])

    def test_base_in_the_first_block_max_in_the_second(self):
        self.check("BaseInterval 2\n", "MaxInterval 5\n")

    def test_max_in_the_first_block_base_in_the_second(self):
        self.check("MaxInterval 5\n", "BaseInterval 2\n")
