/* The full records of one pass of the task iterator, with the usage of threads added to that of
 * their processes. Pure: knows the layout of the records (bpf/process_records.h), not where they
 * come from. */
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

/* Returns the record at *offset and moves *offset behind it; NULL at the end, and at a record that
 * is unknown or cut. */
struct denet_bpf_head *denet_task_sums_next(const struct denet_buffer *records, size_t *offset);

void denet_task_sums_done(struct denet_task_sums *task_sums);
void denet_task_sums_clear(struct denet_task_sums *task_sums);

/* Appends a process; pids must ascend. The record is borrowed until the sums are cleared, and
 * denet_task_sums_add_threads() changes it. Returns 0 or -ENOMEM. */
int denet_task_sums_add(struct denet_task_sums *task_sums, struct denet_bpf_process *record);

/* Adds the records of threads to their processes. */
void denet_task_sums_add_threads(struct denet_task_sums *task_sums,
                                 const struct denet_buffer *records);

/* Returns the sum of the pid's process, or NULL. */
const struct denet_task_sum *denet_task_sums_find(const struct denet_task_sums *task_sums,
                                                  pid_t pid);

/* Returns false if a thread was listed that had exited when its process was listed: the sum has its
 * usage twice. */
bool denet_task_sum_is_sound(const struct denet_task_sum *task_sum);
