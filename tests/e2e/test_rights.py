"""A value that may not be read is left out, and one log line says what brings it back."""

import os
import shutil
import unittest

from harness import (IN_USER_NAMESPACE, Collectd, Workload, bpf_only, procfs_only, program,
                     program_rule, rule)

DROP = ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_ptrace,-dac_read_search,-dac_override"]


@procfs_only
@unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
class WithoutCapabilities(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        cls.others = cls.enterClassContext(Workload("sleeper", "of-another-user", prefix=other))
        # The kernel refuses to read a process that has more capabilities than the reader.
        cls.own = cls.enterClassContext(Workload("threads", "2", prefix=DROP))
        rules = 'Source "procfs"\n' + \
            rule("other", 'CommandLine "of-another-user$"', 'Comm "sleeper"', "Children false") + \
            rule("own", f'CommandLine "{program("threads")}"', 'Comm "threads"', "Children false")
        cls.collectd = cls.enterClassContext(Collectd(rules, interval=0.5, prefix=DROP))
        cls.collectd.wait_for_values("other", "gauge-cpu_percent", count=2)
        cls.lines = cls.collectd.wait_for_lines(cls.others.pid, count=2)

    def test_io_that_cannot_be_read_is_absent_and_other_values_are_there(self):
        types = {value.type for value in self.collectd.all_values() if value.instance == "other"}
        self.assertFalse(types & {"disk_octets", "io_octets", "io_ops"})
        self.assertIn("ps_cputime", types)
        self.assertEqual(self.collectd.latest("other", "ps_count"), [1, 1])
        self.assertGreater(self.collectd.latest("other", "ps_rss")[0], 0)
        for line in self.lines:
            self.assertFalse([key for key in line if key.startswith(("disk_", "syscall_"))])
            self.assertLessEqual({"cpu_usage", "mem_rss_kb", "thread_count", "uptime_secs"},
                                 set(line))

    def test_own_processes_have_io(self):
        self.assertIsNotNone(self.collectd.latest("own", "io_octets"))
        self.assertIn("syscall_read_bytes", self.collectd.wait_for_lines(self.own.pid)[-1])

    def test_one_log_line_names_the_capabilities(self):
        self.assertEqual(len([line for line in self.collectd.log() if "/io" in line
                              and "CAP_SYS_PTRACE" in line and "CAP_DAC_READ_SEARCH" in line]), 1)

    def test_the_metadata_line_says_so_too_and_has_no_executable(self):
        metadata = self.collectd.lines_of(self.others.pid)[0]
        capabilities = metadata["capabilities"]
        self.assertFalse(capabilities["io"]["available"])
        self.assertIn("CAP_SYS_PTRACE", capabilities["io"]["reason"])
        self.assertTrue(capabilities["source"]["available"])
        self.assertFalse(capabilities["executable"]["available"])
        self.assertIn("CAP_SYS_PTRACE", capabilities["executable"]["reason"])
        self.assertEqual((metadata["executable"], metadata["cmd"][-1], metadata["uid"]),
                         ("", "of-another-user", 65534))


@procfs_only
@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("setpriv", "unshare"))),
                     "needs root, setpriv and unshare")
class Advice(unittest.TestCase):
    """Only a capability that brings something back is advised."""

    def test_a_capability_that_the_process_has_is_no_remedy(self):
        sleeper = self.enterContext(Workload("sleeper"))
        no_trace = "this needs CAP_SYS_PTRACE."
        for prefix, words in ((DROP, no_trace),
                              ([*DROP[:2], "--bounding-set=-sys_ptrace"], no_trace),
                              (IN_USER_NAMESPACE, "this process has CAP_SYS_PTRACE, a sandbox, a "
                               "security module or a user namespace forbids it.")):
            with self.subTest(prefix=prefix), Collectd(program_rule("x", "sleeper") + rule(
                    "y", 'Comm "sleeper"'), interval=0.5, prefix=prefix) as collectd:
                collectd.wait_for_lines(sleeper.pid)
                line, = collectd.wait_for_log("executable of a process may not be read")
                self.assertTrue(line.endswith(words), line)


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("setpriv", "unshare"))),
                     "needs root, setpriv and unshare")
class Hidden(unittest.TestCase):
    """collectd has no rights, and its /proc hides the processes of other users (hidepid)."""

    GROUP = 4242
    # A second instance of /proc: before Linux 5.8 the option would be that of the host's /proc.
    MOUNT = f'mount -t proc -o hidepid=$0,gid={GROUP} proc /proc && exec "$@"'
    ALL = {"name": 3, "command": 3, "none": 0, "no-command": 0}
    NOTHING = dict.fromkeys(ALL)
    ROWS = ((2, "--clear-groups"), (1, "--clear-groups"))

    def run_without_rights(self, hidepid, *options, rules):
        """Returns {rule: the last number of processes, None without values} and the log."""
        collectd = Collectd(rules, interval=0.5, prefix=[
            "unshare", "--mount", "sh", "-c", self.MOUNT, str(hidepid), "setpriv",
            "--reuid=65534", "--regid=65534", *options])
        os.chown(collectd.folder, 65534, 65534)
        with collectd:
            collectd.wait_for_values("own", "ps_count", count=4)
            found = {name: collectd.latest(name, "ps_count") for name in self.ALL}
        return {name: value and value[0] for name, value in found.items()}, collectd.log()

    def check(self, expected, *capabilities, rows=ROWS):
        if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 8):
            self.skipTest("needs Linux 5.8")
        for number in range(3):
            self.enterContext(Workload("sleeper", f"secret{number}",
                                       environment={b"SLEEPER_COMM": b"e2e-hidden"}))
        mine = f'CommandLine "^{program("sleeper")} '
        rules = rule("own", 'Comm "collectd"', "User 65534") + \
            rule("name", 'Comm "e2e-hidden"', 'User "root"') + \
            rule("command", mine + 'secret[0-2]$"') + rule("none", 'Comm "e2e-no-such"') + \
            rule("no-command", mine + 'no-such$"')
        words = ",".join("+" + name for name in capabilities)
        options = [f"--inh-caps={words}", f"--ambient-caps={words}"] if words else []
        for hidepid, groups in rows:
            with self.subTest(hidepid=hidepid, groups=groups):
                found, log = self.run_without_rights(hidepid, groups, *options, rules=rules)
                self.assertEqual(found, expected)
                lines = [line for line in log if "hidepid" in line]
                self.assertEqual(len(lines), 0 if expected == self.ALL else 1, log)
                for line in lines:
                    self.assertTrue(line.endswith("this needs CAP_SYS_PTRACE."), line)


@procfs_only
class HiddenFromProc(Hidden):
    def test_nothing_is_reported_of_what_may_be_hidden(self):
        self.check(self.NOTHING)

    def test_the_group_of_the_mount_sees_everything(self):
        groups = f"--groups={self.GROUP}"
        self.check(self.ALL, rows=((2, groups), (1, groups)))

    def test_with_cap_sys_ptrace_everything_is_seen(self):
        self.check(self.ALL, "sys_ptrace")


@bpf_only
class HiddenFromBpf(Hidden):
    def test_rules_that_need_no_text_see_everything(self):
        self.check(self.NOTHING | {"name": 3, "none": 0}, "bpf", "perfmon")

    def test_with_cap_sys_ptrace_everything_is_seen(self):
        self.check(self.ALL, "bpf", "perfmon", "sys_ptrace")
