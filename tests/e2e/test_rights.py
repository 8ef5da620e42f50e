"""A value that may not be read is left out, and one log line says what brings it back."""

import os
import shutil
import unittest

from harness import IN_USER_NAMESPACE, Collectd, Workload, procfs_only, program, program_rule, rule

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
        for prefix, words in ((DROP, no_trace), ([*DROP[:2], "--bounding-set=-sys_ptrace"], no_trace),
                              (IN_USER_NAMESPACE, "this process has CAP_SYS_PTRACE, a sandbox, a "
                               "security module or a user namespace forbids it.")):
            with self.subTest(prefix=prefix), Collectd(program_rule("x", "sleeper") + rule(
                    "y", 'Comm "sleeper"'), interval=0.5, prefix=prefix) as collectd:
                collectd.wait_for_lines(sleeper.pid)
                line, = collectd.wait_for_log("executable of a process may not be read")
                self.assertTrue(line.endswith(words), line)
