"""Plugins with a sanitizer in a collectd without: the runtime libraries, and their reports."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

# The variable and the settings of each runtime library.
SETTINGS = {
    "libasan": ("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1:"
                "fast_unwind_on_malloc=0"),
    "libubsan": ("UBSAN_OPTIONS", "print_stacktrace=1"),
    # collectd and most libraries are not instrumented: what they do is ignored.
    "libtsan": ("TSAN_OPTIONS", "ignore_noninstrumented_modules=1:second_deadlock_stack=1"),
}
REPORTS = "sanitizer"  # the folder of reports


@functools.lru_cache
def runtimes(plugins):
    """Returns the sanitizer libraries that the plugins in the folder need: {"libasan": path}."""
    text = subprocess.run(["ldd", str(Path(plugins, "denet.so"))], capture_output=True,
                          text=True).stdout
    return {name: path for name, path in re.findall(r"\s(lib\w+)\.so\S* => (/\S+)", text)
            if name in SETTINGS}


def is_for_threads(plugins):
    return "libtsan" in runtimes(plugins)


def prefix(plugins, folder, others):
    """Returns the words before a command that load the runtimes and other libraries into it. The
    runtimes write their reports into the folder."""
    found = runtimes(plugins)
    # libubsan is loaded with the plugin.
    libraries = [path for name, path in found.items() if name != "libubsan"] + list(others)
    if not libraries:
        return []
    reports = Path(folder, REPORTS)
    reports.mkdir(exist_ok=True)
    settings = [f"{variable}={options}:log_path={reports}/report"
                for variable, options in (SETTINGS[name] for name in found)]
    # The thread sanitizer needs fixed addresses, which a random layout may use.
    fixed = ["setarch", "-R"] if is_for_threads(plugins) else []
    return [*fixed, "env", f"LD_PRELOAD={':'.join(libraries)}", *settings]


def take_reports(folder, since):
    """Returns the texts of all reports since the last call, whose time was since."""
    texts = [path.read_text(errors="replace") for path in Path(folder, REPORTS).glob("report.*")]
    shutil.rmtree(Path(folder, REPORTS), ignore_errors=True)
    # Some reports only say that a thread in the kernel could not be stopped for the leak check.
    texts = [text for text in texts if "ERROR: " in text or "WARNING: ThreadSanitizer" in text]
    # Together with libasan, libubsan ignores log_path.
    for path in Path(folder).glob("*/stderr"):
        if path.stat().st_mtime >= since:
            texts += re.findall(r"^.* runtime error: .*\n(?: +#.*\n)*",
                                path.read_text(errors="replace"), re.MULTILINE)
    return texts
