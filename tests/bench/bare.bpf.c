/* The yardstick of tick.py: a task iterator that only copies fields of each task. It reads no other
 * thread, no exact RSS and no counters per CPU: no pass over the host in this way can cost less. */
#include "../../bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct bare_record {
  __u32 pid, tgid;
  __u64 start_ns, run_ns, user_ns, system_ns;
  __u64 switches_voluntary, switches_involuntary;
  __u64 minor_faults, major_faults;
  __u64 read_chars, write_chars, read_calls, write_calls, read_bytes, write_bytes;
  __u64 run_delay_ns;
  char comm[16];
  __u32 flags, exit_state, parent_tgid;
  __u32 vm_pages; /* 0: no memory of its own (kernel threads, zombies) */
};

_Static_assert(sizeof(struct bare_record) == 160, "RECORD_BYTES of bare.c");

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
