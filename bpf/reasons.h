/* Why a thread leaves its CPU. */
#pragma once

#include "kernel.h"

#include "off_cpu_records.h"

#include "arch/x86_64.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* __TASK_STOPPED, __TASK_TRACED and TASK_FROZEN; include/linux/sched.h, as the next. */
#define TASK_HALTED 0x800c
#define TASK_DEAD 0x80
#define S_IFMT 0170000 /* include/uapi/linux/stat.h, as the next three */
#define S_IFSOCK 0140000
#define S_IFIFO 0010000
#define S_IFCHR 0020000

/* Returns the mode of the inode that an open descriptor of the task leads to; 0: there is none. */
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

/* Returns the reason of a task that is blocked or about to be. before: its last reason. */
static __always_inline enum denet_reason find_reason(struct task_struct *task, denet_u64 state,
                                                     enum denet_reason before) {
  if (state & TASK_HALTED)
    return DENET_REASON_OTHER;
  bool waits_for_io = BPF_CORE_READ_BITFIELD(task, in_iowait);
  if (task->flags & PF_KTHREAD)
    return waits_for_io ? DENET_REASON_DISK : DENET_REASON_OTHER;
  const struct pt_regs *registers = (const struct pt_regs *)bpf_task_pt_regs(task);
  denet_s64 call = get_call(registers);
  if (call < 0) /* outside of system calls only a page fault blocks */
    return DENET_REASON_FAULT;
  if (waits_for_io)
    return DENET_REASON_DISK;
  if (call == RESTART_SYSCALL)
    return before;
  if (call >= SYSCALLS || is_compat(task))
    return DENET_REASON_OTHER;
  denet_u32 reason = reason_of_call[call & (SYSCALLS - 1)];
  if (reason == DENET_REASON_ON_FILE)
    return find_reason_of_file(task, get_first_argument(registers));
  return reason == UNKNOWN ? DENET_REASON_OTHER : reason;
}
