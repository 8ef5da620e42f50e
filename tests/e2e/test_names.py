"""Hostile names and command lines."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from harness import Collectd, Workload, program, rule, statm_bytes, wait_until, work_folder

NAMES = [b"foo )bar", b"a b", b"a_b", b"a.b", b"qu\"o'te", b"new\nline", b"\xff\xfe\x80", b"../../etc",
         b".", b"..", b"_self", b"%{pid}", b"back\\slash", b"\xc3\xbcml\xc3\xa4ut", b"tab\there",
         b"", b"1) R 1 1 1 1 1", b"-dash"]
SAFE = re.compile(r"[A-Za-z0-9_.-]+")
# The first 16 KiB of a command line are matched.
LONG = [b"x" * 7_000, b"needle-within-bounds", b"x" * 100_000, b"needle-at-the-end"]


class DeletedExecutables(unittest.TestCase):
    """The kernel appends " (deleted)" to the name of an executable without one; a file may be called
    so, too."""

    # Those called gone are deleted; those in the folder "own" are in a mount namespace of their own.
    FILES = ("plain (deleted)", "gone", "gone (deleted)", "gone-linked", "own/plain (deleted)",
             "own/gone")
    OWN = 'mount -t tmpfs none "$0" && cp "$1" "$2" && exec "$2"'

    def start(self, path):
        prefix = ()
        if path.parent.name == "own":
            prefix = ["unshare", "--mount", "sh", "-c", self.OWN, path.parent, program("sleeper")]
        else:
            shutil.copy(program("sleeper"), path)
        sleeper = self.enterContext(Workload("sleeper", prefix=prefix, path=str(path)))
        if path.name == "gone-linked":
            os.link(path, path.parent / "other")
        if path.name.startswith("gone"):
            Path(f"/proc/{sleeper.pid}/root{path}").unlink()
        return sleeper.pid

    def test_are_matched_and_written_by_their_names(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=work_folder())))
        (folder / "own").mkdir()
        can_mount = os.geteuid() == 0 and shutil.which("unshare")
        pids = {name: self.start(folder / name) for name in self.FILES
                if can_mount or not name.startswith("own")}
        rules = "".join(rule(f"r{pid}", f'Executable "{folder / name}"')
                        for name, pid in pids.items())
        with Collectd(rules) as collectd:
            for name, pid in pids.items():
                with self.subTest(file=name):
                    collectd.wait_for_lines(pid, instance=f"r{pid}")
                    self.assertEqual(collectd.lines_of(pid)[0]["executable"], str(folder / name))


class HostileNames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        executable = f'Executable "{program("sleeper")}"'
        rules = rule("comm", executable, 'Instance "%{comm}"', "Children false") + \
            rule("argument", executable, 'CommandLine "^hostile=(.*) end$"',
                 'Instance "%{1}"', "Records false") + \
            rule("needle", executable, 'CommandLine "x needle-within-bounds x"') + \
            rule("at-end", executable, 'CommandLine "needle-at-the-end$"') + \
            rule("beyond", executable, 'CommandLine "^needle-at-the-end"') + \
            rule("named", executable, 'CommandLine "^\\\\[emptied.*\\\\]$"')
        cls.workloads = {
            name: cls.enterClassContext(Workload(
                "sleeper", b"end", argv0=b"hostile=" + name, environment={b"SLEEPER_COMM": name}))
            for name in NAMES}
        cls.long = cls.enterClassContext(
            Workload("sleeper", *LONG, environment={b"SLEEPER_COMM": b"long"}))
        cls.emptied = [cls.enterClassContext(Workload("sleeper", environment={
            b"SLEEPER_COMM": b"emptied-" + how, b"SLEEPER_CLEAR": how})) for how in
            (b"zero", b"cut")[:1 + (os.geteuid() == 0 and can_cut_arguments())]]
        cls.collectd = cls.enterClassContext(Collectd(rules, interval=0.5))
        cls.collectd.wait_for_values("long", "gauge-cpu_percent", count=2)
        for workload in [cls.long, *cls.emptied, *cls.workloads.values()]:
            cls.collectd.wait_for_lines(workload.pid)

    def instance_of(self, pid):
        return {path.parents[1].name for path in self.collectd.files()
                if path.name.startswith(f"{pid}-") and path.parents[1].name != "named"}

    def test_every_instance_is_safe_for_graphite_and_file_systems(self):
        for instance in self.collectd.instances():
            self.assertRegex(instance, f"^{SAFE.pattern}$")
            self.assertFalse(instance.startswith("."), instance)

    def test_distinct_names_stay_distinct(self):
        instances = [self.instance_of(workload.pid) for workload in self.workloads.values()]
        self.assertTrue(all(len(names) == 1 for names in instances), instances)
        self.assertEqual(len(set.union(*instances)), len(NAMES))
        self.assertNotIn("_self", set.union(*instances))

    def test_each_process_has_its_own_values(self):
        for name, workload in self.workloads.items():
            instance, = self.instance_of(workload.pid)
            _, rss = statm_bytes(workload.pid)
            self.assertEqual(self.collectd.latest(instance, "ps_rss")[0] % rss, 0, name)
            line = self.collectd.samples_of(workload.pid)[-1]
            self.assertEqual(line["mem_rss_kb"] * 1024, rss, name)
            self.assertEqual(line["thread_count"], 1, name)

    def test_captures_of_command_lines_make_instances(self):
        self.assertEqual(self.collectd.latest("-dash", "ps_count"), [1, 1])
        whole = self.collectd.values("long", "ps_count")[-2].time  # the last may be half written
        matched = sum(value.numbers[0] for value in self.collectd.all_values()
                      if value.type == "ps_count" and value.time == whole)
        # One group for each name, of both rules, and those of long, needle, emptied and named.
        self.assertGreaterEqual(matched, len(NAMES) + 2)

    def test_command_lines_in_utf_8_are_kept(self):
        for name, workload in self.workloads.items():
            metadata = self.collectd.lines_of(workload.pid)[0]
            self.assertEqual(metadata["executable"], program("sleeper"))
            self.assertEqual(metadata["cmd"][1:], ["end"])
            try:
                self.assertEqual(metadata["cmd"][0], "hostile=" + name.decode())
            except UnicodeDecodeError:
                self.assertIn("\N{REPLACEMENT CHARACTER}", metadata["cmd"][0])

    def test_a_long_command_line_is_matched_by_its_ends_and_kept_in_part(self):
        for name, count in (("needle", 1), ("at-end", 1), ("beyond", 0)):
            self.assertEqual(self.collectd.latest(name, "ps_count"), [count] * 2, name)
        metadata = self.collectd.lines_of(self.long.pid, "needle")[0]
        self.assertEqual(metadata["cmd"][1:], ["[... 107023 bytes ...]", "needle-at-the-end"])

    def test_an_empty_command_line_is_the_name_in_brackets(self):
        for workload in self.emptied:
            metadata = self.collectd.lines_of(workload.pid, "named")[0]
            self.assertEqual(metadata["cmd"], [])
            self.assertEqual(metadata["executable"], program("sleeper"))

    def test_every_line_is_json_in_utf_8_and_no_file_is_outside_the_directory(self):
        self.assertGreaterEqual(len(self.collectd.records()), len(NAMES))
        own = {"collectd.conf", "collectd.log", "collectd.pid", "stderr"}
        for folder, _, names in os.walk(self.collectd.folder):
            for name in names:
                path = Path(folder, name).relative_to(self.collectd.folder)
                self.assertTrue(
                    str(path) in own or re.fullmatch(
                        rf"denet/testhost/{SAFE.pattern}/\d{{4}}-\d\d-\d\d/\d+-\d+(_\d{{4}})?\.jsonl",
                        str(path)), path)

    def test_the_log_is_clean(self):
        self.assertEqual(self.collectd.complaints(), [])


def can_cut_arguments():
    """Returns whether this process has CAP_SYS_RESOURCE for PR_SET_MM; some sandboxes lack it."""
    effective = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text()).group(1)
    return int(effective, 16) >> 24 & 1


class NotQuiteProcesses(unittest.TestCase):
    def test_a_kernel_thread_has_values_and_a_file(self):
        if Path("/proc/2/comm").read_text().strip() != "kthreadd":
            self.skipTest("no kernel threads can be seen from here")
        with Collectd(rule("kernel", 'Comm "kthreadd"', "Children false"), interval=0.5) as collectd:
            collectd.wait_for_values("kernel", "ps_count", count=2)
            self.assertEqual(collectd.latest("kernel", "ps_count"), [1, 1])
            metadata, line = collectd.wait_for_lines(2) and collectd.lines_of(2)[:2]
            self.assertEqual((metadata["cmd"], metadata["executable"]), ([], ""))
            self.assertEqual(metadata["capabilities"]["executable"],
                             {"available": False, "reason": "a kernel thread has no executable"})
            self.assertEqual((line["thread_count"], line["mem_rss_kb"]), (1, 0))
            self.assertEqual(collectd.complaints(), [])

    def test_a_kernel_worker_is_named_without_its_work(self):
        """/proc appends the work: kworker/0:1-events."""
        if subprocess.run(["pgrep", "^kworker/"], stdout=subprocess.DEVNULL).returncode:
            self.skipTest("no kernel workers can be seen from here")
        lines = 'Comm "~^kworker/[0-9u]"', 'Instance "%{comm}"', "Children false"
        with Collectd(rule("kernel", *lines), interval=0.5) as collectd:
            wait_until(lambda: len(collectd.values("_self", "gauge-source")) >= 6, "six reports")
            names = collectd.instances()
            self.assertTrue(names)
            self.assertEqual([name for name in names
                              if not re.fullmatch(r"kworker_u?\d+_\d+H?", name)], [])

    def test_a_zombie_is_not_counted_and_its_file_has_one_end(self):
        """Nor in a collectd that begins while the zombie is there."""
        name = f"e2e-z{os.getpid()}"[:15]
        child_rule = rule("child", f'Comm "{name}"')
        with Workload("zombie", name) as parent, Collectd(child_rule, interval=0.5) as collectd:
            child = int(parent.answer)
            collectd.wait_for_values("child", "gauge-cpu_percent", count=2)
            self.assertEqual(collectd.latest("child", "ps_count"), [1, 1])
            before = {key: collectd.latest("child", key) for key in ("ps_cputime", "io_octets",
                                                                    "ps_pagefaults")}
            parent.ask("exit")
            wait_until(lambda: collectd.latest("child", "ps_count") == [0, 0], "the end")
            with Collectd(child_rule, interval=0.5) as later:
                later.wait_for_values("child", "ps_count", count=2)
                self.assertEqual(later.latest("child", "ps_count"), [0, 0])
                self.assertEqual(later.files(), [])
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            self.assertEqual(state, "Z")
            lines = wait_until(lambda: "exit" in collectd.samples_of(child)[-1] and
                               collectd.samples_of(child), "its last line")
            self.assertEqual([line["exit"] for line in lines if "exit" in line], [{"code": 3}])
            self.assertEqual(collectd.latest("child", "ps_count"), [0, 0])
            for key, numbers in before.items():
                for old, new in zip(numbers, collectd.latest("child", key)):
                    self.assertTrue(old <= new < old + 100_000, key)
            parent.ask("reap")
            collectd.wait_for_values("child", "ps_count", after=time.time() + 1)
            self.assertEqual(collectd.samples_of(child), lines)
            self.assertEqual(collectd.latest("child", "derive-exits"), [1])
