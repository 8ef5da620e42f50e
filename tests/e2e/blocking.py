"""Programs that know how long they were blocked and why, and what denet made of it."""

import os
from pathlib import Path

from harness import MIB, Collectd, every, program, rule

PACE = every(0.2)
WRITE = "FlushInterval 0.1\n"

# What a program does to block, and the reason that denet has for it.
REASON_OF = {"futex": "lock", "nanosleep": "sleep", "epoll": "poll", "net": "net", "pipe": "pipe",
             "event": "poll", "child": "child", "disk": "disk", "fsync": "disk", "fault": "fault"}
REASONS = {"runqueue", "disk", "lock", "sleep", "poll", "net", "pipe", "child", "fault", "other"}
NOT_SAMPLED = ["[not sampled]"]  # the frames of time without a stack
ON_DISK = {"disk", "fsync", "fault"}


def blocker_rule(name, kind, *lines):
    return rule(name, f'CommandLine "^{program("blocker")} {kind}( |$)"', "Children false", *lines)


def start(case, mode, rules, **more):
    """Starts a collectd for the tests of a case, with that off-CPU mode."""
    return case.enterClassContext(
        Collectd(f'{PACE}OffCPU "{mode}"\n{rules}', WRITE, **more))


def last_cpu():
    """One CPU, for what is to wait for it: the other is left to the rest of the host."""
    return {max(os.sched_getaffinity(0))}


def data_file(folder, name):
    path = Path(folder, name)
    with path.open("wb") as file:
        file.write(os.urandom(32 * MIB))
        os.fsync(file.fileno())
    return str(path)


def off_cpu(line):
    """ebpf.offcpu of a sample."""
    return line["ebpf"]["offcpu"]


def blocked(line):
    """What the stacks mode makes of the blocked time: all but the wait for a CPU."""
    return off_cpu(line)["total_time_ns"] - off_cpu(line)["by_reason"].get("runqueue", 0)


def increase(lines, value):
    """From the first line to the last, of a key or of what a function makes of a line."""
    of = value if callable(value) else lambda line: line[value]
    return of(lines[-1]) - of(lines[0])


def wall_ns(lines):
    return increase(lines, "ts_ms") * 1e6


def time_in_stacks(lines, reason=None):
    """ns of all stacks of the lines, or of those of a reason."""
    return sum(stack["time_ns"] for line in lines for stack in off_cpu(line)["stacks"]
               if reason in (None, stack["reason"]))


def time_not_sampled(lines):
    """ns for which there is no stack."""
    return sum(stack["time_ns"] for line in lines for stack in off_cpu(line)["stacks"]
               if stack["frames"] == NOT_SAMPLED)
