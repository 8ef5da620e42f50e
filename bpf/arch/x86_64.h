/* What the programs have to know of x86-64: its user registers and the numbers of its system calls.
 * Another architecture is another file with the same names. */
#pragma once

#include "../kernel.h"

#include "../off_cpu_records.h"

#include <asm/unistd_64.h>

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

/* The reason of each system call that blocks for one reason only. ON_FILE: the kind of file
 * decides. CHILD with clone() and vfork(): until the child gives the memory back. */
enum { UNKNOWN = 0, DENET_REASON_ON_FILE = DENET_REASONS };

#define CALL(name, reason) [__NR_##name] = DENET_REASON_##reason
#define __NR_futex_wait 455 /* since Linux 6.7 */

/* clang-format off */
static const unsigned char reason_of_call[SYSCALLS] = {
    CALL(read, ON_FILE), CALL(write, ON_FILE), CALL(pread64, ON_FILE), CALL(pwrite64, ON_FILE),
    CALL(readv, ON_FILE), CALL(writev, ON_FILE), CALL(sendfile, ON_FILE), CALL(splice, ON_FILE),
    CALL(preadv, ON_FILE), CALL(pwritev, ON_FILE), CALL(preadv2, ON_FILE), CALL(pwritev2, ON_FILE),
    CALL(msync, DISK), CALL(fsync, DISK), CALL(fdatasync, DISK), CALL(sync, DISK),
    CALL(io_getevents, DISK), CALL(sync_file_range, DISK), CALL(syncfs, DISK),
    CALL(io_pgetevents, DISK),
    CALL(semop, LOCK), CALL(fcntl, LOCK), CALL(flock, LOCK), CALL(futex, LOCK),
    CALL(semtimedop, LOCK), CALL(futex_waitv, LOCK), CALL(futex_wait, LOCK),
    CALL(nanosleep, SLEEP), CALL(clock_nanosleep, SLEEP),
    CALL(poll, POLL), CALL(select, POLL), CALL(pause, POLL), CALL(rt_sigtimedwait, POLL),
    CALL(rt_sigsuspend, POLL), CALL(epoll_wait, POLL), CALL(pselect6, POLL), CALL(ppoll, POLL),
    CALL(epoll_pwait, POLL), CALL(io_uring_enter, POLL), CALL(epoll_pwait2, POLL),
    CALL(connect, NET), CALL(accept, NET), CALL(sendto, NET), CALL(recvfrom, NET),
    CALL(sendmsg, NET), CALL(recvmsg, NET), CALL(accept4, NET), CALL(recvmmsg, NET),
    CALL(sendmmsg, NET),
    CALL(msgsnd, PIPE), CALL(msgrcv, PIPE), CALL(mq_timedsend, PIPE), CALL(mq_timedreceive, PIPE),
    CALL(tee, PIPE), CALL(vmsplice, PIPE),
    CALL(clone, CHILD), CALL(vfork, CHILD), CALL(wait4, CHILD), CALL(waitid, CHILD),
    CALL(clone3, CHILD),
};
/* clang-format on */
