#!/usr/bin/env python3
"""Writes the binary seeds: scripts of kernel events, records, ELF files. Needs gcc, binutils and
xz."""

import struct
import subprocess
import tempfile
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"


def put(target, name, *parts):
    data = b"".join(part if isinstance(part, bytes) else part.encode() if isinstance(part, str)
                    else bytes([part]) for part in parts)
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data)


# --- events: steps as kernel.c takes them ---

def begin(slot, name, age=9, parent=1, is_fork=0, uid=0):
    return b"b" + bytes([slot, age, parent, 1, is_fork, uid, 1]) + name.encode().ljust(4, b"\0")


def change(slot, cost=3, threads=1, more=1, state=0, code=0):
    return b"c" + bytes([slot, cost, 60, threads, more, state, 0, 5, 50, code])


def rename(slot, name):
    return b"n" + bytes([slot]) + name.encode().ljust(4, b"\0")


def texts(slot, arguments, executable=b"sh\0bin\0", cgroup=b"a.service\0system.slice\0"):
    sizes = bytes([slot, len(arguments), len(executable), len(cgroup)])
    return b"t" + sizes + arguments + executable + cgroup


def ends(slot, has_event=1):
    return b"x" + bytes([slot, 3, 4]) + b"d" + bytes([slot, has_event])


def waits(slot, reason=2, tid=7):
    return b"o" + bytes([slot, reason, 40, 1, 3, tid, reason, 9]) + b"thr\0"


def stack(slot, said, names):
    return b"s" + bytes([slot, said, len(names)]) + names


def later(steps):
    return b"w" + bytes([steps])


def put_events():
    put("events", "one_life", 0, "T", begin(3, "sh", 0), texts(3, b"sh\0-c\0sleep 1\0"), "HTA",
        later(5), change(3), "T", later(30), "A", ends(3), "TA")
    put("events", "fork_and_exec", 1, begin(1, "a"), texts(1, b"a\0"), "TA",
        begin(2, "a", 0, 1, 1), "f", 2, "T", later(3), change(2), texts(2, b"bash\0", b"bash\0"),
        "HTA", later(40), "A")
    put("events", "born_and_died", 0, "TA", later(30), begin(5, "job", 1), "f", 5,
        texts(5, b"job\x007\0", b"job\0", b"\0"), change(5, 200, 0, 0, 2, 9), ends(5), "TA")
    put("events", "pid_reused", 0, begin(4, "aa"), texts(4, b"aa\0"), "TA", later(10), ends(4, 0),
        begin(4, "ab", 0), texts(4, b"ab\0"), "TA", later(250), later(250), "TA")
    put("events", "zombie", 0, begin(6, "ah"), texts(6, b"ah\0", b"ah\0"), "TA",
        change(6, 3, 0, 1, 2, 139), "x", 6, 1, 0, "TA", "q", ends(6, 0), "TA")
    put("events", "leaves_and_comes_back", 0, begin(1, "a"), texts(1, b"a\0"), "TA",
        begin(2, "a", 1, 1, 1), "TA", later(5), rename(1, "b"), "TA", later(5), rename(1, "a"),
        "TA", rename(2, "b"), "TA")
    put("events", "more_than_may_be", 0, *(begin(slot, f"{slot}h") for slot in range(6)),
        *(texts(slot, b"h\0", b"h\0", b"%d.service\0" % slot) for slot in range(6)), "TA", ends(0),
        "TA", later(255), "TA", begin(7, "7h"), texts(7, b"h\0", b"h\0", b"7.service\0"), "TA")
    put("events", "stacks", 0, begin(7, "w", 20), texts(7, b"w\0"), "TA", waits(7), "T",
        stack(7, 12, b"read\0main\0.."), "TA", "e", 7, 1, 0, ends(7), "TA")
    put("events", "stack_before_its_process", 0, "T", begin(7, "w", 0), stack(7, 5, b"read\0"),
        "T", texts(7, b"w\0"), "TTA")
    put("events", "stack_cut_short", 0, begin(7, "w", 20), texts(7, b"w\0"), "TA",
        stack(7, 200, b"x"), "e", 7, 1, 255, "TA")
    put("events", "list_cut_short", 0, begin(1, "a"), begin(2, "h"), begin(9, "hh", 9, 2, 1), "TA",
        "k", 100, "TA", later(50), "TA")
    put("events", "events_lost", 0, begin(1, "a"), "TA", "l", "d", 1, 0, later(255), later(255),
        "TA", later(255), "TA")


def head(kind, pid, start):
    return struct.pack("<IIQ", kind, pid, start)


def put_raw_events():
    bytes_of_texts = (head(5, 7, 70) + struct.pack("<QIIII", 1, 0, 6, 5, 7)
                      + b"name".ljust(16, b"\0") + b"a\0b\0\0\0" + b"sh\0b\0" + b"c\0b\0\0\0\0")
    size = len(bytes_of_texts)
    put("events", "raw_texts", 0, "r", size, bytes_of_texts)
    put("events", "raw_texts_that_lie", 0, "r", size - 1, bytes_of_texts[:-1], "r", 8,
        bytes_of_texts[:8])
    put("events", "raw_fork_without_pid", 0, *(b"r\x18" + head(kind, pid, 1) + bytes(8)
                                               for kind, pid in ((4, 0), (4, 1 << 31), (9, 1))))


# --- off_cpu: records as bpf/off_cpu.h has them ---

def put_records():
    sums = struct.pack("<10Q", *range(10)) + struct.pack("<QQQ", 3, 9, 1)
    place = (struct.pack("<QIIQ", 1, 43, 2, 5000) + struct.pack("<17Q", *range(17))
             + b"worker".ljust(16, b"\0"))
    thread = head(1, 42, 7) + sums + place + struct.pack("<Q", 11)
    exited = sums + struct.pack("<Q", 1)
    sample = head(3, 42, 7) + place + struct.pack("<Q", 13) + b"futex\0main\0\xff"
    put("off_cpu", "records", head(2, 42, 7) + exited, thread, thread)
    put("off_cpu", "record_cut_short", head(2, 42, 7) + exited, thread[:-1])
    put("off_cpu", "end", head(4, 42, 7) + exited)
    put("off_cpu", "stack", sample, 0)
    put("off_cpu", "stack_that_lies", sample)
    put("off_cpu", "list_of_tasks", head(1, 42, 7), 1, bytes(23), head(3, 42, 0), 2, bytes(143))


# --- elf: small programs ---

PROGRAM = """
static int leaf(int x) { return x * 3; }
int middle(int x) { volatile int y = x; return leaf(y) + 1; }
int _Z6middlei(int x) { return middle(x) + 2; }
void _start(void) { _Z6middlei(7); for (;;); }
"""
# Frames with expressions: an address on the stack, as in .plt, lost, moved and computed registers;
# and a frame of a signal.
FRAMES = """
.globl _start
_start:
 .cfi_startproc
 .cfi_escape 0x0f,3,0x77,8,6
 .cfi_escape 0x10,16,2,0x77,16
 .cfi_escape 0x16,6,4,0x77,0,0x35,0x1c
 nop; nop; nop; nop
 .cfi_escape 0x0f,11,0x77,8,0x80,0,0x3f,0x1a,0x3b,0x2a,0x33,0x24,0x22
 nop; nop; nop; nop
 .cfi_def_cfa 7,16
 .cfi_offset 16,-8
 .cfi_remember_state
 .cfi_undefined 3
 .cfi_register 12,13
 .cfi_escape 0x16,13,6,0x9c,0x31,0x2b,0x32,0x2d,0x2c
 nop; nop; nop; nop
 .cfi_restore_state
 hlt
 .cfi_endproc
handler:
 .cfi_startproc
 .cfi_signal_frame
 .cfi_undefined 16
 nop; nop
 .cfi_endproc
"""
# A register number for which one frame would take a gigabyte.
REGISTER = """
.globl _start
_start:
 .cfi_startproc
 .cfi_escape 0x07,0x80,0x80,0x80,0x20
 .rept 4
 .cfi_remember_state
 .endr
 nop
 .cfi_endproc
"""
LINK = "-nostdlib -static -no-pie -Wl,-n,-z,noseparate-code,--build-id=none"


def put_programs():
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "a.c").write_text(PROGRAM)
        (folder / "a.s").write_text(FRAMES)
        (folder / "b.s").write_text(REGISTER)

        def run(command):
            subprocess.run(command, shell=True, cwd=folder, check=True)

        compile_it = f"gcc -O1 -fno-inline -fdebug-prefix-map={folder}=. a.c"
        run(f"{compile_it} {LINK} -o symbols && strip -g symbols")
        run(f"{compile_it} -g {LINK} -o lines")
        run(f"{compile_it} -g -gz=zlib {LINK} -o compressed")
        run(f"{compile_it} -g -fno-asynchronous-unwind-tables {LINK} -o debug_frame")
        run(f"{compile_it} -fPIC -shared -nostdlib -Wl,-z,noseparate-code -o dynamic "
            "&& strip dynamic")
        run("xz -0 --check=crc32 -c symbols >packed.xz && cp symbols packed && strip packed "
            "&& objcopy --add-section .gnu_debugdata=packed.xz packed")
        run(f"gcc -c a.s b.s && gcc a.o {LINK} -o expressions")
        run(f"gcc b.o {LINK} -o register_without_end")
        for name in ("symbols", "lines", "compressed", "debug_frame", "dynamic", "packed",
                     "expressions", "register_without_end"):
            run(f"objcopy -R .comment {name}")
            put("elf", name, (folder / name).read_bytes())


if __name__ == "__main__":
    put_events()
    put_raw_events()
    put_records()
    put_programs()
