/* What one pass of the task iterator adds up to for each process that it told of at length. Pure:
 * knows the records' layout (bpf/record.h), not where they come from. */
#pragma once

#include "bpf/process_records.h"
#include "core/model/process.h"
#include "core/util/buffer.h"
#include "core/util/env.h"

#include <stdbool.h>
#include <stddef.h>

struct denet_task_sum {
  struct denet_process *process;
  const struct denet_bpf_process *record; /* in the records */
  struct denet_bpf_usage costs;           /* of all its threads */
  uint64_t main_age_ns;                   /* to be added to their age */
  denet_u64 rss_pages, vm_pages;
  denet_u32 threads_seen;
  bool is_on_cpu; /* one of its threads is */
};

struct denet_task_sums {
  struct denet_task_sum *task_sums; /* by ascending pid; owned */
  size_t count, capacity;
};

/* The record at *offset, which moves behind it; NULL at the end and where records make no sense. */
const struct denet_bpf_head *denet_task_sums_next(const struct denet_buffer *records,
                                                  size_t *offset);

void denet_task_sums_done(struct denet_task_sums *task_sums);
void denet_task_sums_clear(struct denet_task_sums *task_sums);

/* Adds the process; pids ascend. The record is borrowed until the task_sums are cleared.
 * main_age_ns: how old the main thread became that was the last to exit; 0 of all others. 0 or
 * -ENOMEM. */
int denet_task_sums_add(struct denet_task_sums *task_sums, struct denet_process *process,
                        const struct denet_bpf_process *record, uint64_t main_age_ns);

/* Adds what the records say of the processes' other threads. */
void denet_task_sums_add_threads(struct denet_task_sums *task_sums,
                                 const struct denet_buffer *records);

/* The process's task_sum, or NULL. */
const struct denet_task_sum *denet_task_sums_find(const struct denet_task_sums *task_sums,
                                                  pid_t pid);

/* A process that has ended used CPU until it had given back all that it had, which is a little
 * after its exit: moves ended_ns and measured_ns to where what it has used since since_ns (boot
 * clock), when its cpu_ns was this, fits in. */
void denet_task_sums_delay_end(struct denet_process *process, uint64_t since_ns, uint64_t cpu_ns);

/* Puts the values of all into their processes; unavailable: denet_lack bits, what the kernel does
 * not count. */
void denet_task_sums_take(const struct denet_task_sums *task_sums, const struct denet_env *env,
                          unsigned unavailable);

/* Puts what the threads of a process have cost into it. */
void denet_task_sums_take_costs(struct denet_process *process, const struct denet_bpf_usage *costs,
                                unsigned unavailable);
