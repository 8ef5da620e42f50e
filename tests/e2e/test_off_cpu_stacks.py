"""Where in its code a thread was blocked: each stack is its own thread's, whole, and named."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from blocking import (NOT_SAMPLED, blocked, increase, off_cpu, start, time_in_stacks,
                      time_not_sampled)
from harness import (SOURCES, Workload, bpf_only, measures, need, now_ms, program, rule, wait_until,
                     work_folder)

CHAIN = [f"link_{number}" for number in range(10, 0, -1)] + ["main"]
JITS = ("jit", "fifo", "huge")


def stacks_of(lines):
    return [stack for line in lines for stack in off_cpu(line)["stacks"]]


def truth_of(workload, seconds):
    """Returns by how much the counters that the program prints grow in that time."""
    before = json.loads(workload.ask("tell"))
    time.sleep(seconds)  # this is what is measured
    after = json.loads(workload.ask("tell"))
    return {key: after[key] - before[key] for key in before}


def function_of(frame):
    """Of "main (app.c:12)"."""
    return frame.partition(" (")[0]


def time_in(stacks, function, **wanted):
    """The ns of those stacks that the function is in and whose other keys have those values."""
    return sum(stack["time_ns"] for stack in stacks
               if any(function_of(frame) == function for frame in stack["frames"]) and
               all(stack[key] == value for key, value in wanted.items()))


def holds(frames, names):
    """Whether the names stand in the frames in this order, one directly after the other."""
    return any(frames[at:at + len(names)] == names for at in range(len(frames)))


@measures
@bpf_only
class TwoWaits(unittest.TestCase):
    """Two threads that block in functions of their own, one three times as long as the other."""

    RATE = ""
    ERROR = 0.05

    @classmethod
    def setUpClass(cls):
        path = program("two_waits", ("-O2",), "-O2")
        cls.waits = cls.enterClassContext(Workload("two_waits", "24", "8", path=path))
        cls.collectd = start(cls, "stacks", cls.RATE + "".join(
            rule(name, f'Executable "{path}"', "Children false") for name in ("one", "other")))
        cls.collectd.wait_for_lines(cls.waits.pid, count=3, instance="one")
        since_ms = now_ms()
        cls.truth = truth_of(cls.waits, 6)
        cls.lines = {name: [line for line in cls.collectd.samples_of(cls.waits.pid, name)
                            if line["ts_ms"] > since_ms] for name in ("one", "other")}
        cls.stacks = stacks_of(cls.lines["one"])

    def test_each_stack_is_its_own_threads(self):
        for name, own, foreign in (("long-waiter", "wait_in_alpha", "wait_in_beta"),
                                   ("short-waiter", "wait_in_beta", "wait_in_alpha")):
            self.assertGreater(time_in(self.stacks, own, tid_name=name), 0)
            self.assertEqual(time_in(self.stacks, foreign, tid_name=name), 0)

    def test_their_times_have_the_programmed_ratio(self):
        long = time_in(self.stacks, "wait_in_alpha", reason="sleep")
        short = time_in(self.stacks, "wait_in_beta", reason="sleep")
        truth = self.truth["long_ns"] / self.truth["short_ns"]
        self.assertAlmostEqual(truth, 3, delta=0.3)  # on a busy host
        self.assertAlmostEqual(long / short / truth, 1, delta=self.ERROR)

    def test_the_time_of_each_is_what_it_knows(self):
        for function, key in (("wait_in_alpha", "long_ns"), ("wait_in_beta", "short_ns")):
            with self.subTest(function=function):
                found = time_in(self.stacks, function, reason="sleep")
                self.assertAlmostEqual(found / self.truth[key], 1, delta=max(self.ERROR, 0.08))

    def test_the_function_that_called_libc_is_in_all_stacks_that_are_whole(self):
        sleeps = [stack for stack in self.stacks
                  if stack["reason"] == "sleep" and stack["frames"] != NOT_SAMPLED]
        whole = [stack for stack in sleeps if stack["frames"][-1] != "[truncated]"]
        # One is cut where the thread went on while its stack was read.
        self.assertGreater(sum(stack["time_ns"] for stack in whole),
                           0.9 * sum(stack["time_ns"] for stack in sleeps))
        for stack in whole:
            names = [function_of(frame) for frame in stack["frames"]]
            at = next((i for i, name in enumerate(names) if name.startswith("wait_in_")), None)
            self.assertIsNotNone(at, stack)
            self.assertGreater(at, 0, stack)
            self.assertEqual(names[at + 1], "measure", stack)

    def test_both_rules_have_them(self):
        sums = [time_in(stacks_of(lines), "wait_in_alpha") for lines in self.lines.values()]
        self.assertAlmostEqual(sums[0] / sums[1], 1, delta=0.08)


@bpf_only
class TwoWaitsAtALowRate(TwoWaits):
    """Fewer stacks stand for the same time: of the short waits some thirty."""

    RATE = "StackRate 20\n"
    ERROR = 0.25

    def test_there_are_no_more_stacks_than_were_asked_for(self):
        seconds = increase(self.lines["one"], "ts_ms") / 1e3
        # The stack of an interval that goes on is read once, and counts as a sample in each tick.
        self.assertLessEqual(sum(stack["count"] for stack in self.stacks), 20 * (seconds + 1) * 1.4)


@measures
@bpf_only
class InTurn(unittest.TestCase):
    """One thread blocks in two functions in turn, in neither for as long as the period."""

    def test_each_has_its_share_of_the_time(self):
        path = program("two_waits", ("-O2",), "-O2")
        waits = self.enterContext(Workload("two_waits", "0.7", "0.4", "together", path=path))
        collectd = start(type(self), "stacks", "StackRate 5000\n" +
                         rule("x", f'Executable "{path}"', "Children false"))
        collectd.wait_for_lines(waits.pid, count=3)
        since_ms = now_ms()
        known = truth_of(waits, 3)
        stacks = stacks_of(line for line in collectd.samples_of(waits.pid)
                           if line["ts_ms"] > since_ms)
        truth = known["long_ns"] / known["short_ns"]
        found = [time_in(stacks, function, reason="sleep")
                 for function in ("wait_in_alpha", "wait_in_beta")]
        self.assertGreater(min(found), 0)
        self.assertAlmostEqual(found[0] / found[1] / truth, 1, delta=0.25)


# Makes a root folder that no other process has and runs a program there under a name.
OWN_ROOT = """set -e
root=$1 name=$2 program=$3
mount -t tmpfs none "$root"
cp "$program" "$root/$name"
for file in $(ldd "$program" | grep -o '/[^ ]*'); do
  cp --parents -L "$file" "$root"
done
exec chroot "$root" "/$name"
"""


def chain(*flags, suffix):
    return program("chain", ("-O2", *flags), "-" + suffix)


@measures
@bpf_only
class WholeAndNamed(unittest.TestCase):
    """Programs of all sorts, each of which sleeps in a known chain of calls."""

    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(dir=work_folder())))
        folder.chmod(0o755)
        cls.deleted, cls.replaced = folder / "chain-deleted", folder / "chain-replaced"
        for path in (cls.deleted, cls.replaced):
            shutil.copy(chain(suffix="plain"), path)
        cls.paths = {"plain": chain(suffix="plain"), "debug": chain("-g", suffix="debug"),
                     "stripped": chain("-s", suffix="stripped"),
                     "static": chain("-static", suffix="static"),
                     "fixed": chain("-no-pie", suffix="fixed"), "deleted": str(cls.deleted),
                     "replaced": str(cls.replaced), "deep": chain(suffix="deep"),
                     "exited": chain(suffix="exited"),
                     "cpp": program("chain_cpp", ("-O2",)),
                     **{name: program("jit", ("-O2",), "-" + name) for name in JITS}}
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory(dir=work_folder())))
        cls.name_in_root = f"{cls.root.name}-chain"
        rules = {name: path + "( |$)" for name, path in cls.paths.items()}
        rules["root"] = f"/{cls.name_in_root}"
        cls.collectd = start(cls, "stacks", "StackRate 1000\n" + "".join(
            rule(name, f'CommandLine "^{words}"', "Children false")
            for name, words in rules.items()))
        cls.collectd.wait_ready()
        cls.start_programs()
        time.sleep(4)  # this is what is looked at
        wait_until(lambda: "exit" in cls.lines("exited")[-1], "the end of one")

    @classmethod
    def start_programs(cls):
        arguments = {"exited": ["2"], "deep": ["1000", "64"], "jit": ["sleep"],
                     "fifo": ["fifo"], "huge": ["huge"]}
        cls.workloads = {}
        for name, path in cls.paths.items():
            source = {"cpp": "chain_cpp", **dict.fromkeys(JITS, "jit")}.get(name, "chain")
            if source == "jit" and os.uname().machine != "x86_64":
                continue
            workload = cls.workloads[name] = cls.enterClassContext(
                Workload(source, *arguments.get(name, []), path=path))
            cls.addClassCleanup(Path(f"/tmp/perf-{workload.pid}.map").unlink, missing_ok=True)
        cls.deleted.unlink()
        shutil.copy(program("busy"), f"{cls.replaced}-new")
        os.replace(f"{cls.replaced}-new", cls.replaced)
        if os.geteuid() == 0 and shutil.which("unshare"):
            cls.workloads["root"] = cls.enterClassContext(Workload(
                "chain", path=cls.paths["plain"], prefix=[
                    "unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_ROOT, "sh",
                    str(cls.root), cls.name_in_root]))

    @classmethod
    def lines(cls, name):
        return cls.collectd.samples_of(cls.workloads[name].pid, name)

    def stacks(self, name):
        """Of a program's sleeps, the ones with the most time first."""
        need(self, name in self.workloads, "root, unshare and x86-64")
        stacks = [stack for stack in stacks_of(self.lines(name))
                  if stack["reason"] == "sleep" and stack["frames"] != NOT_SAMPLED]
        self.assertTrue(stacks, f"no stack of {name}: {self.lines(name)[-1]}")
        return sorted(stacks, key=lambda stack: -stack["time_ns"])

    def sleeps(self, name):
        return [stack["frames"] for stack in self.stacks(name)]

    def check_chain(self, name, functions=CHAIN):
        """In nearly all of the time each of its functions is there, and a leaf in libc before."""
        cut = [stack for stack in self.stacks(name) if not holds(
            [function_of(frame) for frame in stack["frames"]][1:], functions)]
        share = sum(stack["time_ns"] for stack in cut) / \
            sum(stack["time_ns"] for stack in self.stacks(name))
        self.assertLessEqual(share, 0.1, cut)

    def test_every_frame_is_there(self):
        """Without frame pointers; static; not position independent; its file deleted, or another
        program now; in a root and mount namespace of its own; after its end."""
        self.assertFalse(self.deleted.exists())
        self.assertFalse(Path("/", self.name_in_root).exists())
        for name in ("plain", "static", "fixed", "deleted", "replaced", "root", "exited"):
            with self.subTest(program=name):
                self.check_chain(name)
        # __internal_syscall_cancel since glibc 2.41.
        self.assertRegex(function_of(self.sleeps("plain")[0][0]),
                         r"nanosleep|usleep|syscall_cancel|^libc")

    def test_with_debug_information_each_frame_has_file_and_line(self):
        text = (SOURCES / "chain.c").read_text().splitlines()
        wanted = [next(i for i, line in enumerate(text, 1) if line.startswith(f"LINK({name},"))
                  for name in CHAIN[:-1]]
        wanted.append(next(i for i, line in enumerate(text, 1) if line.endswith("link_1(0);")))
        frames = [f"{name} (chain.c:{line})" for name, line in zip(CHAIN, wanted)]
        self.assertTrue(any(holds(found, frames) for found in self.sleeps("debug")),
                        self.sleeps("debug")[0])

    def test_without_symbols_each_frame_is_module_and_offset(self):
        said = subprocess.run(["nm", "-S", "--defined-only", self.paths["plain"]],
                              capture_output=True, text=True).stdout
        rows = [line.split() for line in said.splitlines()]
        functions = [(int(row[0], 16), int(row[1], 16), row[3]) for row in rows if len(row) == 4]
        names = []
        for frame in self.sleeps("stripped")[0]:
            found = re.fullmatch(r"chain-stripped\+0x([0-9a-f]+)", frame)
            if found:
                offset = int(found.group(1), 16)
                names += [name for address, size, name in functions
                          if address <= offset < address + size]
        self.assertEqual(names[:len(CHAIN)], CHAIN, self.sleeps("stripped")[0])

    def test_of_a_stack_that_is_too_deep_the_top_is_there_and_that_it_was_cut(self):
        self.check_chain("deep", CHAIN[:-1] + ["dig", "dig"])
        for frames in self.sleeps("deep"):
            self.assertEqual(frames[-1], "[truncated]")

    def test_the_stacks_of_one_that_has_exited_add_up(self):
        lines = self.lines("exited")
        whole = off_cpu(lines[-1])["total_time_ns"]
        self.assertGreaterEqual(time_in_stacks(lines), whole)
        self.assertLess(time_in_stacks(lines), 1.05 * whole)
        # The last samples may not have their names yet.
        self.assertLess(time_not_sampled(lines), 0.5e9)

    def test_names_of_cpp_are_as_its_author_wrote_them(self):
        text = "\n".join(self.sleeps("cpp")[0])
        for name in (r"waits::Turn::sleep_in_method\(unsigned int\)",
                     r"long waits::in_template<long>\(waits::Turn&, long\)",
                     r"main::\{lambda\(long\)#1\}::operator\(\)\(long\)"):
            self.assertRegex(text, name)
        self.assertNotIn("_ZN", text)

    def test_code_made_at_run_time_has_its_name_and_its_callers(self):
        wanted = ["sleep_for_jit", "LazyCompile:~serve shop.js:7", "enter", "main"]
        frames = [[function_of(frame) for frame in found] for found in self.sleeps("jit")]
        self.assertTrue(any(holds(found, wanted) for found in frames), frames[0])

    def test_a_fifo_or_a_huge_file_in_place_of_names_stops_nobody(self):
        for name in ("fifo", "huge"):
            with self.subTest(file=name):
                frames = [function_of(frame) for frame in self.sleeps(name)[0]]
                at = frames.index("sleep_for_jit")
                self.assertEqual(frames[at + 2:at + 4], ["enter", "main"], frames)
        status = Path(f"/proc/{self.collectd.pid}/status").read_text()
        self.assertLess(int(status.partition("VmHWM:")[2].split()[0]), 300 << 10)

    def test_nothing_was_lost_and_there_were_no_complaints(self):
        self.assertEqual(self.collectd.complaints(), [])
        for name in self.workloads:
            with self.subTest(program=name):
                self.assertNotIn("lost", off_cpu(self.lines(name)[-1]))


@measures
@bpf_only
class Followed(unittest.TestCase):
    """A process starts others, one after the other, that sleep; it waits for each."""

    SLEEP_MS = 45

    @classmethod
    def setUpClass(cls):
        collectd = start(cls, "stacks", rule("tree", f'CommandLine "^{program("blocker")} child"'))
        collectd.wait_ready()
        parent = cls.enterClassContext(Workload("blocker", "child", str(cls.SLEEP_MS), "5"))
        time.sleep(4)  # this is what is measured
        parent.ask("stop")
        cls.lines = [line["aggregated"] for line in collectd.wait_for_lines(
            parent.pid, count=5, after_ms=now_ms() - 4000)][1:]

    def increase_of(self, reason):
        return increase(self.lines, lambda line: off_cpu(line)["by_reason"][reason])

    def test_all_processes_are_followed_from_their_beginning(self):
        """For what is blocked in all of them is known in another way too."""
        self.assertAlmostEqual(increase(self.lines, blocked) / increase(self.lines, "off_cpu_ns"),
                               1, delta=0.01)

    def test_it_waits_for_a_child_while_the_child_sleeps(self):
        # A little longer, as a child must also begin and end.
        share = self.increase_of("sleep") / self.increase_of("child")
        self.assertLess(share, 1)
        self.assertGreater(share, 0.9)

    def test_the_total_of_the_tree_is_the_sum_of_its_reasons(self):
        for found in map(off_cpu, self.lines):
            self.assertEqual(found["total_time_ns"], sum(found["by_reason"].values()))

    def test_the_stacks_of_a_child_have_names_after_its_end(self):
        stacks = [stack for stack in stacks_of(self.lines) if stack["reason"] == "sleep"]
        whole = sum(stack["time_ns"] for stack in stacks)
        self.assertGreater(whole, 0)
        self.assertGreater(time_in(stacks, "main") / whole, 0.8, stacks[0])

    def test_the_times_of_the_stacks_of_all_children_add_up(self):
        in_stacks = time_in_stacks(self.lines[1:], "sleep")
        self.assertAlmostEqual(in_stacks / self.increase_of("sleep"), 1, delta=0.1)
