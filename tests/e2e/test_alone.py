"""LoadPlugin denet without a block, and the values under the name of the processes plugin."""

import shutil
import unittest
from pathlib import Path

from harness import Collectd, Workload, alone, program, program_rule, wait_until, work_folder


@alone
class WithoutABlock(unittest.TestCase):
    def test_groups_by_executable_are_shown_and_no_kernel_threads_and_no_file_is_made(self):
        with Workload("sleeper"), Workload("threads", "3"), Workload("threads", "2"), \
                Collectd(interval=0.5, with_block=False) as collectd:
            collectd.wait_for_values("sleeper", "gauge-cpu_percent")
            self.assertEqual(collectd.latest("sleeper", "ps_count"), [1, 1])
            self.assertEqual(collectd.latest("threads", "ps_count"), [2, 5])
            self.assertIn("collectd", collectd.instances())
            self.assertLessEqual(len(collectd.instances()), 51)
            if Path("/proc/2/comm").read_text() == "kthreadd\n":
                self.assertNotIn("kthreadd", collectd.instances())
            self.assertEqual(collectd.files(), [])
            self.assertEqual(collectd.complaints(), [])

    def test_at_most_fifty_groups_and_other(self):
        for number in range(55):
            copy = str(work_folder() / f"programs/copy{number}")
            shutil.copy(program("sleeper"), copy)
            self.enterContext(Workload("sleeper", path=copy))
        collectd = self.enterContext(Collectd(plugins=("denet",), interval=0.5, with_block=False))
        collectd.wait_for_values("_other", "ps_count")
        wait_until(lambda: len(collectd.instances()) == 51, "50 groups and _other")
        self.assertGreaterEqual(collectd.latest("_other", "ps_count")[0], 5)
        self.assertEqual(collectd.complaints(), [])


class PluginName(unittest.TestCase):
    def test_processes_makes_the_values_drop_in(self):
        with Workload("sleeper") as sleeper, \
                Collectd('PluginName "processes"\n' + f'ProcessMatch "s" "{program("sleeper")}"\n' +
                         program_rule("t", "sleeper"), interval=0.5) as collectd:
            collectd.wait_for_values("s", "ps_rss")
            self.assertEqual({value.plugin for value in collectd.all_values()}, {"processes"})
            wait_until(lambda: {"ps_count", "ps_cputime", "ps_rss", "ps_vm", "ps_pagefaults",
                                "io_octets", "io_ops", "disk_octets"} <=
                       {value.type for value in collectd.all_values() if value.instance == "s"},
                       "all that processes has")
            collectd.wait_for_lines(sleeper.pid, instance="t")  # lines do not depend on the name
