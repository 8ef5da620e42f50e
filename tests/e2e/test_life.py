"""Processes that start and end between two ticks: each is matched, counted and has its file, and its
usage is what the kernel reports to its parent."""

import os
import tempfile
import unittest
from pathlib import Path

from harness import (MIB, Collectd, Workload, bpf_only, every, make_cgroup, measures, program,
                     program_rule, remove_cgroup, rule, statm_bytes, wait_until, work_folder)
from spawner import OF_GROUP, Spawner, cpu_us, differences, end_of, io_of, prioritize, sums, totals

# Few ticks: nearly all of these processes start and end between two.
SLOW = every(1)
NOBODY = 65534


@measures
@bpf_only
class OneAfterTheOther(unittest.TestCase):
    COUNT = 500
    AT_ONCE = 1
    INTERVALS = SLOW
    CPU_MS, BYTES, PAGES = 5, 16384, 50

    @classmethod
    def setUpClass(cls):
        # Not /tmp, which may be memory.
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        cls.command = [program("job"), folder, cls.CPU_MS, cls.BYTES, cls.PAGES]
        cls.spawner = cls.enterClassContext(Spawner())
        rules = rule("job", f'CommandLine "^{program("job")} {folder} "', "Children false")
        cls.collectd = cls.enterClassContext(Collectd(cls.INTERVALS + rules, interval=0.5))
        cls.collectd.wait_ready()
        cls.jobs = cls.spawner.run(*cls.command, count=cls.COUNT, at_once=cls.AT_ONCE)
        cls.totals = totals(cls.collectd, "job", cls.COUNT)
        cls.collectd.stop()
        # By number: two jobs may have the same pid.
        cls.lines = {int(lines[0]["cmd"][-1]): lines for lines in cls.collectd.records().values()}

    def test_the_jobs_are_as_expected(self):
        self.assertEqual([job["code"] for job in self.jobs], [n % 200 for n in range(self.COUNT)])
        self.assertEqual(sums(self.jobs, ["wchar"]), [self.COUNT * self.BYTES])
        self.assertGreaterEqual(sums(self.jobs, ["write_bytes"])[0], self.COUNT * self.BYTES)
        self.assertGreaterEqual(min(job["minflt"] for job in self.jobs), self.PAGES)
        self.assertGreaterEqual(min(cpu_us([job]) for job in self.jobs), self.CPU_MS * 1000)

    def test_starts_and_exits_are_exact_and_nothing_is_lost(self):
        self.assertEqual(self.totals["derive-starts"], [self.COUNT])
        self.assertEqual(self.totals["derive-exits"], [self.COUNT])
        self.assertEqual(self.totals["ps_count"], [0, 0])
        for what in ("derive-bpf_lost", "derive-records_dropped"):
            self.assertEqual(self.collectd.latest("_self", what), [0])
        self.assertEqual(self.collectd.complaints(), [])

    def test_cpu_time_is_that_of_the_kernel(self):
        used = cpu_us(self.jobs)
        self.assertAlmostEqual(sum(self.totals["ps_cputime"]), used, delta=used / 1000)

    def test_every_other_counter_is_exactly_that_of_the_kernel(self):
        for what, keys in OF_GROUP.items():
            with self.subTest(series=what):
                self.assertEqual(self.totals[what], sums(self.jobs, keys))

    def test_each_has_a_file_with_its_identity_end_and_exact_usage(self):
        self.assertEqual(set(self.lines), set(range(self.COUNT)))
        self.assertEqual(len(self.collectd.files()), self.COUNT)
        for job in self.jobs:
            metadata, *samples = self.lines[job["number"]]
            self.assertEqual(metadata["cmd"], [*map(str, self.command), str(job["number"])])
            self.assertEqual((metadata["pid"], metadata["executable"], metadata["uid"],
                              metadata["ppid"]),
                             (job["pid"], program("job"), os.getuid(), self.spawner.pid))
            self.assertEqual([line.get("exit") for line in samples],
                             [None] * (len(samples) - 1) + [end_of(job)], job)
            self.assertEqual(differences(job, samples[-1]), {}, job)


@bpf_only
class TwentyAtOnce(OneAfterTheOther):
    """With more ticks, so that some are sampled while they live."""

    COUNT = 1000
    AT_ONCE = 20
    INTERVALS = every(0.1)


def make_memory_cgroup(name, limit):
    """Makes a cgroup with that limit in bytes; None if none can be made."""
    for place, bound, swap in (
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max")):
        group = Path(place, name)
        try:
            group.mkdir()
            (group / bound).write_text(str(limit))
            if (group / swap).exists():
                (group / swap).write_text(str(limit) if "memsw" in swap else "0")
            return group
        except OSError:
            if group.exists():
                group.rmdir()
    return None


def enter_cgroup(test, spawner, group):
    """The spawner's processes start in the cgroup during the test."""
    if not group:
        test.skipTest("no such cgroup can be made here")
    test.addCleanup(remove_cgroup, group)
    spawner.ask(f"in {group}/cgroup.procs")
    test.addCleanup(spawner.ask, "in ")


@bpf_only
class Shapes(unittest.TestCase):
    JOB_BYTES = 4096

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        job = [program("job"), folder, 3, cls.JOB_BYTES, 10]
        last = [program("job"), folder, 4, cls.JOB_BYTES, 10]
        lives = program("lives")
        shapes = {"fork": "fork", "exec-first": "exec", "killed": "killed", "thread": "thread",
                  "reap": "reap", "hungry": "hungry"}
        trees = {"fork-tree": "fork", "double": "double"}
        words = " ".join(map(str, last))
        rules = rule("exec-last", f'CommandLine "^{words} "', "Children false") + \
            "".join(rule(name, f'CommandLine "^{lives} {shape}"', "Children false")
                    for name, shape in shapes.items()) + \
            "".join(rule(name, f'CommandLine "^{lives} {shape}"') for name, shape in trees.items())
        cls.spawner = cls.enterClassContext(Spawner())
        cls.collectd = cls.enterClassContext(Collectd(SLOW + rules, "FlushInterval 0.1\n",
                                                      interval=0.5))
        cls.collectd.wait_ready()
        commands = {"fork": [], "exec": last, "killed": [], "thread": [], "double": job,
                    "reap": [MIB]}
        cls.rows, cls.pid_of = {}, {}
        for shape, words in commands.items():
            cls.rows[shape], = cls.spawner.run(lives, shape, *words)
            cls.pid_of.update(cls.spawner.pid_of)

    def check_counts(self, instance, lives):
        found = totals(self.collectd, instance, lives)
        self.assertEqual((found["derive-starts"], found["derive-exits"]), ([lives], [lives]))
        self.assertEqual(found["ps_count"], [0, 0])
        return found

    def lines_of(self, pid, instance):
        """The lines of a process that has ended."""
        return wait_until(lambda: any("exit" in line for line in
                                      self.collectd.samples_of(pid, instance)) and
                          self.collectd.lines_of(pid, instance), f"the end of {pid} in {instance}")

    def check_single(self, instance, row):
        """A group of one process: group and file have the kernel's figures."""
        found = self.check_counts(instance, 1)
        for what, keys in OF_GROUP.items():
            self.assertEqual(found[what], sums([row], keys), what)
        self.assertAlmostEqual(sum(found["ps_cputime"]), cpu_us([row]), delta=20)
        lines = self.lines_of(row["pid"], instance)
        self.assertLessEqual(end_of(row).items(), lines[-1]["exit"].items())  # there may be more keys
        self.assertEqual(differences(row, lines[-1]), {})
        return lines

    def test_a_child_without_exec_is_a_process_of_its_own_in_the_tree_of_its_parent(self):
        row, child = self.rows["fork"], self.pid_of["child"]
        parent = row["pid"]
        self.check_counts("fork", 2)
        for pid, code in ((parent, 0), (child, 7)):
            metadata, *_, last = self.lines_of(pid, "fork")
            self.assertEqual(metadata["cmd"], [program("lives"), "fork", "0"])
            self.assertEqual(last["exit"], {"code": code})
        self.assertEqual(metadata["ppid"], parent)
        self.assertEqual(self.collectd.pids_of_files("fork"), sorted([parent, child]))
        found = self.check_counts("fork-tree", 2)
        # The kernel adds a child that was waited for to its parent's figures.
        for what in ("ps_pagefaults", "io_octets", "io_ops"):
            self.assertEqual(found[what], sums([row], OF_GROUP[what]), what)
        self.assertAlmostEqual(sum(found["ps_cputime"]), cpu_us([row]), delta=100)
        last = self.lines_of(parent, "fork-tree")[-1]
        self.assertEqual(last["aggregated"]["page_faults_cached"], row["minflt"])
        self.assertEqual(self.collectd.pids_of_files("fork-tree"), [parent])

    def test_two_execs_match_the_last_program(self):
        """A tick may have found the first program: then its usage is in its own group."""
        row = self.rows["exec"]
        last, first = self.check_counts("exec-last", 1), totals(self.collectd, "exec-first", 0)
        for what, keys in OF_GROUP.items():
            both = [sum(pair) for pair in zip(last[what], first[what])]
            self.assertEqual(both, sums([row], keys), what)
        used = sum(last["ps_cputime"]) + sum(first["ps_cputime"])
        self.assertAlmostEqual(used, cpu_us([row]), delta=20)
        self.assertEqual(first["derive-starts"], first["derive-exits"])
        lines = self.lines_of(row["pid"], "exec-last")
        self.assertEqual((lines[0]["cmd"][0], lines[0]["executable"]), (program("job"),) * 2)
        self.assertEqual(lines[-1]["exit"], end_of(row))

    def test_the_end_has_the_signal_or_the_status_of_the_whole_process(self):
        for shape, end in (("killed", {"signal": 9}), ("thread", {"code": 3})):
            with self.subTest(shape=shape):
                self.assertEqual(self.check_single(shape, self.rows[shape])[-1]["exit"], end)

    def test_a_grandchild_whose_parent_ended_at_once_is_in_the_tree(self):
        row = self.rows["double"]
        found = self.check_counts("double", 3)
        written = row["wchar"] + self.JOB_BYTES
        self.assertEqual(found["io_octets"][1], written)
        self.assertEqual(self.collectd.pids_of_files("double"), [row["pid"]])
        wait_until(lambda: self.collectd.samples_of(row["pid"], "double")[-1]["aggregated"]
                   ["syscall_write_bytes"] == written, "all bytes of the tree")

    def test_what_a_short_lived_parent_has_reaped_counts_once(self):
        found = self.check_counts("reap", 2)
        for what in ("io_octets", "io_ops", "disk_octets", "ps_pagefaults"):
            self.assertEqual(found[what], sums([self.rows["reap"]], OF_GROUP[what]), what)
        self.assertGreaterEqual(found["io_octets"][1], MIB)

    def test_a_process_killed_for_its_memory_ends_by_signal_9(self):
        enter_cgroup(self, self.spawner, make_memory_cgroup(f"denet-{os.getpid()}", 32 * MIB))
        row, = self.spawner.run(program("lives"), "hungry", 256)
        self.assertEqual(end_of(row), {"signal": 9})
        self.check_single("hungry", row)


@bpf_only
class Identity(unittest.TestCase):
    """The identity of a process is known after its end."""

    CGROUP = f"denet-{os.getpid()}-life"

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(dir=work_folder())))
        cls.folder.chmod(0o755)
        cls.link, cls.script = cls.folder / "link", cls.folder / "script"
        cls.link.symlink_to(program("job"))
        cls.script.write_text("#!/bin/sh\nexit 3\n")
        cls.script.chmod(0o755)
        job = f'Executable "{program("job")}"'
        rules = {"executable": [job], "user": [job, f"User {NOBODY}"],
                 "cgroup": [job, f'Cgroup "*/{cls.CGROUP}"'],
                 "link": [f'CommandLine "^{cls.link} "'], "script": [f'CommandLine "{cls.script}"'],
                 "relative": ['CommandLine "^\\\\./job is-relative "']}
        cls.spawner = cls.enterClassContext(Spawner())
        cls.collectd = cls.enterClassContext(Collectd(SLOW + "".join(
            rule(name, *lines, "Children false") for name, lines in rules.items()),
            "FlushInterval 0.1\n", interval=0.5))
        cls.collectd.wait_ready()

    def check(self, instance, *commands, executable=program("job"), uid=os.getuid()):
        """Runs the commands; each process must count in the group. Returns the last one's metadata."""
        ended = self.collectd.latest(instance, "derive-starts")[0] + len(commands)
        rows = [self.spawner.run(*command)[0] for command in commands]
        found = totals(self.collectd, instance, ended)
        self.assertEqual((found["derive-starts"], found["derive-exits"]), ([ended], [ended]))
        for row in rows:
            lines = wait_until(lambda: self.collectd.lines_of(row["pid"], instance), "its file")
            self.assertEqual((lines[0]["executable"], lines[0]["uid"]), (executable, uid))
            self.assertEqual(lines[-1]["exit"], end_of(row))
        return lines[0]

    def job(self, path=program("job"), name="-"):
        return path, name, 1, 0, 0

    def test_a_symbolic_link_is_followed(self):
        metadata = self.check("link", self.job(self.link))
        self.assertEqual(metadata["cmd"][0], str(self.link))
        self.check("executable", self.job(), self.job(self.link))

    def test_a_relative_path_is_made_whole(self):
        self.spawner.ask(f"at {Path(program('job')).parent}")
        self.check("relative", self.job("./job", "is-relative"))

    def test_the_executable_of_a_script_is_its_interpreter(self):
        shell = os.path.realpath("/bin/sh")
        metadata = self.check("script", (self.script, "word"), executable=shell)
        self.assertEqual(metadata["cmd"], ["/bin/sh", str(self.script), "word", "0"])

    def test_a_rule_by_user_matches(self):
        self.spawner.ask(f"as {NOBODY}")
        self.addCleanup(self.spawner.ask, "as 0")
        self.check("user", self.job(), uid=NOBODY)

    def test_a_rule_by_cgroup_matches(self):
        enter_cgroup(self, self.spawner, make_cgroup(self.CGROUP))
        self.check("cgroup", self.job())


class ForksThatEnd(unittest.TestCase):
    """The texts of a zombie cannot be read: without an exec they are those of its parent."""

    COUNT = 10

    @classmethod
    def setUpClass(cls):
        path = program("zombie")
        cls.rules = {"tree": [f'Executable "{path}"', "Records false"],
                     "executable": [f'Executable "{path}"', "Children false", "Records false"],
                     "command": [f'CommandLine "^{path} "', "Children false"]}
        cls.collectd = cls.enterClassContext(Collectd(
            SLOW + "".join(rule(name, *lines) for name, lines in cls.rules.items()), interval=0.5))
        cls.collectd.wait_ready()
        with Workload("zombie", "first") as parent:
            for _ in range(cls.COUNT):
                parent.ask("fork")
            wait_until(lambda: cls.collectd.latest("tree", "derive-exits") == [cls.COUNT],
                       "all exits")
        cls.collectd.stop()

    def test_each_counts_in_the_group_of_its_program(self):
        for name in self.rules:
            with self.subTest(rule=name):
                self.assertEqual(self.collectd.latest(name, "derive-starts"), [self.COUNT + 2])
                self.assertEqual(self.collectd.latest(name, "ps_cputime"),
                                 self.collectd.latest("tree", "ps_cputime"))

    def test_their_files_have_its_command_line(self):
        commands = [lines[0]["cmd"] for lines in self.collectd.records().values()]
        self.assertEqual(commands, [[program("zombie"), "first"]] * (self.COUNT + 2))


class MainThreadGone(unittest.TestCase):
    """The main thread has ended before denet sees the process; its other threads have the texts."""

    def start(self, number):
        sleeper = self.enterContext(Workload("sleeper", "left-behind", str(number),
                                             environment={b"SLEEPER_COMM": b"left-behind"}))
        sleeper.ask("leave")
        status = Path(f"/proc/{sleeper.pid}/stat")
        wait_until(lambda: ") Z " in status.read_text(), "the end of the main thread")
        return sleeper

    def test_the_process_has_the_texts_of_a_living_thread(self):
        mine, path = 'Comm "left-behind"', program("sleeper")
        rules = {"command": ['CommandLine "left-behind [12]$"'],
                 "executable": [mine, f'Executable "{path}"', 'Instance "%{rule}-%{exe}"'],
                 "no-command": [mine, 'CommandLine "!behind [12]$"'],
                 "no-executable": [mine, f'Executable "!{path}"']}
        before = self.start(1)
        with Collectd("".join(rule(name, *lines) for name, lines in rules.items()),
                      interval=0.5) as collectd:
            collectd.wait_for_lines(before.pid)
            later = self.start(2)
            for sleeper, number in ((before, "1"), (later, "2")):
                collectd.wait_for_lines(sleeper.pid, 3, "command")
                metadata = collectd.lines_of(sleeper.pid, "command")[0]
                self.assertEqual((metadata["cmd"], metadata["executable"]),
                                 ([path, "left-behind", number], path))
            for name, count in (("command", 2), ("executable-sleeper", 2), ("no-command", 0),
                                ("no-executable", 0)):
                with self.subTest(group=name):
                    self.assertEqual(collectd.latest(name, "ps_count")[0], count)


@bpf_only
class ForksThatEndWithTheirParents(unittest.TestCase):
    """Neither has texts any more when denet reads the events."""

    COUNT = 60

    def test_each_counts_in_the_group_of_its_program(self):
        path = program("lives")
        rules = {"command": f'CommandLine "^{path} reap"', "executable": f'Executable "{path}"'}
        with Spawner() as spawner, Collectd(SLOW + "".join(
                rule(name, line, "Children false", "Records false")
                for name, line in rules.items()), interval=0.5) as collectd:
            collectd.wait_ready()
            rows = spawner.run(path, "reap", MIB, count=self.COUNT, at_once=2)
            for name in rules:
                found = totals(collectd, name, 2 * self.COUNT)
                with self.subTest(rule=name):
                    self.assertEqual(found["derive-starts"], [2 * self.COUNT])
                    self.assertEqual(found["io_octets"], sums(rows, OF_GROUP["io_octets"]))
            self.assertEqual(collectd.latest("_self", "derive-bpf_lost"), [0])


@measures
@bpf_only
class OneAtATime(unittest.TestCase):
    """One second of jobs that take turns on a CPU, several between two ticks, in a long interval."""

    COUNT, CPU_MS, PAGES = 20, 50, 5000  # freeing memory takes CPU time too

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        spawner = cls.enterClassContext(Spawner())
        mine = f'CommandLine "^{program("job")} {folder} "'
        rules = rule("turns", mine, "Children false") + \
            rule("slots", mine, 'Instance "slot-%{slot}"', "Children false", "Records false")
        cls.collectd = cls.enterClassContext(Collectd(
            every(0.5) + rules, interval=3))
        cls.collectd.wait_ready()
        prioritize(spawner.pid)
        spawner.run(program("job"), folder, cls.CPU_MS, 1, cls.PAGES, count=cls.COUNT)
        cls.totals = totals(cls.collectd, "turns", cls.COUNT)
        cls.collectd.stop()

    def test_the_highest_sample_includes_processes_that_ended(self):
        busy = [value for value in self.collectd.values("turns", "gauge-cpu_percent")
                if value.numbers[0] > 1]
        most = max(value.numbers[0]
                   for value in self.collectd.values("turns", "gauge-cpu_percent_max"))
        # 1 s in 3, and the time for their memory.
        self.assertLess(max(value.numbers[0] for value in busy), 55)
        self.assertGreater(most, 60)
        self.assertLess(most, 150)

    def test_a_slot_is_free_again_after_its_process(self):
        slots = {name for name in self.collectd.instances() if name.startswith("slot-")}
        starts = sum(self.collectd.latest(name, "derive-starts")[0] for name in slots)
        self.assertEqual(starts, self.COUNT)
        self.assertLessEqual(slots, {"slot-0", "slot-1", "slot-2"})

    def test_no_line_has_more_than_one_cpu(self):
        usages = [line["cpu_usage"] for lines in self.collectd.records().values()
                  for line in lines[1:]]
        self.assertEqual(len(self.collectd.files()), self.COUNT)
        self.assertLessEqual(max(usages), 100.1)


@bpf_only
class Reaped(unittest.TestCase):
    JOBS = 20

    def test_what_a_living_parent_has_reaped_counts_once(self):
        rules = program_rule("both", "spawner", f'Executable "{program("job")}"', "Children false")
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, Spawner() as spawner, \
                Collectd(SLOW + rules, interval=0.5) as collectd:
            collectd.wait_for_lines(spawner.pid)
            # The kernel adds the I/O of children that were waited for to their parent's.
            before = io_of(spawner.pid)
            spawner.run(program("job"), folder, 2, 65536, 0, count=self.JOBS)
            found, after = totals(collectd, "both", self.JOBS), io_of(spawner.pid)
            for what in ("io_octets", "io_ops", "disk_octets"):
                self.assertEqual(found[what], [after[key] - before[key] for key in OF_GROUP[what]])
            self.assertGreaterEqual(found["io_octets"][1], self.JOBS * 65536)
            self.assertEqual(found["ps_count"], [1, 1])


@measures
@bpf_only
class Storm(unittest.TestCase):
    FORKS = 100_000
    EXECS = 3000

    def test_each_is_counted_or_reported_as_lost(self):
        name = f"storm{os.getpid()}"
        program_of_that_name = work_folder() / name
        program_of_that_name.symlink_to(program("lives"))
        spawner = self.enterContext(Spawner())
        spawner.ask(f"name {name}")
        self.collectd = self.enterContext(Collectd(
            rule("storm", f'Comm "{name}"', "Children false", "Records false")))
        self.collectd.wait_for_values("storm", "ps_count")
        before = statm_bytes(self.collectd.pid)[1]
        for words in (f"storm {self.FORKS}", f"storm {self.EXECS} {program_of_that_name} exit"):
            self.assertEqual(spawner.ask(words), "done")

        born = self.FORKS + self.EXECS
        found = totals(self.collectd, "storm", born)
        wait_until(lambda: self.collectd.latest("storm", "ps_count") == [1, 1], "one process")
        self.assertIsNone(self.collectd.process.poll())
        self.assertLess(statm_bytes(self.collectd.pid)[1], before + 48 * MIB)
        self.assertLessEqual(found["derive-starts"], [born])
        if self.collectd.latest("_self", "derive-bpf_lost") == [0]:
            self.assertEqual((found["derive-starts"], found["derive-exits"]), ([born], [born]))
        self.assertGreater(len(self.collectd.values("storm", "ps_count")), 3)
        self.assertEqual(self.collectd.files(), [])
