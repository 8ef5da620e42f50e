"""Processes of known usage: the kernel's figures of each, and denet's."""

import json
import os
import time
from pathlib import Path

from harness import Workload, wait_until

# Keys of the spawner's rows, by series of a group and by key of a line.
OF_GROUP = {
    "ps_pagefaults": ("minflt", "majflt"),
    "contextswitch-voluntary": ("nvcsw",),
    "contextswitch-involuntary": ("nivcsw",),
    "io_octets": ("rchar", "wchar"),
    "io_ops": ("syscr", "syscw"),
    "disk_octets": ("read_bytes", "write_bytes"),
}
OF_LINE = {
    "page_faults_cached": "minflt",
    "page_faults_disk": "majflt",
    "ctx_switches_voluntary": "nvcsw",
    "ctx_switches_involuntary": "nivcsw",
    "syscall_read_bytes": "rchar",
    "syscall_write_bytes": "wchar",
    "disk_read_bytes": "read_bytes",
    "disk_write_bytes": "write_bytes",
}


class Spawner(Workload):
    """Runs programs and waits for each of them."""

    def __init__(self):
        super().__init__("spawner")
        self.pid_of = {}  # {role: pid} of the children of the last run's processes

    def run(self, *command, count=1, at_once=1):
        """One row of kernel figures for each process, in the order of their numbers."""
        self.tell(f"run {count} {at_once} {' '.join(map(str, command))}")
        rows, self.pid_of = [], {}
        for line in iter(self._read_answer, "done"):
            row = json.loads(line)
            if "role" in row:
                self.pid_of[row["role"]] = row["pid"]
            else:
                rows.append(row)
        return sorted(rows, key=lambda row: row["number"])


def prioritize(pid):
    """Other processes must not take the CPU from a process that needs all of it."""
    if os.geteuid():
        return
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), -15)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists() and "/autogroup-0 " not in group.read_text():
        group.write_text("-10")


def io_of(pid):
    text = Path(f"/proc/{pid}/io").read_text()
    return {key: int(number) for key, number in (line.split(": ") for line in text.splitlines())}


def sums(rows, keys):
    return [sum(row[key] for row in rows) for key in keys]


def end_of(row):
    """The value of "exit" in the process's last line."""
    return {kind: row[kind] for kind in ("code", "signal") if kind in row}


def cpu_us(rows):
    return sum(row["utime_us"] + row["stime_us"] for row in rows)


def differences(row, metrics):
    """{key: (denet's, the kernel's)} of the metrics that differ."""
    return {key: (metrics.get(key), row[name]) for key, name in OF_LINE.items()
            if metrics.get(key) != row[name]}


def totals(collectd, instance, exits):
    """{what: numbers} of each series of a group, once so many members have ended or some were lost."""
    def are_complete():
        ended = collectd.latest(instance, "derive-exits") or [0]
        return ended[0] >= exits or collectd.latest("_self", "derive-bpf_lost")[0]
    try:
        wait_until(are_complete, f"{exits} exits of {instance}")
    except AssertionError:
        pass  # the caller's assertion says more
    collectd.wait_for_values(instance, "ps_count", after=time.time())
    return {"-".join(filter(None, (value.type, value.type_instance))): value.numbers
            for value in sorted(collectd.all_values(), key=lambda value: value.time)
            if value.instance == instance}
