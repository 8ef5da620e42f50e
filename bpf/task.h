/* What the programs ask of a task. */
#pragma once

#include "kernel.h"

#include "process_records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct process_key {
  denet_u64 pid, start_ns;
};

static __always_inline struct process_key key_of(struct task_struct *task) {
  struct process_key key = {task->tgid, task->group_leader->start_boottime};
  return key;
}

static __always_inline bool is_on_cpu(struct task_struct *task) {
  return bpf_core_field_exists(task->on_cpu) && task->on_cpu;
}

static __always_inline bool has_run_delay(void) {
  return bpf_core_field_exists(((struct task_struct *)0)->sched_info.run_delay);
}

/* Where the kernel has no CONFIG_SCHED_INFO this stays 0, and user space knows. */
static __always_inline denet_u64 read_run_delay(struct task_struct *task) {
  return has_run_delay() ? task->sched_info.run_delay : 0;
}

/* The clock of the run queue that the task is in or was in last, by which the scheduler itself
 * counts (rq_clock, kernel/sched/sched.h): set at each switch, and by ticks while the CPU is not
 * idle. 0: it cannot be had. */
static __always_inline denet_u64 read_queue_clock(struct task_struct *task) {
  if (!bpf_core_field_exists(task->se.cfs_rq) || !bpf_core_field_exists(struct cfs_rq, rq))
    return 0;
  return task->se.cfs_rq->rq->clock;
}

/* For how long a thread that is in a run queue has waited: the kernel adds it to run_delay once the
 * wait is over (sched_info_arrive, kernel/sched/stats.h). */
static __always_inline denet_u64 read_waiting(struct task_struct *task) {
  if (!bpf_core_field_exists(task->sched_info.last_queued))
    return 0;
  denet_u64 since_ns = task->sched_info.last_queued;
  denet_u64 now_ns = since_ns ? read_queue_clock(task) : 0;
  return now_ns > since_ns ? now_ns - since_ns : 0;
}

static __always_inline denet_u64 read_age(struct task_struct *task) {
  return bpf_ktime_get_ns() - task->start_time;
}
