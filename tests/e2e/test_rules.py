"""The rule language, end to end."""

import os
import pwd
import shutil
import tempfile
import time
import unittest
from pathlib import Path

from harness import (Collectd, Workload, make_cgroup, procfs_only, program, program_rule,
                     remove_cgroup, rule, wait_until, work_folder)

COMM = f"e2e{os.getpid()}"
USER = pwd.getpwuid(os.getuid()).pw_name


def sleeper(*arguments, comm=None, **more):
    environment = {b"SLEEPER_COMM": comm.encode()} if comm else {}
    return Workload("sleeper", *arguments, environment=environment, **more)


class Conditions(unittest.TestCase):
    """One run with many rules over three sleepers, a, b and c. A row has the rule's lines, and which
    of the three it matches."""

    EXECUTABLE = 'Executable "{exe}"'
    ROWS = {
        "comm": (['Comm "{comm}-a"'], "a"),
        "comm_regex": (['Comm "~^{comm}-[ab]$"'], "ab"),
        "comm_twice_is_either": (['Comm "{comm}-a"', 'Comm "{comm}-c"'], "ac"),
        "comm_negated": ([EXECUTABLE, 'Comm "!{comm}-a"'], "bc"),
        "comm_regex_negated": ([EXECUTABLE, 'Comm "!~-[ab]$"'], "c"),
        "comm_negated_twice": ([EXECUTABLE, 'Comm "!{comm}-a"', 'Comm "!{comm}-b"'], "c"),
        "comm_is_not_a_part": (['Comm "{comm}"'], ""),
        "command_line": (['CommandLine "{comm} number=[12]"'], "ab"),
        "command_line_of_all_arguments": ([EXECUTABLE, 'CommandLine "number=3 last word$"'], "c"),
        "different_must_all_hold": (['CommandLine "{comm} number=[12]"', 'Comm "{comm}-b"'], "b"),
        "command_line_all": (['CommandLineAll "{comm}"', 'CommandLineAll "number=[13]"',
                              'CommandLineAll "!number=3"'], "a"),
        "command_line_all_and_either": (['CommandLineAll "{comm}"', 'CommandLine "number=1"',
                                         'CommandLine "number=2"'], "ab"),
        "executable_glob": (['Executable "{folder}/sl?ep*"'], "abc"),
        "executable_set": (['Executable "{folder}/[rst]leeper"'], "abc"),
        "executable_slash": (['Executable "/*/*/*/*/*/sleeper"'], ""),
        "executable_negated": (['CommandLine "{comm} number="', 'Executable "!{folder}/*"'], ""),
        "user_name": ([EXECUTABLE, 'User "{user}"'], "abc"),
        "user_number": ([EXECUTABLE, "User {uid}"], "abc"),
        "user_number_in_quotes": ([EXECUTABLE, 'User "{uid}"'], "abc"),
        "user_negated": ([EXECUTABLE, 'User "!{user}"'], ""),
        "user_other": ([EXECUTABLE, 'User "nobody"'], ""),
        "cgroup": ([EXECUTABLE, 'Cgroup "{cgroup}"'], "abc"),
        "cgroup_other": ([EXECUTABLE, 'Cgroup "/of-nobody/*"'], ""),
        "cgroup_negated": ([EXECUTABLE, 'Cgroup "!/of-nobody/*"'], "abc"),
        "comm_any_case": (['Comm "~i^{upper}-[AB]$"'], "ab"),
        "comm_any_case_negated": ([EXECUTABLE, 'Comm "!~i-[AB]$"'], "c"),
        "command_line_any_case": (['CommandLine "(?i)^{upper} NUMBER=[13]"'], "ac"),
        "executable_regex": (['Executable "~^{folder}/sle+per$"'], "abc"),
        "executable_any_case_negated": ([EXECUTABLE, 'Executable "!~iSLEEPER"'], ""),
        "user_regex": ([EXECUTABLE, 'User "~^{user}$"'], "abc"),
        "user_regex_negated": ([EXECUTABLE, 'User "!~^{user}$"'], ""),
        "cgroup_regex": ([EXECUTABLE, 'Cgroup "~^/"'], "abc"),
        "cgroup_regex_negated": ([EXECUTABLE, 'Cgroup "!~^/"'], ""),
        "unit_regex_negated": ([EXECUTABLE, 'Unit "!~^e2e-no-unit\\.service$"'], "abc"),
        "pid_file": (['PidFile "{pid_file}"'], "b"),
        "pid_file_negated": ([EXECUTABLE, 'PidFile "!{pid_file}"'], "ac"),
        "pid_file_missing": (['PidFile "{pid_file}.none"'], ""),
    }

    @classmethod
    def setUpClass(cls):
        folder = os.path.dirname(program("sleeper"))
        cls.workloads = {
            letter: cls.enterClassContext(sleeper(f"number={number}", "last word",
                                                  comm=f"{COMM}-{letter}", argv0=COMM))
            for number, letter in enumerate("abc", 1)}
        cls.pid_file = Path(folder).parent / "sleeper.pid"
        cls.pid_file.write_text(f"{cls.workloads['b'].pid}\n")
        cgroup = Path("/proc/self/cgroup").read_text().splitlines()[-1].split(":", 2)[2]
        words = {"exe": program("sleeper"), "comm": COMM, "upper": COMM.upper(), "folder": folder,
                 "user": USER, "uid": os.getuid(), "cgroup": cgroup.replace("\\", "\\\\"),
                 "pid_file": cls.pid_file}
        rules = "".join(rule(name, *[line.format(**words) for line in lines])
                        for name, (lines, _) in cls.ROWS.items())
        cls.collectd = cls.enterClassContext(Collectd(rules))
        cls.collectd.wait_for_values("pid_file_missing", "ps_count")
        cls.collectd.wait_for_lines(cls.workloads["c"].pid, instance="comm_negated")

    def check(self, name):
        expected = sorted(self.workloads[letter].pid for letter in self.ROWS[name][1])
        self.assertEqual(self.collectd.latest(name, "ps_count"), [len(expected)] * 2)
        wait_until(lambda: len(self.collectd.pids_of_files(name)) >= len(expected),
                   f"the files of {name}")
        self.assertEqual(self.collectd.pids_of_files(name), expected)


for row in Conditions.ROWS:
    setattr(Conditions, f"test_{row}", lambda self, row=row: self.check(row))


class CommandLines(unittest.TestCase):
    """A row has a group, the name and the regular expression that may give it, and its processes."""

    ROWS = {
        "padded": ("padded", "^{comm}: checkpointer$", 1),
        "padding": ("padding", "{comm}: checkpointer +$", 0),
        "last-abc": ("last-%{{1}}", "^java-{comm} .*-Dapp\\\\.last=([a-z]+)", 1),
        "both_ends": ("both_ends", "^java-{comm} .*=abc$", 1),
        "other_end": ("other_end", "^java-{comm} .*=xyz", 0),
    }

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(sleeper(argv0=f"{COMM}: checkpointer" + " " * 60))
        cls.enterClassContext(sleeper("-cp", "/x.jar:" * 17830, "-Dapp.last=abc",
                                      argv0=f"java-{COMM}"))
        rules = "".join(f'ProcessMatch "{name.format()}" "{regex.format(comm=COMM)}"\n'
                        for name, regex, _ in cls.ROWS.values())
        cls.collectd = cls.enterClassContext(Collectd(rules, interval=0.5))
        cls.collectd.wait_for_values("padded", "ps_count", count=2)

    def check(self, group):
        self.assertEqual(self.collectd.latest(group, "ps_count"), [self.ROWS[group][2]] * 2)


for row in CommandLines.ROWS:
    setattr(CommandLines, f"test_{row}", lambda self, row=row: self.check(row))


class PidFiles(unittest.TestCase):
    def test_a_pid_file_that_changes_moves_the_rule(self):
        with Workload("sleeper") as first, Workload("sleeper") as second:
            path = Path(program("sleeper")).parent.parent / "changing.pid"
            path.write_text(str(first.pid))
            with Collectd(rule("service", f'PidFile "{path}"'), interval=0.5) as collectd:
                collectd.wait_for_lines(first.pid, count=2)
                path.write_text(f"{second.pid}\n")
                collectd.wait_for_lines(second.pid, count=2)
                count = len(collectd.samples_of(first.pid))
                collectd.wait_for_values("service", "ps_count", after=time.time() + 1)
                self.assertLessEqual(len(collectd.samples_of(first.pid)), count + 1)
                self.assertEqual(collectd.latest("service", "ps_count"), [1, 1])
                path.unlink()
                wait_until(lambda: collectd.latest("service", "ps_count") == [0, 0], "nobody")


class BadPidFiles(unittest.TestCase):
    """Pid files that name no process: one log line says why, and the rule has no process."""

    ROWS = {  # what makes the file, of its path and the pid of a sleeper; words of the log
        "folder": (lambda path, pid: path.mkdir(), "it is a folder"),
        "fifo": (lambda path, pid: os.mkfifo(path), "it is a FIFO"),
        "words": (lambda path, pid: path.write_text("pid=123\n"), "first line must be a pid"),
        "empty": (lambda path, pid: path.write_text(""), "first line must be a pid"),
        "missing": (lambda path, pid: None, "it does not exist"),
        "gone": (lambda path, pid: path.write_text("4194305\n"), "there is no process 4194305"),
        "stale": (lambda path, pid: (path.write_text(f"{pid}\n"), os.utime(path, (1, 1e9))),
                  "started after the file was written"),
        "in_proc": (lambda path, pid: path.symlink_to("/proc/sys/kernel/pid_max"), "is in /proc"),
        "of_another_user": (lambda path, pid: (path.write_text(f"{pid}\n"),
                                               os.chown(path, 65534, 0)),
                            "it belongs to user 65534"),
    }

    def test_each_has_one_log_line(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=work_folder())))
        sleeper = self.enterContext(Workload("sleeper"))
        rules = ""
        for name, (make, _) in self.ROWS.items():
            make(folder / name, sleeper.pid)
            rules += rule(name, f'PidFile "{folder / name}"')
        with Collectd(rules, interval=0.5) as collectd:
            for name in self.ROWS:
                collectd.wait_for_values(name, "ps_count", count=5)
            for name, (_, words) in self.ROWS.items():
                found = [line for line in collectd.log() if f'Rule "{name}"' in line]
                self.assertEqual(len(found), 1, (name, found))
                self.assertIn(f'PidFile "{folder / name}" names no process: ', found[0])
                self.assertIn(words, found[0])
                self.assertEqual(collectd.latest(name, "ps_count"), [0, 0], name)
            os.utime(folder / "stale")
            collectd.wait_for_lines(sleeper.pid, instance="stale")

    @procfs_only
    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_one_that_may_not_be_read_names_the_capability(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=work_folder())))
        (folder / "closed").write_text("1\n")
        (folder / "closed").chmod(0)
        os.chown(folder / "closed", 65534, 65534)
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        with Collectd(rule("x", f'PidFile "{folder / "closed"}"'), prefix=prefix) as collectd:
            collectd.wait_for_log("or CAP_DAC_READ_SEARCH")


class Units(unittest.TestCase):
    NAME = f"e2e-{os.getpid()}@1.service"

    def test_a_unit_is_matched_and_names_its_instance(self):
        group = make_cgroup(self.NAME)
        if not group:
            self.skipTest("no cgroup can be made here")
        self.addCleanup(remove_cgroup, group)
        with Workload("sleeper") as workload:
            try:
                (group / "cgroup.procs").write_text(str(workload.pid))
            except OSError as error:
                self.skipTest(f"no process can be moved: {error}")
            rules = rule("unit", 'Unit "e2e-*@*.service"', 'Instance "%{unit}"') + \
                rule("regex", 'Unit "~iE2E-[0-9]+@([0-9]+)\\\\.service$"', 'Instance "n%{1}"') + \
                rule("group", f'Cgroup "*/{self.NAME}"', 'Instance "g%{cgroup}"') + \
                program_rule("none", "sleeper", 'Unit "!e2e-*"')
            with Collectd(rules, interval=0.5) as collectd:
                collectd.wait_for_values(self.NAME.replace("@", "_"), "ps_count")
                wait_until(lambda: [name for name in collectd.instances() if name.startswith("g_")
                                    and name.endswith("_1.service")], "the cgroup's group")
                self.assertEqual(collectd.latest("none", "ps_count"), [0, 0])
                self.assertEqual(collectd.latest("n1", "ps_count"), [1, 1])


class CgroupNames(unittest.TestCase):
    """Sleepers in cgroups as systemd and the runtimes of containers make them. A row has the lines
    of a rule, and the groups that it makes of them, each of one sleeper unless it says more."""

    N = f"e2e{os.getpid()}"
    ID = f"a{os.getpid():011x}{0:052x}"
    UID = f"{os.getpid():08x}-7c1b-4d0a-9e61-0b6a4a1f2c3d"
    PLACES = (f"/system.slice/{N}.service", f"/system.slice/{N}-a\\x2db.service",
              f"/lxc.payload.{N}/system.slice/{N}.service",
              f"/user.slice/user-7.slice/user@{N}.service/app.slice/{N}.service",
              f"/system.slice/docker-{ID}.scope", f"/kubepods/burstable/pod{UID}/b{ID[1:]}")
    pids = []
    ROWS = {
        "unit": ([f'Unit "{N}.service"'], {"unit": 2}),
        "escaped": ([f'Unit "{N}-a\\x2db.service"'], ["escaped"]),
        "escaped_for_collectd": ([f'Unit "{N}-a\\\\x2db.service"'], ["escaped_for_collectd"]),
        "manager": ([f'Unit "user@{N}.service"'], ["manager"]),
        "no_unit": (['Unit "!?*"'], {"no_unit": 2}),
        "services": (['Unit "*.service"', 'Instance "s-%{unit}"'],
                     [f"s-{N}.service", f"s-{N}-a-b.service", f"s-user_{N}.service"]),
        "user_unit": (['Unit "user@*"', 'Instance "u-%{user_unit}"'], [f"u-{N}.service"]),
        "contained": (['Container "?*"', 'Instance "c-%{container}-%{pod}"'],
                      [f"c-{N}-", f"c-{ID[:12]}-", f"c-b{ID[1:12]}-{UID}"]),
        "not_contained": (['Container "!?*"'], {"not_contained": 3}),
        "container": ([f'Container "{ID[:12]}"'], ["container"]),
        "whole_id": ([f'Container "{ID}"'], ["whole_id"]),
        "container_name": ([f'Container "{N}"'], ["container_name"]),
    }

    @classmethod
    def setUpClass(cls):
        for place in cls.PLACES:
            group = make_cgroup(place)
            if not group:
                raise unittest.SkipTest("no cgroup can be made here")
            cls.addClassCleanup(remove_cgroup, group)
            workload = cls.enterClassContext(Workload("sleeper", cls.N))
            cls.pids.append(workload.pid)
            try:
                (group / "cgroup.procs").write_text(str(workload.pid))
            except OSError as error:
                raise unittest.SkipTest(f"no process can be moved: {error}")
        cls.collectd = cls.enterClassContext(Collectd("".join(
            rule(name, f'CommandLine "{cls.N}$"', "Records false", *lines)
            for name, (lines, _) in cls.ROWS.items()) + rule("files", f'CommandLine "{cls.N}$"'),
            interval=0.5))
        cls.collectd.wait_for_values("container_name", "ps_count", count=2)

    def check(self, name):
        groups = self.ROWS[name][1]
        for group in groups:
            count = groups[group] if isinstance(groups, dict) else 1
            self.assertEqual(self.collectd.latest(group, "ps_count"), [count] * 2, group)
        prefix = groups[0][:2] if not isinstance(groups, dict) else ""
        if prefix.endswith("-"):
            self.assertEqual({group for group in self.collectd.instances()
                              if group.startswith(prefix)}, set(groups))


    def test_the_metadata_line_has_cgroup_unit_and_user(self):
        units = (f"{self.N}.service", f"{self.N}-a\\x2db.service", None, f"user@{self.N}.service",
                 f"docker-{self.ID}.scope", None)
        for pid, place, unit in zip(self.pids, self.PLACES, units):
            self.collectd.wait_for_lines(pid)
            metadata = self.collectd.lines_of(pid)[0]
            self.assertEqual((metadata["cgroup"], metadata.get("unit"), metadata["user"]),
                             (place, unit, USER))


for row in CgroupNames.ROWS:
    setattr(CgroupNames, f"test_{row}", lambda self, row=row: self.check(row))


class UnnamedUsers(unittest.TestCase):
    def test_a_user_without_a_name_is_its_number(self):
        uids = (54321, 54322)
        for uid in uids:
            self.enterContext(sleeper("unnamed", comm=f"{COMM}u",
                                      prefix=["setpriv", f"--reuid={uid}"]))
        rules = rule("users", f'Comm "{COMM}u"', 'Instance "u-%{user}"') + \
            rule("none", f'Comm "{COMM}u"', 'Instance "n-%{user_unit}"', "Records false")
        with Collectd(rules, interval=0.5) as collectd:
            for uid in uids:
                collectd.wait_for_values(f"u-{uid}", "ps_count")
                self.assertEqual(collectd.latest(f"u-{uid}", "ps_count"), [1, 1])
            self.assertNotIn("u-", collectd.instances())
            self.assertEqual(collectd.latest("n-", "ps_count"), [2, 2])


class Names(unittest.TestCase):
    """How processes are named, and so grouped."""

    @classmethod
    def setUpClass(cls):
        cls.shards = [cls.enterClassContext(sleeper(f"shard{COMM}-{n}", comm=f"{COMM}s")) for n in
                      (1, 2, 2)]
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir=work_folder()))
        path = shutil.copy(program("family"), f"{folder}/{COMM}f")  # other tests have a family too
        cls.family = cls.enterClassContext(Workload("family", path=path))
        exe = f'Executable "{program("sleeper")}"'
        rules = f'Process "{COMM}s"\n' + \
            f'ProcessMatch "line-%{{1}}" "shard{COMM}-([0-9]+)"\n' + \
            rule(f"{COMM}f", "Children true", "Records false", key="Process") + \
            rule("pid", exe, 'Instance "pid-%{pid}"') + \
            rule("words", 'Executable "~/(sl)eeper$"', f'User "~^({USER})$"',
                 f'Comm "~i^{COMM.upper()}(S)$"', 'Instance "%{1}-%{2}-%{3}"') + \
            rule("mixed", exe, 'Instance "%{rule}.%{exe}.%{user}.%{comm}"') + \
            rule("capped", exe, 'Instance "capped-%{pid}"', "MaxInstances 2") + \
            rule("spare", exe, 'Report "memory"', "Records false") + \
            rule("two_words", exe, 'Report "cpu" "threads"', "Records false")
        cls.collectd = cls.enterClassContext(Collectd(rules))
        cls.collectd.wait_ready()
        cls.family.tell("worker 0 1000")
        cls.collectd.wait_for_values("two_words", "gauge-cpu_percent")
        for shard, instance in zip(cls.shards, ("line-1", "line-2", "line-2")):
            cls.collectd.wait_for_lines(shard.pid, instance=instance)

    def test_each_instance_has_its_processes(self):
        """Those of a name, of captures, of placeholders, and those above MaxInstances."""
        counts = {f"{COMM}s": 3, "line-1": 1, "line-2": 2, f"sl-{USER}-s": 3,
                  f"mixed.sleeper.{USER}.{COMM}s": 3,
                  **{f"pid-{shard.pid}": 1 for shard in self.shards}, "capped-_other": 1}
        for instance, count in counts.items():
            with self.subTest(instance=instance):
                self.assertEqual(self.collectd.latest(instance, "ps_count"), [count, count])
        capped = [name for name in self.collectd.instances() if name.startswith("capped-")]
        self.assertEqual(len(capped), 3)

    def test_process_as_a_block_takes_options(self):
        self.assertIsNotNone(self.collectd.latest(f"{COMM}f", "ps_count"))
        wait_until(lambda: self.collectd.latest(f"{COMM}f", "derive-starts") == [1], "the child")
        self.assertEqual(self.collectd.pids_of_files(f"{COMM}f"), [])

    def test_process_and_process_match_have_no_children(self):
        kinds = {line["kind"] for line in self.collectd.lines_of(self.shards[0].pid, "line-1")}
        self.assertEqual(kinds, {"metadata", "sample"})

    def test_a_process_counts_in_each_rule(self):
        self.assertGreater(self.collectd.latest("spare", "ps_rss")[0], 0)
        self.assertEqual(self.collectd.latest(f"{COMM}s", "ps_rss"),
                         self.collectd.latest("spare", "ps_rss"))

    def test_report_limits_the_types(self):
        types = {}
        for value in self.collectd.all_values():
            types.setdefault(value.instance, set()).add(
                "-".join(filter(None, (value.type, value.type_instance))))
        self.assertEqual(types["spare"], {"ps_rss", "ps_vm", "gauge-rss_max"})
        self.assertEqual(types["two_words"], {"ps_cputime", "gauge-cpu_percent", "ps_count",
                                              "gauge-cpu_percent_max"})
        self.assertGreater(len(types["pid-%d" % self.shards[0].pid]), 14)

    def test_records_false_makes_no_file(self):
        for instance in ("spare", "two_words"):
            self.assertEqual(self.collectd.pids_of_files(instance), [])

    def test_all_types_are_stock_types(self):
        known = {line.split()[0] for line in Path("/usr/share/collectd/types.db").read_text()
                 .splitlines() if line and not line.startswith("#")}
        self.assertLessEqual({value.type for value in self.collectd.all_values()}, known)

    def test_the_log_is_clean(self):
        self.assertEqual(self.collectd.complaints(), [])
