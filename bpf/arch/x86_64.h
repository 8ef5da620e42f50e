/* What the programs have to know of x86-64: its user registers and the numbers of its system calls.
 * Another architecture is another file with the same names. */
#pragma once

#include "../kernel.h"

#include "../off_cpu_records.h"

#define TS_COMPAT 0x2       /* arch/x86/include/asm/thread_info.h: a 32-bit system call */
#define RESTART_SYSCALL 219 /* restart_syscall(2): goes on with the call before */
#define SYSCALLS 512        /* more than there are; a power of two */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86/include/asm/ptrace.h */
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, sp;
};

#pragma clang attribute pop

/* Returns whether the thread is in a 32-bit system call, whose numbers and registers differ. */
static __always_inline bool is_compat(struct task_struct *task) {
  return task->thread_info.status & TS_COMPAT;
}

/* Returns the number of the system call that the registers were saved in; negative: it was none. */
static __always_inline denet_s64 get_call(const struct pt_regs *registers) {
  return registers->orig_ax;
}

static __always_inline denet_u64 get_first_argument(const struct pt_regs *registers) {
  return registers->di;
}

/* Copies the registers, in the order of DWARF's numbers (System V ABI, AMD64 supplement, figure
 * 3.36). */
static __always_inline void copy_registers(const struct pt_regs *from, denet_u64 *to) {
  to[0] = from->ax, to[1] = from->dx, to[2] = from->cx, to[3] = from->bx;
  to[4] = from->si, to[5] = from->di, to[6] = from->bp, to[7] = from->sp;
  to[8] = from->r8, to[9] = from->r9, to[10] = from->r10, to[11] = from->r11;
  to[12] = from->r12, to[13] = from->r13, to[14] = from->r14, to[15] = from->r15;
  to[16] = from->ip;
}

/* The reason of each system call that blocks for one reason only, by number
 * (arch/x86/entry/syscalls/syscall_64.tbl). ON_FILE: the kind of file decides. */
enum { UNKNOWN = 0, ON_FILE = DENET_REASONS };

/* clang-format off */
static const unsigned char reason_of_call[SYSCALLS] = {
    /* read, write, pread64 to writev, sendfile, splice, preadv, pwritev, preadv2, pwritev2 */
    [0] = ON_FILE, [1] = ON_FILE, [17 ... 20] = ON_FILE, [40] = ON_FILE, [275] = ON_FILE,
    [295] = ON_FILE, [296] = ON_FILE, [327] = ON_FILE, [328] = ON_FILE,
    /* msync, fsync, fdatasync, sync, io_getevents, sync_file_range, syncfs, io_pgetevents */
    [26] = DENET_REASON_DISK, [74] = DENET_REASON_DISK, [75] = DENET_REASON_DISK,
    [162] = DENET_REASON_DISK, [208] = DENET_REASON_DISK, [277] = DENET_REASON_DISK,
    [306] = DENET_REASON_DISK, [333] = DENET_REASON_DISK,
    /* semop, fcntl, flock, futex, semtimedop, futex_waitv, futex_wait */
    [65] = DENET_REASON_LOCK, [72] = DENET_REASON_LOCK, [73] = DENET_REASON_LOCK,
    [202] = DENET_REASON_LOCK, [220] = DENET_REASON_LOCK, [449] = DENET_REASON_LOCK,
    [455] = DENET_REASON_LOCK,
    /* nanosleep, clock_nanosleep */
    [35] = DENET_REASON_SLEEP, [230] = DENET_REASON_SLEEP,
    /* poll, select, pause, rt_sigtimedwait, rt_sigsuspend, epoll_wait, pselect6, ppoll,
     * epoll_pwait, io_uring_enter, epoll_pwait2 */
    [7] = DENET_REASON_POLL, [23] = DENET_REASON_POLL, [34] = DENET_REASON_POLL,
    [128] = DENET_REASON_POLL, [130] = DENET_REASON_POLL, [232] = DENET_REASON_POLL,
    [270] = DENET_REASON_POLL, [271] = DENET_REASON_POLL, [281] = DENET_REASON_POLL,
    [426] = DENET_REASON_POLL, [441] = DENET_REASON_POLL,
    /* connect to recvmsg, accept4, recvmmsg, sendmmsg */
    [42 ... 47] = DENET_REASON_NET, [288] = DENET_REASON_NET, [299] = DENET_REASON_NET,
    [307] = DENET_REASON_NET,
    /* msgsnd, msgrcv, mq_timedsend, mq_timedreceive, tee, vmsplice */
    [69] = DENET_REASON_PIPE, [70] = DENET_REASON_PIPE, [242] = DENET_REASON_PIPE,
    [243] = DENET_REASON_PIPE, [276] = DENET_REASON_PIPE, [278] = DENET_REASON_PIPE,
    /* clone and vfork (until the child gives the memory back), wait4, waitid, clone3 */
    [56] = DENET_REASON_CHILD, [58] = DENET_REASON_CHILD, [61] = DENET_REASON_CHILD,
    [247] = DENET_REASON_CHILD, [435] = DENET_REASON_CHILD,
};
/* clang-format on */
