"""What the sources include, and what the plugins need to be loaded."""

import os
import re
import shutil
import statistics
import subprocess
import unittest
from pathlib import Path

from harness import COLLECTD, PROJECT, plugins_folder, procfs_only

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
# Of each library how its headers begin, and the sources that know it: one, or one for each noun.
FOREIGN = {"yajl": ("yajl/", {"util/json.c"}), "regex": ("regex.h", {"rules/pattern.c"}),
           "tre": ("tre/", {"rules/regex.c"}),
           "libbpf": ("bpf/libbpf.h", {"source/bpf/loader.c", "stacks/tracer.c"}),
           "elfutils": ("elfutils/", {"stacks/symbols/elf_file.c", "stacks/symbols/line_table.c",
                                      "stacks/unwind/cfi_check.c",
                                      "stacks/unwind/unwind_table.c"}),
           "lzma": ("lzma.h", {"stacks/symbols/symbols.c"})}

# The order of core's folders: each with those whose headers it may include besides its own. What
# these may include is not included for them: an arrow is named or it is not there.
MAY_INCLUDE = {
    "util": "",
    "model": "util",
    "source": "util model",
    "source/procfs": "util model source",
    "source/bpf": "util model source source/procfs",
    "rules": "util model",
    "groups": "util model rules",
    "match": "util model source rules groups",
    "stacks/symbols": "util",
    "stacks/unwind": "util source/procfs stacks/symbols",
    "stacks": "util model rules groups source/bpf stacks/symbols stacks/unwind",
    "record": "util model source source/procfs rules groups",
    "store": "util record",
    "monitor": "util model source rules groups match stacks record",
}


def sources(folders, *endings):
    """The files of some folders, by default those of C."""
    return sorted(path for folder in folders.split() for path in (PROJECT / folder).rglob("*")
                  if path.suffix in (endings or (".c", ".h")))



def includes(path):
    return INCLUDE.findall(path.read_text())


def users(paths, header):
    """Those of the files that include a header which begins like that."""
    return {str(path.relative_to(PROJECT)) for path in paths
            if any(name.startswith(header) for name in includes(path))}


CORE = sources("core", ".c", ".h", ".def")


@procfs_only
class Includes(unittest.TestCase):
    def assert_none(self, paths, pattern):
        self.assertTrue(paths)
        found = [(str(path), name) for path in paths for name in includes(path)
                 if re.search(pattern, name)]
        self.assertEqual(found, [])

    def test_core_knows_nothing_of_collectd(self):
        self.assert_none(CORE, r"plugin/|collectd")
        for path in CORE:
            self.assertNotRegex(path.read_text(), r"\bplugin_(log|dispatch|write|register)")

    def test_folders_of_core_include_what_stands_before_them(self):
        wrong, folders = [], set()
        for path in CORE:
            folder = str(path.parent.relative_to(PROJECT / "core"))
            folders.add(folder)
            allowed = {folder, *MAY_INCLUDE.get(folder, "").split()}
            wrong += [(str(path), name) for name in includes(path) if name.startswith("core/") and
                      name[len("core/"):].rpartition("/")[0] not in allowed]
        self.assertEqual(wrong, [])
        self.assertEqual(folders, set(MAY_INCLUDE))

    def test_order_of_the_folders_has_no_circle(self):
        done = set()
        while len(done) < len(MAY_INCLUDE):
            ready = {folder for folder, others in MAY_INCLUDE.items()
                     if folder not in done and set(others.split()) <= done}
            self.assertTrue(ready, sorted(set(MAY_INCLUDE) - done))
            done |= ready

    def test_core_is_included_by_its_path(self):
        for path in CORE:
            for name in re.findall(r'#\s*include\s+"([^"]+)"', path.read_text()):
                self.assertTrue(name.startswith(("core/", "bpf/")) or name.endswith(".skel.h"),
                                (path, name))

    def test_what_a_folder_must_not_include(self):
        """The plugin knows of BPF only the names of the reasons, no JSON and no regex, and store
        only the line of record."""
        for folder, pattern in (("core/store", r"core/record/(?!line\.h$)"),
                                ("plugin", r"yajl|regex\.h|bpf/(?!reasons\.def)|elf|"
                                 r"core/util/json\.h"),
                                ("tests", r"\.c$")):
            self.assert_none(sources(folder), pattern)

    def test_each_foreign_library_is_known_by_few_files(self):
        for library, (header, known) in FOREIGN.items():
            self.assertEqual(users(sources("core plugin"), header),
                             {f"core/{name}" for name in known}, library)

    def test_check_and_collectd_are_included_by_one_header_each(self):
        self.assertLessEqual(len(users(sources("tests"), "check.h")), 1)
        self.assertEqual(users(sources("core plugin"), "check.h"), set())
        self.assertEqual(users(sources("plugin"), "collectd/"), {"plugin/collectd/collectd_api.h"})

    def test_a_source_includes_its_own_header_first(self):
        for path in sources("core plugin", ".c"):
            header = path.with_suffix(".h")
            if header.exists():
                self.assertEqual(includes(path)[0], str(header.relative_to(PROJECT)), path)

    def test_no_source_has_a_goto_and_core_does_not_log_exit_or_ask_the_environment(self):
        for path in sources("core plugin"):
            self.assertNotRegex(path.read_text(), r"\bgoto\b", path)
        for path in sources("core", ".c"):
            self.assertNotRegex(path.read_text(), r"\b(printf|fprintf|perror|exit|abort|getenv)\(",
                                path)

    def test_nothing_else_is_at_the_top(self):
        top = {name for name in os.listdir(PROJECT) if not name.startswith((".", "build"))}
        self.assertLessEqual(top, {"plugin", "core", "bpf", "conf", "tests", "CMakeLists.txt",
                                   "README.md", "LICENSE"})


def output_of(*command):
    return subprocess.run(map(str, command), capture_output=True, text=True).stdout


def symbols(path, *options):
    words = [line.split() for line in output_of("nm", "-D", *options, path).splitlines()]
    return [(line[-2], line[-1].partition("@")[0]) for line in words if len(line) >= 2]


def libraries(path):
    return re.findall(r"(/\S+) \(0x", output_of("ldd", path))


@procfs_only
@unittest.skipUnless(shutil.which("nm"), "needs nm")
class Symbols(unittest.TestCase):
    def setUp(self):
        self.plugins = [plugins_folder() / name for name in ("denet.so", "write_denet.so")]

    def test_what_is_undefined_is_exported_by_collectd_or_a_linked_library(self):
        for plugin in self.plugins:
            exported = {symbol for path in {COLLECTD, *libraries(plugin), *libraries(COLLECTD)}
                        for _, symbol in symbols(path, "--defined-only")}
            wanted = {symbol for kind, symbol in symbols(plugin, "--undefined-only") if kind == "U"}
            self.assertIn("plugin_register_init", wanted)
            self.assertEqual(wanted - exported, set())

    def test_module_register_is_all_that_is_exported(self):
        for plugin in self.plugins:
            exported = {symbol for _, symbol in symbols(plugin, "--defined-only")}
            self.assertEqual(exported, {"module_register"})

    def test_every_linked_library_is_found(self):
        for plugin in self.plugins:
            self.assertNotIn("not found", output_of("ldd", plugin))


def blocks(text):
    """The lines of a document that are not blank, as (number, kind, line): code, table, list, heading
    or text. A line that is indented goes on with a list or, after a blank line, is code."""
    kind, is_fenced = "", False
    for number, line in enumerate(text.splitlines(), 1):
        is_fence = line.startswith("```")
        if is_fenced or is_fence:
            kind, is_fenced = "code", is_fenced != is_fence
        elif not line.strip():
            kind = ""
            continue
        elif line.startswith("|"):
            kind = "table"
        elif re.match(r"([*-]|\d+\.) ", line):
            kind = "list"
        elif line.startswith("#"):
            kind = "heading"
        elif line.startswith("  "):
            kind = kind if kind == "list" else "code"
        else:
            kind = "text"
        yield number, kind, line


def prose(path):
    """A document without its code."""
    return "\n".join(line for _, kind, line in blocks(path.read_text()) if kind != "code")


def anchors(path):
    """As GitHub makes them of headings."""
    headings = [line.lstrip("# ") for _, kind, line in blocks(path.read_text()) if kind == "heading"]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@procfs_only
class Documents(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.documents = [path for path in sorted(PROJECT.rglob("*.md"))
                          if not path.relative_to(PROJECT).parts[0].startswith((".", "build"))]
        self.assertIn(PROJECT / "README.md", self.documents)

    def test_every_relative_link_leads_to_a_file_and_its_heading(self):
        broken = []
        for path in self.documents:
            for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = path.parent / name if name else path
                if not target.exists() or (anchor and anchor not in anchors(target)):
                    broken.append((str(path.relative_to(PROJECT)), link))
        self.assertEqual(broken, [])

    def test_blank_lines_stand_around_tables_lists_code_and_headings(self):
        wrong = []
        for path in self.documents:
            before, last = "", 0
            for number, kind, _ in blocks(path.read_text()):
                is_next = last == number - 1 and last
                if is_next and (kind != before or kind == "heading"):
                    wrong.append(f"{path.relative_to(PROJECT)}:{number}: {before} before {kind}")
                before, last = kind, number
        self.assertEqual(wrong, [])

    def test_the_first_page_is_two_screens(self):
        self.assertLessEqual(len((PROJECT / "README.md").read_text().splitlines()), 120)

    def test_every_file_that_is_named_is_there(self):
        missing = []
        for path in self.documents:
            bases = (path.parent, PROJECT, PROJECT / "core")
            for name in re.findall(r"`(\w+/[\w./-]+\.\w+)`", prose(path)):
                folders = [base for base in bases if (base / name.partition("/")[0]).is_dir()]
                if folders and not any((base / name).exists() for base in folders):
                    missing.append((str(path.relative_to(PROJECT)), name))
        self.assertEqual(missing, [])

    def test_no_source_names_a_document_that_is_not_there(self):
        there = {path.name for path in self.documents}
        texts = [PROJECT / "CMakeLists.txt", *sources("core plugin bpf conf tests", ".c", ".h", ".def",
                                                      ".py", ".sh", ".txt", ".conf", ".md")]
        missing = [(str(path.relative_to(PROJECT)), name) for path in texts
                   for name in re.findall(r"[\w-]+\.md\b", path.read_text(errors="replace"))
                   if name not in there]
        self.assertEqual(missing, [])

    def test_every_time_bound_is_in_the_table(self):
        bound = re.compile(r"^#define (?!DEFAULT_|SECOND_)(\w+_(?:NS|MS|S|SECONDS)) ", re.MULTILINE)
        known = {(name, str(path.relative_to(PROJECT)).removeprefix("core/"))
                 for path in sources("core plugin bpf") for name in bound.findall(path.read_text())}
        listed = set(re.findall(r"\| `([A-Z_]+)`, `([\w./]+)` \|",
                                prose(PROJECT / "core/README.md")))
        self.assertEqual(listed, known)


# Words that this code used for things that have a name in the field, and a word for each.
OLD_WORDS = {
    "roster": "process_table", "unsee": "undo", "ledger": "lifecycle", "tally": "task_sums",
    "scribe": "emitter", "shelf|shelve": "(gone)", "usurper": "exec_thread",
    "depose": "replace_leader", "doze": "wait", "symbolizer": "stack_worker", "forests?": "trees",
    "brings_past|is_owed|add_past": "(gone)", "untold": "(gone)", "hollow": "no_mm",
    "met_lacks": "seen_unavailable", "at length": "full", "relist": "rescan",
    "happenings": "samples", "beginnings": "exec_events", "tell_end": "exit_request",
    "walk_word": "dependency", "call_frames": "cfi_check", "program_space": "address_space",
    "source_lines": "line_table", "handover": "line_channel", "is_told|is_heard": "(what happened)",
    "denet_host": "denet_env", "denet_watch|watched_rule": "active_rule",
    "facts": "attributes", "subjects?": "field", "departed": "recent_members",
    "imagine": "from_event", "but for": "except", "owed?|owes": "(gone)",
    "denet_expression|out_expression": "regex", "birth_in_lines|base_now": "baseline",
    "denet_aside\\w*": "read_worker",
}
LONGEST_FUNCTION, MEDIAN_FUNCTION, SHORT_FUNCTION, LONGEST_FILE = 60, 12, 5, 800


def functions(text):
    """Returns (name, lines) of each function of a C file that clang-format has formatted: it begins
    in column 0, and a brace in column 0 ends it."""
    lines, first, found, at = text.split("\n"), 0, [], 0
    while at < len(lines):
        if re.match(r"[A-Za-z_]", lines[at]):
            first = at
        if re.search(r"\) \{( .*\})?$", lines[at]) and not lines[first].startswith(" "):
            name = re.search(r"(\w+)\(", " ".join(lines[first:at + 1]))[1]
            at = at if lines[at].endswith("}") else lines.index("}", at)
            found.append((name, at - first + 1))
        at += 1
    return found


@procfs_only
class Style(unittest.TestCase):
    def test_old_words_are_gone(self):
        """An underscore ends a word, too."""
        instead = {f"word{i}": item for i, item in enumerate(OLD_WORDS.items())}
        pattern = re.compile("(?<![a-z])(?:" + "|".join(
            f"(?P<{name}>{words})" for name, (words, _) in instead.items()) + ")(?![a-z])",
            re.IGNORECASE)
        paths = [PROJECT / "README.md", PROJECT / "CMakeLists.txt", *sources(
            "core bpf plugin tests conf", ".c", ".cc", ".h", ".def", ".py", ".sh", ".md", ".txt",
            ".conf")]
        found = []
        for path in paths:
            if path.resolve() != Path(__file__).resolve():
                text = path.read_text()
                name = path.relative_to(PROJECT)
                found += [f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]} -> "
                          f"{instead[match.lastgroup][1]}" for match in pattern.finditer(text)]
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_functions_are_neither_long_nor_chopped(self):
        measured = [(f"{path.relative_to(PROJECT)}: {name}", lines)
                    for path in sources("core bpf plugin")
                    for name, lines in functions(path.read_text())]
        self.assertEqual([(name, lines) for name, lines in measured if lines > LONGEST_FUNCTION],
                         [])
        self.assertLessEqual(statistics.median(lines for _, lines in measured), MEDIAN_FUNCTION)

    def test_a_short_function_has_two_callers_or_is_public(self):
        """A helper of three lines that is called once says less than its body. A callback has to be
        a function."""
        chopped, count = [], 0
        for path in sources("core bpf plugin", ".c"):
            text = path.read_text()
            for name, lines in functions(text):
                count += 1
                if lines <= SHORT_FUNCTION and re.findall(rf"\b{name}\b(\(?)", text) == ["(", "("] \
                        and re.search(rf"^static .*\b{name}\(", text, re.MULTILINE):
                    chopped.append(f"{path.relative_to(PROJECT)}: {name}")
        self.assertLess(50 * len(chopped), count, chopped)

    def test_every_function_is_found(self):
        for path in sources("core bpf plugin"):
            text = path.read_text()
            ends = len(re.findall(r"^}$", text, re.MULTILINE))
            one_line = len(re.findall(r"^\w.*\) \{ .*\}$", text, re.MULTILINE))
            self.assertEqual(len(functions(text)), ends + one_line, path)

    def test_files_are_not_long(self):
        long = [(str(path.relative_to(PROJECT)), count)
                for path in sources("core bpf plugin tests", ".c", ".cc", ".h", ".def", ".py")
                if (count := path.read_text().count("\n")) > LONGEST_FILE]
        self.assertEqual(long, [])
