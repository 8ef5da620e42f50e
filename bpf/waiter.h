/* What is kept of each thread that is followed, and sums of it. */
#pragma once

#include "reasons.h"
#include "task.h"

/* What could not be told. */
denet_u64 lost_threads = 0;   /* there was no memory to follow them */
denet_u64 lost_processes = 0; /* there was no room for the sums of their exited threads */
denet_u64 lost_stacks = 0;    /* there was no room in the ring */
denet_u64 lost_ends = 0;      /* likewise */

struct waiter {
  struct denet_wait_stats waits;
  denet_u64 left_ns;      /* when it left its CPU; 0: it is on one, or nobody knows since when */
  denet_u64 run_delay_ns; /* that it had then */
  denet_u64 untold_ns[DENET_REASONS]; /* of absences that are over, no stack told yet */
  denet_u64 told_ns;                  /* of the one since left_ns, what a stack was taken for */
  denet_u32 reason;
  denet_u32 is_sampled; /* its stacks are wanted too */
  denet_u64 jitter;     /* 256ths of the period until its next stack, by chance; 0: all of it */
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct waiter);
} waiters SEC(".maps");

/* Of a process with several threads: the sums of those that have exited. */
struct exited_threads {
  struct denet_wait_stats waits;
  denet_u64 untold_ns[DENET_REASONS];  /* no stack told: the next thread's stand for it */
  denet_u64 telling_ns[DENET_REASONS]; /* likewise, as the iterator is about to have told */
  denet_u64 session;                   /* of the iterator that told them last */
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, DENET_OFF_CPU_EXITED_MOST);
  __type(key, struct process_key);
  __type(value, struct exited_threads);
} exited_threads SEC(".maps");

static __always_inline void count(denet_u64 *what) { __sync_fetch_and_add(what, 1); }

/* Most tasks have no storage at all, which one look tells. */
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

static __always_inline void add_waits(struct denet_wait_stats *sum,
                                      const struct denet_wait_stats *part) {
  for (int i = 0; i < DENET_REASONS; i++)
    __sync_fetch_and_add(&sum->time_ns[i], part->time_ns[i]);
  if (part->longest_ns > sum->longest_ns)
    sum->longest_ns = part->longest_ns;
  if (part->count && (!sum->count || part->shortest_ns < sum->shortest_ns))
    sum->shortest_ns = part->shortest_ns;
  __sync_fetch_and_add(&sum->count, part->count);
}

/* An absence that is over, or goes on. */
struct absence {
  denet_u64 off_ns;
  denet_u64 queued_ns;  /* of it, in the run queue */
  denet_u64 blocked_ns; /* the rest */
  denet_u32 reason;     /* for the rest */
};

/* A thread that was made runnable and not put into a queue was being made, or moved. */
static __always_inline struct absence make_absence(denet_u32 reason, denet_u64 off_ns,
                                                   denet_u64 queued_ns) {
  struct absence absence = {.off_ns = off_ns, .reason = reason};
  bool is_runnable = reason == DENET_REASON_RUNQUEUE;
  if (is_runnable)
    absence.reason = DENET_REASON_OTHER;
  if (queued_ns > off_ns || (is_runnable && !has_run_delay()))
    queued_ns = off_ns;
  absence.queued_ns = queued_ns;
  absence.blocked_ns = off_ns - queued_ns;
  return absence;
}

/* It has been counted as it began. */
static __always_inline void add_absence(struct denet_wait_stats *waits,
                                        const struct absence *absence) {
  denet_u64 off_ns = absence->off_ns, reason = absence->reason;
  barrier_var(reason); /* what is compared is to be what is used */
  waits->time_ns[DENET_REASON_RUNQUEUE] += absence->queued_ns;
  if (reason < DENET_REASONS)
    waits->time_ns[reason] += absence->blocked_ns;
  if (off_ns > waits->longest_ns)
    waits->longest_ns = off_ns;
  if (off_ns < waits->shortest_ns || !waits->shortest_ns)
    waits->shortest_ns = off_ns;
}
