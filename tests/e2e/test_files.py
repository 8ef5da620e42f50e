"""The files: their format, their segments, and that no line is lost."""

import json
import os
import pwd
import re
import signal
import time
import unittest
from pathlib import Path

from harness import (HOST, PROJECT, Collectd, Workload, check_none_lost, every, program,
                     program_rule, read_lines, source_in_use, wait_until)

SCHEMA = json.loads((PROJECT / "core" / "record" / "schema.json").read_text())


def properties(name):
    """The keys that the schema has for an object."""
    part = SCHEMA["$defs"][name]
    return set(part["properties"]).union(*(properties(other["$ref"].rpartition("/")[2])
                                           for other in part.get("allOf", ())))


METADATA, METRICS, ONE, TREE = map(properties, ("metadata", "metrics", "one", "tree"))
OPTIONAL = {"ebpf", "unit"}  # only with BPF, only of a process in a unit
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
         "boolean": bool, "null": type(None)}
# Keyword of JSON Schema -> whether a value of the right type meets it.
KEYWORDS = {
    "$ref": lambda value, name: meets(value, SCHEMA["$defs"][name.rpartition("/")[2]]),
    "allOf": lambda value, parts: all(meets(value, part) for part in parts),
    "oneOf": lambda value, parts: sum(meets(value, part) for part in parts) == 1,
    "type": lambda value, name: isinstance(value, TYPES[name]) and
            (name == "boolean" or not isinstance(value, bool)),
    "const": lambda value, wanted: value == wanted,
    "minimum": lambda value, least: value >= least,
    "maxItems": lambda value, most: len(value) <= most,
    "pattern": lambda value, regex: re.search(regex, value),
    "required": lambda value, keys: set(keys) <= set(value),
    "items": lambda value, part: all(meets(item, part) for item in value),
    "properties": lambda value, parts: all(meets(value[key], part)
                                           for key, part in parts.items() if key in value),
    "additionalProperties": lambda value, part: all(meets(item, part) for item in value.values()),
}


def meets(value, schema):
    """Whether the value is valid, for the keywords that our schema uses; others fail. The type is
    checked first."""
    keys = sorted(set(schema) - {"$schema", "$defs", "title", "description"},
                  key=lambda key: key not in ("$ref", "allOf", "type"))
    return all(KEYWORDS[key](value, schema[key]) for key in keys)


class Keys(unittest.TestCase):
    """Of processes that live in every line, so that all keys are there."""

    @classmethod
    def setUpClass(cls):
        cls.family = cls.enterClassContext(Workload("family"))
        cls.sleeper = cls.enterClassContext(Workload("sleeper", "one", "two words"))
        rules = program_rule("family", "family") + \
            program_rule("alone", "sleeper", "Children false", 'OffCPU "stacks"')
        cls.collectd = cls.enterClassContext(Collectd(rules))
        cls.collectd.wait_ready()
        cls.family.ask("worker 4096 100")
        cls.collectd.wait_for_lines(cls.sleeper.pid, count=5)
        cls.collectd.stop()

    def assert_keys(self, found, required):
        self.assertEqual(set(found) - OPTIONAL, set(required) - OPTIONAL)

    def test_every_line_meets_the_schema(self):
        for lines in self.collectd.records().values():
            for line in lines:
                self.assertTrue(meets(line, SCHEMA), line)
        stacks = [line for line in self.collectd.samples_of(self.sleeper.pid) if "ebpf" in line]
        self.assertEqual(bool(stacks), source_in_use() == "bpf")

    def test_the_schema_refuses_what_is_wrong(self):
        good = self.collectd.samples_of(self.family.pid)[-1]
        for wrong in ({"kind": "other"}, {"ts_ms": "1"}, {"ts_ms": -1}, {"ts_ms": True},
                      {"parent": {}}, {"children": [{}]}, {"aggregated": None}, {"exit": {}},
                      {"exit": {"code": 0, "signal": 9}}):
            self.assertFalse(meets({**good, **wrong}, SCHEMA), wrong)
            self.assertTrue(meets({**good, "new": wrong}, SCHEMA))

    def test_metadata_has_exactly_its_keys(self):
        for path, lines in self.collectd.records().items():
            metadata = lines[0]
            self.assertEqual(metadata["kind"], "metadata")
            self.assert_keys(metadata, METADATA)
            self.assertEqual(path.name, f'{metadata["pid"]}-{metadata["t0_ms"]}.jsonl')
            made = time.strftime("%Y-%m-%d", time.gmtime(lines[1]["ts_ms"] / 1e3))
            self.assertEqual(path.parts[-4:-1], (HOST, metadata["instance"], made))
            self.assertEqual(metadata["host"], HOST)
            self.assertEqual(sum(line["kind"] == "metadata" for line in lines), 1)

    def test_metadata_is_true_and_each_capability_that_is_missing_has_a_reason(self):
        metadata = self.collectd.lines_of(self.sleeper.pid)[0]
        self.assertEqual(metadata["cmd"][1:], ["one", "two words"])
        self.assertEqual(metadata["executable"], program("sleeper"))
        self.assertEqual((metadata["pid"], metadata["ppid"], metadata["uid"]),
                         (self.sleeper.pid, os.getpid(), os.getuid()))
        self.assertEqual(metadata["user"], pwd.getpwuid(os.getuid()).pw_name)
        self.assertEqual((metadata["rule"], metadata["instance"]), ("alone", "alone"))
        self.assertEqual(metadata["boot_id"],
                         Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        self.assertEqual(metadata["capabilities"]["source"],
                         {"available": True, "name": source_in_use()})
        for name, entry in metadata["capabilities"].items():
            self.assertIsInstance(entry["available"], bool, name)
            if not entry["available"]:
                self.assertTrue(entry["reason"], name)

    def test_a_sample_has_exactly_its_keys(self):
        lines = self.collectd.samples_of(self.sleeper.pid)
        for line in lines:
            self.assertEqual((line["kind"], line["pid"]), ("sample", self.sleeper.pid))
            self.assert_keys(line, ONE | {"kind", "pid"})

    def test_a_tree_has_exactly_its_keys(self):
        lines = self.collectd.samples_of(self.family.pid)
        children = 0
        for line in lines:
            self.assertEqual(line["kind"], "tree")
            self.assert_keys(line, TREE - {"exit"})
            self.assert_keys(line["parent"], ONE)
            self.assert_keys(line["aggregated"], METRICS | {"process_count"})
            for child in line["children"]:
                children += 1
                self.assertEqual(set(child), {"pid", "command", "metrics"})
                self.assert_keys(child["metrics"], ONE)
        self.assertGreater(children, 0)


class ExitLines(unittest.TestCase):
    def test_a_process_that_exits_leaves_a_finished_file(self):
        with Workload("sleeper") as sleeper, \
                Collectd(program_rule("a", "sleeper"), interval=0.5) as collectd:
            collectd.wait_for_lines(sleeper.pid, count=2)
            sleeper.tell("exit 5")
            sleeper.process.wait()
            wait_until(lambda: collectd.latest("a", "ps_count") == [0, 0], "the end")
            collectd.wait_for_values("a", "ps_count", after=time.time() + 1.5)
            lines = collectd.samples_of(sleeper.pid)
            # A tick is at most a second before its report; the machine may delay the report.
            alive = [value.time for value in collectd.values("a", "ps_count") if value.numbers[0]]
            self.assertGreaterEqual(lines[-1]["ts_ms"], alive[-1] * 1e3 - 2500)
            # With /proc a process that was waited for at once takes its status with it: no key.
            unseen = [None] if source_in_use() == "procfs" else []
            self.assertIn(lines[-1].get("exit"), [{"code": 5}, *unseen])
            self.assertFalse([line for line in lines[:-1] if "exit" in line])
            self.assertTrue(all(meets(line, SCHEMA) for line in lines))
            self.assertEqual(collectd.latest("a", "ps_count"), [0, 0])

    def test_a_killed_zombie_has_one_last_line_with_its_signal_and_the_totals_so_far(self):
        with Workload("sleeper") as sleeper, \
                Collectd(program_rule("a", "sleeper", "Children false"), interval=0.5) as collectd:
            sleeper.ask("touch 16")
            before = collectd.wait_for_lines(sleeper.pid, count=2)[-1]
            sleeper.process.send_signal(9)  # it stays a zombie
            wait_until(lambda: "exit" in collectd.samples_of(sleeper.pid)[-1], "an exit line")
            lines = collectd.samples_of(sleeper.pid)
            self.assertEqual([line["exit"] for line in lines if "exit" in line], [{"signal": 9}])
            for key in ("page_faults_cached", "syscall_read_bytes", "ctx_switches_voluntary"):
                if key == "page_faults_cached" or key in lines[-1]:
                    self.assertGreaterEqual(lines[-1][key], before[key], key)


class TrialRuns(unittest.TestCase):
    def test_two_runs_of_collectd_t_leave_valid_files(self):
        with Workload("sleeper") as sleeper, Workload("family") as family:
            rules = program_rule("a", "sleeper") + program_rule("b", "family")
            collectd = Collectd(rules)
            for run in (1, 2):
                self.assertEqual(collectd.run_once(), 0)
                self.assertEqual(len(collectd.files()), 2 * run)
                for path, lines in collectd.records().items():
                    self.assertEqual(lines[0]["kind"], "metadata", path)
                    self.assertGreater(len(lines), 1, path)
                self.assertTrue(collectd.lines_of(sleeper.pid, "a"))
                self.assertTrue(collectd.lines_of(family.pid, "b"))


class Stopping(unittest.TestCase):
    def check(self, *plugins):
        with Workload("busy") as busy, Workload("sleeper") as sleeper, \
                Collectd(program_rule("a", "busy") + program_rule("b", "sleeper"),
                         "FlushInterval 60\n", plugins=plugins) as collectd:
            collectd.wait_for_values("b", "ps_count", count=3)
            self.assertEqual(collectd.stop(), 0)
            ended_at = time.time()
            report = collectd.values("_self", "derive-records")[-1]
            times = []
            for pid in (busy.pid, sleeper.pid):
                lines = collectd.samples_of(pid)
                times += [line["ts_ms"] for line in lines]
                # The sample that is taken at the end.
                self.assertGreaterEqual(lines[-1]["ts_ms"] / 1e3, collectd.stopped_at - 0.01)
                self.assertLessEqual(lines[-1]["ts_ms"] / 1e3, ended_at)
            check_none_lost(self, collectd, times)
            self.assertGreater(len(times), report.numbers[0])
            self.assertEqual(collectd.complaints(), [])

    def test_sigterm_loses_nothing_with_the_writer_loaded_first(self):
        self.check("write_denet", "denet")

    def test_sigterm_loses_nothing_with_the_writer_loaded_last(self):
        self.check("denet", "write_denet")

    def test_without_the_writer_there_are_values_and_no_files(self):
        with Workload("sleeper"), Collectd(program_rule("b", "sleeper"), plugins=("denet",),
                                           interval=0.5) as collectd:
            collectd.wait_for_values("b", "ps_rss", count=3)
            for what in ("derive-records", "derive-records_dropped"):
                self.assertEqual(collectd.latest("_self", what), [0])
            self.assertEqual(collectd.stop(), 0)
            self.assertFalse(collectd.records_folder.exists())
            self.assertEqual(collectd.complaints(), [])


class Flushing(unittest.TestCase):
    def measured_gap(self, flush):
        """The median of the seconds between two growths of the file, at ten lines a second."""
        with Workload("sleeper") as sleeper, \
                Collectd(every(0.1) + program_rule("a", "sleeper"),
                         f"FlushInterval {flush}\n") as collectd:
            collectd.wait_for_lines(sleeper.pid)
            path, = collectd.files()
            sizes, times = [path.stat().st_size], []
            end = time.monotonic() + 5
            while time.monotonic() < end:
                if path.stat().st_size != sizes[-1]:
                    sizes.append(path.stat().st_size)
                    times.append(time.monotonic())
                    read_lines(path)  # never torn
                time.sleep(0.01)
        gaps = sorted(b - a for a, b in zip(times, times[1:]))
        return gaps[len(gaps) // 2]

    def test_lines_wait_about_the_flush_interval(self):
        """Measured at most three times, while a machine that stalls may have made it too long."""
        for flush, least, most in ((1, 0.65, 1.35), (0.05, 0, 0.25)):
            with self.subTest(flush=flush):
                for _ in range(3):
                    gap = self.measured_gap(flush)
                    if gap < flush + 0.2:
                        break
                self.assertTrue(least <= gap <= most, gap)

    def test_sigusr1_flushes(self):
        with Workload("sleeper") as sleeper, \
                Collectd(program_rule("a", "sleeper"), "FlushInterval 600\n") as collectd:
            collectd.wait_for_values("a", "ps_count", count=3)
            before = len(collectd.samples_of(sleeper.pid))
            collectd.process.send_signal(signal.SIGUSR1)
            wait_until(lambda: len(collectd.samples_of(sleeper.pid)) > before, "the flushed lines")


class Segments(unittest.TestCase):
    def test_a_full_file_is_followed_by_segments_that_begin_with_its_metadata(self):
        with Workload("sleeper") as sleeper, \
                Collectd(every(0.02) + program_rule("a", "sleeper"),
                         "MaxFileSize 0.01\nFlushInterval 0.1\n") as collectd:
            wait_until(lambda: len(collectd.files()) >= 4, "four segments")
            collectd.wait_for_values("_self", "derive-records", after=time.time())
            collectd.stop()
            paths, metadata = collectd.files(), collectd.lines_of(sleeper.pid)[0]
            stem = f'{sleeper.pid}-{metadata["t0_ms"]}'
            self.assertEqual([path.name for path in paths],
                             [f"{stem}.jsonl"] + [f"{stem}_{number:04}.jsonl"
                                                  for number in range(2, len(paths) + 1)])
            times = []
            for path in paths:
                header, *lines = read_lines(path)
                self.assertEqual(header, metadata)
                self.assertEqual({line["kind"] for line in lines}, {"tree"})
                times += [line["ts_ms"] for line in lines]
                if path != paths[-1]:
                    self.assertGreater(path.stat().st_size, 0.01 * 2**20 * 0.8)
                self.assertLess(path.stat().st_size, 0.01 * 2**20 + 2000)
            self.assertEqual(times, sorted(set(times)))
            check_none_lost(self, collectd, times)

    def test_the_oldest_finished_segments_go_when_the_total_is_reached(self):
        with Workload("sleeper"), \
                Collectd(every(0.01) + program_rule("a", "sleeper"),
                         "MaxFileSize 0.01\nMaxTotalSize 0.04\nFlushInterval 0.1\n") as collectd:
            wait_until(lambda: any("_0009" in path.name for path in collectd.files()),
                       "the ninth segment", timeout=20)
            # As du(1) counts.
            sizes = [512 * path.stat().st_blocks for path in collectd.files() if path.exists()]
            self.assertLess(sum(sizes), 0.04 * 2**20 + 3 * 4096)
            self.assertFalse([path for path in collectd.files() if "_0002" in path.name])
            self.assertEqual(collectd.complaints(), [])
