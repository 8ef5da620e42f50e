"""Bad configuration: the message names option and rule, and good rules go on working. The sentences
themselves are in the unit tests of rules; a row here is for what the plugins make of them."""

import os
import unittest
from collections import namedtuple

from harness import Collectd, Workload, procfs_only, program_rule, rule

# What is wrong; its text, in <Plugin denet> or (write) in <Plugin write_denet>; words that must be in
# one line of the log; whether that line is an error or a warning.
Case = namedtuple("Case", "name denet write words level", defaults=("", "", (), "error"))

GOING_ON = [
    Case("unknown option", "Frequency 3\n", words=("Frequency",), level="warning"),
    Case("unknown option in a rule", rule("odd", 'Comm "x"', "Colour 3"), words=("odd", "Colour"),
         level="warning"),
    Case("number expected", 'BaseInterval "fast"\n', words=("BaseInterval", "fast")),
    Case("boolean expected", rule("bad", 'Comm "x"', 'Children "maybe"'),
         words=("bad", "Children", "maybe")),
    Case("string expected", rule("bad", "User true"), words=("bad", "User")),
    Case("a list of names for one option", 'PluginName "a" "b"\n', words=("PluginName",)),
    Case("interval of zero", "MaxInterval 0\n", words=("MaxInterval", "0")),
    Case("base above max", "BaseInterval 5\nMaxInterval 2\n",
         words=("BaseInterval", "5", "MaxInterval", "2")),
    Case("off-CPU mode that is none", 'OffCPU "some"\n', words=("OffCPU", "some")),
    *(Case(f"{option} of {value}", f"{option} {value}\n", words=(option,)) for option, value in (
        ("StackPeriod", "-1"), ("StackPeriod", "0"), ("StackRate", "-1"), ("StackRate", "1e12"))),
    Case("plugin name with a dash", 'PluginName "a-b"\n', words=("PluginName", "a-b", "2")),
    Case("open bracket in a command line", rule("bad", 'CommandLine "ab(c"'),
         words=("bad", "CommandLine", "ab(c", "character")),
    Case("open set in a glob", rule("bad", 'Executable "/usr/[bin"'),
         words=("bad", "Executable", "/usr/[bin", "character 6")),
    Case("unknown placeholder", rule("bad", 'Comm "x"', 'Instance "a-%{colour}"'),
         words=("bad", "Instance", "%{colour}", "character 3")),
    Case("empty rule", rule("bad"), words=("bad", "condition")),
    Case("rule without a name", '<Rule>\nComm "x"\n</Rule>\n', words=("Rule", "name")),
    Case("rule with an empty name", rule("", 'Comm "x"'), words=("Rule", "empty")),
    Case("duplicate rule", rule("good", 'Comm "x"'), words=("good", "already")),
    Case("duplicate of another kind", 'ProcessMatch "good" "x"\n', words=("good", "already")),
    Case("unknown report", rule("bad", 'Comm "x"', 'Report "cpu foo"'),
         words=("bad", "Report", "foo", "character 5")),
    Case("ProcessMatch without a regex", 'ProcessMatch "bad"\n', words=("ProcessMatch", "bad")),
    Case("ProcessMatch with an unknown placeholder", 'ProcessMatch "bad-%{9}" "x(a)"\n',
         words=("ProcessMatch", "bad-%{9}")),
    Case("Process without a name", 'Process ""\n', words=("Process", "empty")),
    Case("Process with a number", "Process 3\n", words=("Process", "string")),
    Case("Process of more than 15 bytes", 'Process "a-name-of-many-bytes"\n',
         words=("a-name-of-many-bytes", '"a-name-of-many-"', "15"), level="warning"),
    *(Case(f"condition that is never met {line}", rule("vain", line),
           words=("vain", line, meant), level="warning") for line, meant in (
        ('Unit "nginx"', 'Unit "nginx.service" is probably meant'),
        ('Executable "nginx"', 'Executable "*/nginx" is probably meant'),
        ('Cgroup "system.slice/*"', 'Cgroup "/system.slice/*" is probably meant'),
        ('CommandLine "~^x"', 'CommandLine "^x" is probably meant'),
        ('Executable "/proc/self/../uptime"', 'Executable "/proc/uptime" is probably meant'),
        ('User "nosuchuser"', "goes on looking for the user"))),
    Case("path as the name of a process", 'Process "/usr/sbin/nginx"\n',
         words=('Process "/usr/sbin/nginx"', 'Process "nginx" is probably meant'), level="warning"),
    Case("ProcessMatch that is never met", 'ProcessMatch "vain" "~^x"\n',
         words=('ProcessMatch "vain"', '"~^x"', 'ProcessMatch "^x" is probably meant'),
         level="warning"),
    Case("rule named with control bytes", rule("bad\x1b[31m", 'Comm "~("'), words=("Comm", "character")),
    Case("unknown option of the writer", write="Compress true\n", words=("write_denet", "Compress"),
         level="warning"),
    Case("size that is none", write='MaxFileSize "big"\n', words=("write_denet", "MaxFileSize", "big")),
    Case("negative size", write="MaxTotalSize -1\n", words=("write_denet", "MaxTotalSize", "-1")),
    Case("file above total", write="MaxFileSize 8\nMaxTotalSize 4\n",
         words=("write_denet", "MaxFileSize", "MaxTotalSize")),
    Case("flush interval of zero", write="FlushInterval 0\n", words=("write_denet", "FlushInterval")),
    Case("directory that is a number", write="Directory 3\n", words=("write_denet", "Directory", "3")),
]

NOT_STARTING = [
    Case("unknown source", 'Source "magic"\n' + rule("a", 'Comm "a"'), words=("Source", "magic")),
    Case("no rule that can be used", rule("bad", 'Comm "~("') + rule("worse"), words=("not one",)),
    Case("directory below a file", rule("a", 'Comm "a"'), 'Directory "/etc/passwd/denet"\n',
         words=("write_denet", "/etc/passwd/denet", "Directory")),
    Case("directory where none can be made", rule("a", 'Comm "a"'), 'Directory "/proc/denet"\n',
         words=("write_denet", "/proc/denet", "Directory")),
]


@procfs_only
class BadConfiguration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sleeper = cls.enterClassContext(Workload("sleeper"))
        cls.good = program_rule("good", "sleeper")

    def assert_logged(self, collectd, case):
        lines = [line for line in collectd.log()
                 if f"[{case.level}]" in line and all(word in line for word in case.words)]
        self.assertEqual(len(lines), 1, f"{case.words} in one {case.level}:\n" +
                         "\n".join(collectd.log()))
        self.assertFalse([line for line in collectd.log() if "\x1b" in line])

    def assert_good_rule_works(self, collectd):
        lines = collectd.lines_of(self.sleeper.pid, "good")
        self.assertEqual([line["kind"] for line in lines[:2]], ["metadata", "tree"])

    def run_case(self, case):
        collectd = Collectd(self.good + case.denet, case.write)
        status = collectd.run_once()
        self.assert_logged(collectd, case)
        self.assert_good_rule_works(collectd)
        self.assertEqual(status, 0)
        self.assertEqual(len(collectd.complaints()), 1, collectd.complaints())

    def test_a_good_configuration_logs_nothing(self):
        odd_case = self.good.replace("Executable", "eXecutable").replace("Rule", "RULE")
        for name, rules, extra in (("plain", self.good, ""), ("any case", odd_case, ""),
                                   ("empty block", self.good, "<Plugin denet>\n</Plugin>\n")):
            with self.subTest(configuration=name):
                collectd = Collectd(rules, extra=extra)
                self.assertEqual(collectd.run_once(), 0)
                self.assertEqual(collectd.complaints(), [])
                self.assert_good_rule_works(collectd)

    def test_source_bpf_that_is_not_available_does_not_start(self):
        """In a build without BPF, or without the capabilities for it."""
        no_right = ["setpriv", "--inh-caps=-all", "--bounding-set=-bpf,-sys_admin"]
        collectd = Collectd('Source "bpf"\n' + self.good,
                            prefix=[] if os.geteuid() else no_right)
        self.assertNotEqual(collectd.run_once(), 0)
        self.assert_logged(collectd, Case("", words=("Source", "bpf", "BPF")))

    def test_a_proc_that_is_not_there_fails_at_init(self):
        collectd = Collectd('ProcPath "/nowhere/proc"\n' + self.good)
        self.assertNotEqual(collectd.run_once(), 0)
        self.assert_logged(collectd, Case("", words=("/nowhere/proc",)))

    def test_a_rule_with_an_unknown_block_goes_on(self):
        for block in ("<Extra>\n  Foo 1\n</Extra>", '<Extra "name">\n</Extra>'):
            collectd = Collectd(self.good.replace("</Rule>", block + "\n</Rule>"))
            self.assertEqual(collectd.run_once(), 0)
            self.assert_good_rule_works(collectd)
            self.assert_logged(collectd, Case("", words=("good", "Extra"), level="warning"))


def add_row(case, check, prefix):
    words = "".join(letter if letter.isalnum() else "_" for letter in case.name)
    name = f"test_{prefix}_{words}"
    assert not hasattr(BadConfiguration, name), f"{name} hides another row"
    setattr(BadConfiguration, name, lambda self: check(self, case))


def check_not_starting(self, case):
    with Collectd(case.denet, case.write) as collectd:
        self.assertNotEqual(collectd.process.wait(timeout=15), 0)
        self.assertEqual(collectd.all_values(), [], "it must not have run")
        self.assert_logged(collectd, case)


# A row is a test of its own, so that a failure names it.
for row in GOING_ON:
    add_row(row, BadConfiguration.run_case, "goes_on_with")
for row in NOT_STARTING:
    add_row(row, check_not_starting, "does_not_start_with")
