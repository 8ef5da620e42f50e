"""Plugins that were built with a sanitizer: what such a plugin needs in a collectd that was not,
and what was reported."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

# Of each runtime library where it takes its settings from, and those.
SETTINGS = {
    "libasan": ("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1:"
                "fast_unwind_on_malloc=0"),
    "libubsan": ("UBSAN_OPTIONS", "print_stacktrace=1"),
    # collectd and most libraries were not built for it: what they do is not looked at.
    "libtsan": ("TSAN_OPTIONS", "ignore_noninstrumented_modules=1:second_deadlock_stack=1"),
}


@functools.lru_cache
def runtimes(plugins):
    """The libraries of sanitizers that the plugins in this folder want: {"libasan": its path}."""
    text = subprocess.run(["ldd", str(Path(plugins, "denet.so"))], capture_output=True,
                          text=True).stdout
    return {name: path for name, path in re.findall(r"\s(lib\w+)\.so\S* => (/\S+)", text)
            if name in SETTINGS}


def is_for_threads(plugins):
    return "libtsan" in runtimes(plugins)


def reports_folder(folder):
    return Path(folder, "sanitizer")


def prefix(plugins, folder, others):
    """What loads the runtimes and then other libraries into a command, and into nothing that it is
    started by; the runtimes report into the folder."""
    found = runtimes(plugins)
    # libubsan comes with what is linked with it.
    libraries = [path for name, path in found.items() if name != "libubsan"] + list(others)
    if not libraries:
        return []
    reports_folder(folder).mkdir(exist_ok=True)
    settings = [f"{variable}={options}:log_path={reports_folder(folder)}/report"
                for variable, options in (SETTINGS[name] for name in found)]
    # The shadow of the thread sanitizer has its place, which others must not be given by chance.
    fixed = ["setarch", "-R"] if is_for_threads(plugins) else []
    return [*fixed, "env", f"LD_PRELOAD={':'.join(libraries)}", *settings]


def take_reports(folder, since):
    """The texts of all reports since the last call; since: the time of that, time.time()."""
    texts = [path.read_text(errors="replace") for path in reports_folder(folder).glob("report.*")]
    shutil.rmtree(reports_folder(folder), ignore_errors=True)
    # A thread that waits in the kernel cannot be stopped to look for leaks, and that is told.
    texts = [text for text in texts if "ERROR: " in text or "WARNING: ThreadSanitizer" in text]
    # Beside libasan libubsan does not know of a log_path.
    for path in Path(folder).glob("*/stderr"):
        if path.stat().st_mtime >= since:
            texts += re.findall(r"^.* runtime error: .*\n(?: +#.*\n)*",
                                path.read_text(errors="replace"), re.MULTILINE)
    return texts
