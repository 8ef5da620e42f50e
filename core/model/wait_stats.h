/* The off-CPU time of one followed process, by reason and by thread, from the kernel's records
 * (bpf/off_cpu_records.h). Pure. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/values.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern const char *const denet_reason_names[DENET_REASONS];

/* A thread of the last list. */
struct denet_thread_wait_stats {
  pid_t tid;
  struct denet_wait_stats stats;
};

struct denet_process_wait_stats {
  uint64_t pass;                           /* the last list that had records of it */
  uint64_t left_pass;                      /* the last list before it was left; 0: it is followed */
  struct denet_wait_stats before;          /* of earlier times that it was followed */
  struct denet_wait_stats stats;           /* of all its threads, with before */
  struct denet_thread_wait_stats *threads; /* owned */
  size_t count, capacity;
  bool is_over;          /* its last thread has exited: stats are final */
  bool is_open;          /* stack_worker holds its mappings, */
  uint64_t open_exec_id; /* those of this program */
};

/* What is missing for the whole host, by cause. */
struct denet_off_cpu_losses {
  uint64_t threads;   /* there was no memory to follow them */
  uint64_t processes; /* sums of their exited threads, or of all threads at the end */
  uint64_t stacks;    /* samples */
};

/* Frees what it owns; zeroed is fine before and after. */
void denet_wait_stats_done(struct denet_process_wait_stats *process);

/* Adds a record of the list with the number pass. 0 or -ENOMEM. The record of the exited threads
 * comes before those of the threads. */
int denet_wait_stats_add_thread(struct denet_process_wait_stats *process, uint64_t pass,
                                const struct denet_off_cpu_thread *record);
void denet_wait_stats_add_exited(struct denet_process_wait_stats *process, uint64_t pass,
                                 const struct denet_off_cpu_sums *record);

/* Sets the final sums of all threads, from an event that follows the list. Of several such events
 * the one with the most intervals counts. */
void denet_wait_stats_end(struct denet_process_wait_stats *process, uint64_t pass,
                          const struct denet_off_cpu_sums *record);

/* Notes that the process is not followed any more after this list; its sums stay. */
void denet_wait_stats_leave(struct denet_process_wait_stats *process, uint64_t pass);

/* Notes that the process is followed again after this list. The kernel begins anew at 0, except if
 * it was not listed in between: then the kernel has not noticed, and goes on with its sums. */
void denet_wait_stats_return(struct denet_process_wait_stats *process, uint64_t pass);

/* Puts the sums into values as OFF_CPU_*, none of which ever falls. */
void denet_wait_stats_take(const struct denet_process_wait_stats *process,
                           struct denet_values *values);

/* Reads the time of each reason (ns) from the OFF_CPU_* of values. Returns their sum. */
uint64_t denet_wait_stats_reasons(const struct denet_values *values,
                                  uint64_t out_time_ns[DENET_REASONS]);

/* Adds part to sum; longest and shortest are those of both. */
void denet_wait_stats_add(struct denet_wait_stats *sum, const struct denet_wait_stats *part);

/* Returns the time of all reasons together, ns. */
uint64_t denet_wait_stats_total(const struct denet_wait_stats *stats);
