"""What users of the host cannot do to others through denet; hostile names are in test_names.py."""

import contextlib
import os
import re
import socket
import stat
import tempfile
import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, procfs_only, program_rule, rule, stock_plugin, wait_until,
                     work_folder)


@procfs_only
class Names(unittest.TestCase):
    NAMES = (b"a.b", b"a_b", b"a b", b"_self", b".self")

    def test_are_distinct_in_graphite(self):
        for name in self.NAMES:
            self.enterContext(Workload("sleeper", environment={b"SLEEPER_COMM": name}))
        server = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        own = program_rule("x", "sleeper", 'Instance "%{comm}"', "Children false", "Records false")
        node = ['<Node "test">', 'Host "127.0.0.1"', f'Port "{server.getsockname()[1]}"',
                'Protocol "udp"', "</Node>"]
        self.enterContext(Collectd(own, interval=0.5, extra=stock_plugin("write_graphite", *node)))
        paths = set()

        def all_came():
            with contextlib.suppress(BlockingIOError):
                while data := server.recv(65536):
                    paths.update(re.findall(rb"^(\S+\.ps_count\.processes) ", data, re.MULTILINE))
            return len(paths) == len(self.NAMES)
        wait_until(all_came, "a path for each name")

    def test_that_change_all_the_time_make_no_more_groups_than_there_may_be(self):
        sleeper = self.enterContext(Workload("sleeper"))
        own = program_rule("x", "sleeper", 'Instance "%{comm}"', "Children false",
                           "MaxInstances 3")
        with Collectd("BaseInterval 0.01\nMaxInterval 0.05\n" + own, interval=0.5) as collectd:
            collectd.wait_ready()
            for number in range(300):
                sleeper.ask(f"name n{number}")
                time.sleep(0.005)
            sleeper.ask("name last")
            wait_until(lambda: any(path.parents[1].name in ("last", "x-_other")
                                   for path in collectd.files()), "its last file")
            groups = {}
            for value in collectd.all_values():
                if value.type == "ps_count":
                    groups.setdefault(value.time, set()).add(value.instance)
            self.assertLessEqual(max(map(len, groups.values())), 4, groups)
            self.assertEqual(collectd.stop(), 0)
            for lines in collectd.records().values():
                self.assertEqual((lines[0]["kind"], lines[0]["pid"]), ("metadata", sleeper.pid))


@procfs_only
class Rights(unittest.TestCase):
    def test_files_are_not_for_everybody_whatever_the_umask(self):
        sleeper = self.enterContext(Workload("sleeper"))
        own = program_rule("x", "sleeper")
        prefix = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
        with Collectd(own, 'Directory "deep/down/denet"\n', prefix=prefix) as collectd:
            collectd.wait_for_lines(sleeper.pid)
            for folder, _, names in os.walk(collectd.folder / "deep"):
                self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o750, folder)
                for name in names:
                    mode = stat.S_IMODE(os.stat(Path(folder, name)).st_mode)
                    self.assertEqual(mode, 0o640, name)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_users_pid_file_names_no_process_of_others(self):
        sleeper = self.enterContext(Workload("sleeper"))
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=work_folder())))
        rules = ""
        for name, owner in (("users", 65534), ("roots", 0)):
            (folder / name).write_text(f"{sleeper.pid}\n")
            os.chown(folder / name, owner, 0)
            rules += rule(name, f'PidFile "{folder / name}"')
        with Collectd(rules, interval=0.5) as collectd:
            collectd.wait_for_lines(sleeper.pid, instance="roots")
            collectd.wait_for_values("roots", "ps_count", count=2)
            self.assertEqual(collectd.latest("roots", "ps_count"), [1, 1])
            self.assertEqual(collectd.latest("users", "ps_count"), [0, 0])
