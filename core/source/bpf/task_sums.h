/* The records of processes that one pass of the task iterator listed in full, with what their
 * threads cost added up. Pure: knows the layout of the records (bpf/process_records.h), not where
 * they come from. */
#pragma once

#include "bpf/process_records.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct denet_task_sum {
  struct denet_bpf_process *record; /* borrowed from the records; has the usage of all threads */
  denet_u32 threads_seen;
};

struct denet_task_sums {
  struct denet_task_sum *sums; /* by ascending pid; owned */
  size_t count, capacity;
};

/* Returns the record at *offset, which moves behind it; NULL at the end and where records make no
 * sense. */
struct denet_bpf_head *denet_task_sums_next(const struct denet_buffer *records, size_t *offset);

void denet_task_sums_done(struct denet_task_sums *task_sums);
void denet_task_sums_clear(struct denet_task_sums *task_sums);

/* Appends a process; pids ascend. The record is borrowed until the sums are cleared, and changed by
 * denet_task_sums_add_threads(). 0 or -ENOMEM. */
int denet_task_sums_add(struct denet_task_sums *task_sums, struct denet_bpf_process *record);

/* Adds what the records say of the processes' other threads. */
void denet_task_sums_add_threads(struct denet_task_sums *task_sums,
                                 const struct denet_buffer *records);

/* Returns the sum of the pid's process, or NULL. */
const struct denet_task_sum *denet_task_sums_find(const struct denet_task_sums *task_sums,
                                                  pid_t pid);

/* Returns false if a thread was listed that exited before its process was: its usage is in the sum
 * twice. */
bool denet_task_sum_is_sound(const struct denet_task_sum *task_sum);
