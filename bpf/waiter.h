/* What the kernel keeps of each followed thread, and the sums of threads that have exited. */
#pragma once

#include "reasons.h"
#include "task.h"

/* Losses, read by user space. */
denet_u64 lost_threads = 0;   /* no memory to follow the thread */
denet_u64 lost_processes = 0; /* no room for the sums of its exited threads */
denet_u64 lost_stacks = 0;    /* no room in the ring */
denet_u64 lost_ends = 0;      /* likewise */

struct waiter {
  struct denet_wait_stats stats;
  denet_u64 off_since_ns;                /* when it left its CPU; 0: it is on one */
  denet_u64 run_delay_ns;                /* its run queue delay then */
  denet_u64 unsampled_ns[DENET_REASONS]; /* in intervals that are over, since the last sample */
  denet_u64 sampled_ns;                  /* of the interval that goes on, up to its last sample */
  denet_u32 reason;
  denet_u32 is_sampled; /* its stacks are wanted */
  denet_u64 jitter;     /* length of the next period, in 256ths, by chance; 0: the whole period */
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct waiter);
} waiters SEC(".maps");

/* Sums of the threads of one process that have exited. */
struct exited_threads {
  struct denet_wait_stats stats;
  denet_u64 session; /* the iterator's last run that has listed them */
};

PROCESS_MAP(exited_threads, DENET_OFF_CPU_EXITED_MOST, struct exited_threads);

static __always_inline void count(denet_u64 *losses) { __sync_fetch_and_add(losses, 1); }

/* Returns what is kept of the task; NULL: it is not followed. Most tasks have no storage at all,
 * which one look shows. */
static __always_inline struct waiter *find_waiter(struct task_struct *task) {
  if (bpf_core_field_exists(task->bpf_storage) && !task->bpf_storage)
    return 0;
  return bpf_task_storage_get(&waiters, task, 0, 0);
}

static __always_inline struct waiter *make_waiter(struct task_struct *task) {
  struct waiter *waiter = bpf_task_storage_get(&waiters, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!waiter)
    count(&lost_threads);
  return waiter;
}

/* Finds or makes the sums of the process's exited threads; NULL: no memory. */
static __always_inline struct exited_threads *make_exited_threads(const struct process_key *key) {
  struct exited_threads none = {};
  bpf_map_update_elem(&exited_threads, key, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&exited_threads, key);
}

static __always_inline void add_stats(struct denet_wait_stats *sum,
                                      const struct denet_wait_stats *part) {
  for (int i = 0; i < DENET_REASONS; i++)
    __sync_fetch_and_add(&sum->time_ns[i], part->time_ns[i]);
  if (part->longest_ns > sum->longest_ns)
    sum->longest_ns = part->longest_ns;
  if (part->count && (!sum->count || part->shortest_ns < sum->shortest_ns))
    sum->shortest_ns = part->shortest_ns;
  __sync_fetch_and_add(&sum->count, part->count);
}

/* A time off the CPU that is over or goes on. */
struct interval {
  denet_u64 off_ns;
  denet_u64 queued_ns;  /* of it, in the run queue */
  denet_u64 blocked_ns; /* the rest */
  denet_u32 reason;     /* of the rest */
};

/* The rest of an interval for the reason RUNQUEUE is OTHER: the thread was being made or moved. */
static __always_inline struct interval make_interval(denet_u32 reason, denet_u64 off_ns,
                                                     denet_u64 queued_ns) {
  struct interval interval = {.off_ns = off_ns, .reason = reason};
  bool is_runnable = reason == DENET_REASON_RUNQUEUE;
  if (is_runnable)
    interval.reason = DENET_REASON_OTHER;
  if (queued_ns > off_ns || (is_runnable && !has_run_delay()))
    queued_ns = off_ns;
  interval.queued_ns = queued_ns;
  interval.blocked_ns = off_ns - queued_ns;
  return interval;
}

/* Adds an interval's time; stats->count has it since it began. */
static __always_inline void add_interval(struct denet_wait_stats *stats,
                                         const struct interval *interval) {
  denet_u64 off_ns = interval->off_ns, reason = interval->reason;
  barrier_var(reason); /* the value that is compared must be the one that is used */
  stats->time_ns[DENET_REASON_RUNQUEUE] += interval->queued_ns;
  if (reason < DENET_REASONS)
    stats->time_ns[reason] += interval->blocked_ns;
  if (off_ns > stats->longest_ns)
    stats->longest_ns = off_ns;
  if (off_ns < stats->shortest_ns || !stats->shortest_ns)
    stats->shortest_ns = off_ns;
}
