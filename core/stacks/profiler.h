/* Off-CPU profiling of the processes whose rules ask for stacks: has the kernel follow them, and
 * takes what it tells into processes and trees, once a tick. */
#pragma once

#include "core/groups/tree.h"
#include "core/model/process_table.h"
#include "core/model/wait_stats.h"
#include "core/util/error.h"

#include <stdint.h>

struct denet_profiler;

struct denet_profiler_settings {
  uint64_t period_ns;    /* off-CPU time of a thread between two of its stacks */
  unsigned rate;         /* stacks a second at most, in all */
  unsigned stack_bytes;  /* of each, at most */
  uint64_t ring_bytes;   /* in the kernel, for stacks that have not been read yet */
  unsigned exited_most;  /* processes whose exited threads' sums the kernel keeps at a time */
  uint64_t symbol_bytes; /* the most memory for symbols of files */
};

/* 0 or -errno with a sentence that says what is missing. When stacks will be less than they could
 * be, error holds the reason though the result is 0. */
int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler);
void denet_profiler_free(struct denet_profiler *profiler); /* NULL is fine */

/* Between the source's pass and the rules: takes in what has happened since the last time. */
void denet_profiler_listen(struct denet_profiler *profiler, struct denet_process_table *table,
                           const struct denet_trees *trees);

/* Brings process->now's OFF_CPU_* up to date, and notes whether one of its trees asks for them. */
void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process);

/* Has those that were noted for the first time followed from now on. */
void denet_profiler_begin(struct denet_profiler *profiler);

/* What could not be told since the profiler was opened. */
void denet_profiler_losses(const struct denet_profiler *profiler,
                           struct denet_off_cpu_losses *out_losses);
