/* Reads a task_struct (include/linux/sched.h): key, state, run delay, age. Declares maps. */
#pragma once

#include "kernel.h"

#include "process_records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The key of a process in maps: pids are used again. start_ns: the main thread's start_boottime. */
struct process_key {
  denet_u64 pid, start_ns;
};

static __always_inline struct process_key key_of(struct task_struct *task) {
  struct process_key key = {task->tgid, task->group_leader->start_boottime};
  return key;
}

/* The head of a record or event of the task's process. */
static __always_inline struct denet_bpf_head make_head(struct task_struct *task, denet_u32 kind) {
  struct denet_bpf_head head = {kind, task->tgid, task->group_leader->start_boottime};
  return head;
}

/* task->on_cpu exists with CONFIG_SMP. */
static __always_inline bool is_on_cpu(struct task_struct *task) {
  return bpf_core_field_exists(task->on_cpu) && task->on_cpu;
}

static __always_inline bool has_run_delay(void) {
  return bpf_core_field_exists(((struct task_struct *)0)->sched_info.run_delay);
}

/* Returns the time that the task has waited in run queues (ns), without a wait that goes on. 0
 * without CONFIG_SCHED_INFO: user space then leaves the metric out. */
static __always_inline denet_u64 read_run_delay(struct task_struct *task) {
  return has_run_delay() ? task->sched_info.run_delay : 0;
}

/* Returns the clock of the run queue that the task is in or was in last (rq->clock, ns), with which
 * the scheduler measures (rq_clock(), kernel/sched/sched.h). It advances at each switch, and at
 * timer ticks while the CPU is not idle. 0: cfs_rq has no rq (no CONFIG_FAIR_GROUP_SCHED). */
static __always_inline denet_u64 read_queue_clock(struct task_struct *task) {
  if (!bpf_core_field_exists(task->se.cfs_rq) || !bpf_core_field_exists(struct cfs_rq, rq))
    return 0;
  return task->se.cfs_rq->rq->clock;
}

static __always_inline denet_u64 read_state(struct task_struct *task) {
  const struct task_struct___state *old = (void *)task;
  if (bpf_core_field_exists(old->state))
    return BPF_CORE_READ(old, state);
  return task->__state;
}

/* Returns how long a runnable task has waited for a CPU so far. The kernel adds it to run_delay at
 * the end of the wait (sched_info_arrive(), kernel/sched/stats.h). Since Linux 6.12 a task that
 * sleeps may have last_queued too: it stays in its queue for a while (sched_delayed), and another
 * CPU may take it over. */
static __always_inline denet_u64 read_waiting(struct task_struct *task) {
  if (!bpf_core_field_exists(task->sched_info.last_queued) || read_state(task))
    return 0;
  denet_u64 since_ns = task->sched_info.last_queued;
  denet_u64 now_ns = since_ns ? read_queue_clock(task) : 0;
  return now_ns > since_ns ? now_ns - since_ns : 0;
}

/* Returns ns since the start of the task on CLOCK_MONOTONIC, which stops while the host is
 * suspended. */
static __always_inline denet_u64 read_age(struct task_struct *task) {
  return bpf_ktime_get_ns() - task->start_time;
}

#define RING(name, bytes)                                                                          \
  struct {                                                                                         \
    __uint(type, BPF_MAP_TYPE_RINGBUF);                                                            \
    __uint(max_entries, bytes);                                                                    \
  } name SEC(".maps")

/* A hash of processes, whose memory is taken as it is used. */
#define PROCESS_MAP(name, most, value_type)                                                        \
  struct {                                                                                         \
    __uint(type, BPF_MAP_TYPE_HASH);                                                               \
    __uint(map_flags, BPF_F_NO_PREALLOC);                                                          \
    __uint(max_entries, most);                                                                     \
    __type(key, struct process_key);                                                               \
    __type(value, value_type);                                                                     \
  } name SEC(".maps")

/* One value for each CPU: room for what a BPF stack, which has 512 bytes, is too small for. */
#define CPU_BUFFER(name, value_type)                                                               \
  struct {                                                                                         \
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                       \
    __uint(max_entries, 1);                                                                        \
    __type(key, denet_u32);                                                                        \
    __type(value, value_type);                                                                     \
  } name SEC(".maps")
