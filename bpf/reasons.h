/* Why a thread leaves its CPU. */
#pragma once

#include "kernel.h"

#include "off_cpu_records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define TASK_HALTED                                                                                \
  0x800c /* __TASK_STOPPED, __TASK_TRACED, TASK_FROZEN; include/linux/sched.h, as the next */
#define TASK_DEAD 0x80
#define TS_COMPAT 0x2  /* arch/x86/include/asm/thread_info.h: a 32-bit system call */
#define SYSCALLS 512   /* more than there are */
#define RESTARTED 219  /* restart_syscall(2): what it was before */
#define S_IFMT 0170000 /* include/uapi/linux/stat.h, as the next three */
#define S_IFSOCK 0140000
#define S_IFIFO 0010000
#define S_IFCHR 0020000

/* Of the system calls that block for one reason, by number
 * (arch/x86/entry/syscalls/syscall_64.tbl). Of a call on a file the file tells. */
enum { ON_FILE = DENET_REASONS, UNKNOWN = 0 };

static const unsigned char reason_of_call[SYSCALLS] = {
    /* read, write, pread64, pwrite64, readv, writev */
    [0] = ON_FILE,
    [1] = ON_FILE,
    [17] = ON_FILE,
    [18] = ON_FILE,
    [19] = ON_FILE,
    [20] = ON_FILE,
    /* preadv, pwritev, preadv2, pwritev2, sendfile, splice */
    [295] = ON_FILE,
    [296] = ON_FILE,
    [327] = ON_FILE,
    [328] = ON_FILE,
    [40] = ON_FILE,
    [275] = ON_FILE,
    /* msync, fsync, fdatasync, sync, io_getevents, sync_file_range, syncfs, io_pgetevents */
    [26] = DENET_REASON_DISK,
    [74] = DENET_REASON_DISK,
    [75] = DENET_REASON_DISK,
    [162] = DENET_REASON_DISK,
    [208] = DENET_REASON_DISK,
    [277] = DENET_REASON_DISK,
    [306] = DENET_REASON_DISK,
    [333] = DENET_REASON_DISK,
    /* semop, fcntl, flock, futex, semtimedop, futex_waitv, futex_wait */
    [65] = DENET_REASON_LOCK,
    [72] = DENET_REASON_LOCK,
    [73] = DENET_REASON_LOCK,
    [202] = DENET_REASON_LOCK,
    [220] = DENET_REASON_LOCK,
    [449] = DENET_REASON_LOCK,
    [455] = DENET_REASON_LOCK,
    /* nanosleep, clock_nanosleep */
    [35] = DENET_REASON_SLEEP,
    [230] = DENET_REASON_SLEEP,
    /* poll, select, pause, rt_sigtimedwait, rt_sigsuspend, epoll_wait, pselect6, ppoll,
     * epoll_pwait, io_uring_enter, epoll_pwait2 */
    [7] = DENET_REASON_POLL,
    [23] = DENET_REASON_POLL,
    [34] = DENET_REASON_POLL,
    [128] = DENET_REASON_POLL,
    [130] = DENET_REASON_POLL,
    [232] = DENET_REASON_POLL,
    [270] = DENET_REASON_POLL,
    [271] = DENET_REASON_POLL,
    [281] = DENET_REASON_POLL,
    [426] = DENET_REASON_POLL,
    [441] = DENET_REASON_POLL,
    /* connect, accept, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg, sendmmsg */
    [42] = DENET_REASON_NET,
    [43] = DENET_REASON_NET,
    [44] = DENET_REASON_NET,
    [45] = DENET_REASON_NET,
    [46] = DENET_REASON_NET,
    [47] = DENET_REASON_NET,
    [288] = DENET_REASON_NET,
    [299] = DENET_REASON_NET,
    [307] = DENET_REASON_NET,
    /* msgsnd, msgrcv, mq_timedsend, mq_timedreceive, tee, vmsplice */
    [69] = DENET_REASON_PIPE,
    [70] = DENET_REASON_PIPE,
    [242] = DENET_REASON_PIPE,
    [243] = DENET_REASON_PIPE,
    [276] = DENET_REASON_PIPE,
    [278] = DENET_REASON_PIPE,
    /* clone and vfork (of a child that has the memory for a while), wait4, waitid, clone3 */
    [56] = DENET_REASON_CHILD,
    [58] = DENET_REASON_CHILD,
    [61] = DENET_REASON_CHILD,
    [247] = DENET_REASON_CHILD,
    [435] = DENET_REASON_CHILD,
};

static __always_inline denet_u32 read_mode(struct task_struct *task, denet_u64 descriptor) {
  struct fdtable *table = BPF_CORE_READ(task, files, fdt);
  struct file **files = BPF_CORE_READ(table, fd), *file = 0;
  if (descriptor >= BPF_CORE_READ(table, max_fds))
    return 0;
  bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
  return BPF_CORE_READ(file, f_inode, i_mode);
}

static __always_inline enum denet_reason find_reason_of_file(struct task_struct *task,
                                                             denet_u64 descriptor) {
  switch (read_mode(task, descriptor) & S_IFMT) {
  case S_IFSOCK:
    return DENET_REASON_NET;
  case S_IFIFO:
    return DENET_REASON_PIPE;
  case S_IFCHR:
    return DENET_REASON_OTHER;
  case 0: /* eventfd, timerfd, signalfd, inotify (anon_inode_getfile, fs/anon_inodes.c) */
    return DENET_REASON_POLL;
  default:
    return DENET_REASON_DISK;
  }
}

/* Of a task that is blocked, or about to be; before: what it was blocked for the last time. */
static __always_inline enum denet_reason find_reason(struct task_struct *task, denet_u64 state,
                                                     enum denet_reason before) {
  if (state & TASK_HALTED)
    return DENET_REASON_OTHER;
  bool waits_for_io = BPF_CORE_READ_BITFIELD(task, in_iowait);
  if (task->flags & PF_KTHREAD)
    return waits_for_io ? DENET_REASON_DISK : DENET_REASON_OTHER;
  struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);
  denet_s64 call = registers->orig_ax;
  if (call < 0) /* no system call, and only a fault blocks */
    return DENET_REASON_FAULT;
  if (waits_for_io)
    return DENET_REASON_DISK;
  if (call == RESTARTED)
    return before;
  if (call >= SYSCALLS || task->thread_info.status & TS_COMPAT)
    return DENET_REASON_OTHER;
  denet_u32 reason = reason_of_call[call & (SYSCALLS - 1)];
  if (reason == ON_FILE)
    return find_reason_of_file(task, registers->di);
  return reason == UNKNOWN ? DENET_REASON_OTHER : reason;
}
