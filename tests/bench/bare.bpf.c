/* The yardstick: a task iterator that only copies fields out. No look at other threads, no exact
 * RSS, no per-CPU parts: what a pass over the host costs at the very least in this way. */
#include <linux/bpf.h>

#include "bare.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Just the fields that are read: CO-RE finds the real offsets (names as in include/linux/sched.h).
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_io_accounting {
  __u64 rchar, wchar, syscr, syscw, read_bytes, write_bytes;
};

struct sched_info {
  unsigned long long run_delay;
};

struct sched_entity {
  __u64 sum_exec_runtime;
};

struct mm_struct {
  unsigned long total_vm;
};

struct task_struct {
  unsigned int flags;
  struct sched_entity se;
  struct sched_info sched_info;
  struct mm_struct *mm;
  int exit_state;
  int pid, tgid;
  struct task_struct *real_parent;
  __u64 utime, stime;
  unsigned long nvcsw, nivcsw, min_flt, maj_flt;
  __u64 start_boottime;
  char comm[16];
  struct task_io_accounting ioac;
};

struct seq_file;

struct bpf_iter_meta {
  struct seq_file *seq;
};

struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};

#pragma clang attribute pop

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  struct mm_struct *mm = task->mm;
  struct bare_record record = {
      .pid = task->pid,
      .tgid = task->tgid,
      .start_ns = task->start_boottime,
      .run_ns = task->se.sum_exec_runtime,
      .user_ns = task->utime,
      .system_ns = task->stime,
      .switches_voluntary = task->nvcsw,
      .switches_involuntary = task->nivcsw,
      .minor_faults = task->min_flt,
      .major_faults = task->maj_flt,
      .read_chars = task->ioac.rchar,
      .write_chars = task->ioac.wchar,
      .read_calls = task->ioac.syscr,
      .write_calls = task->ioac.syscw,
      .read_bytes = task->ioac.read_bytes,
      .write_bytes = task->ioac.write_bytes,
      .run_delay_ns = task->sched_info.run_delay,
      .flags = task->flags,
      .exit_state = task->exit_state,
      .parent_tgid = task->real_parent->tgid,
      .vm_pages = mm ? mm->total_vm : 0,
  };
  bpf_core_read(&record.comm, sizeof(record.comm), &task->comm);
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
