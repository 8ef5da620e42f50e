/* Off-CPU profiling of the processes whose rules ask for stacks: has the kernel follow them, and
 * takes its records into processes and trees, once a tick. */
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

/* Starts profiling. 0 or -errno with a sentence that says what is missing. Where stacks are less
 * than they could be the result is 0, and error has the reason. */
int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler);
void denet_profiler_free(struct denet_profiler *profiler); /* NULL is fine */

/* Takes in the kernel's records and events since the last time, and the stacks that are ready. To
 * be called between the source's pass and the match; waits 5 ms at most, if a process has ended.
 * Sets the losses since the profiler was opened. */
void denet_profiler_collect(struct denet_profiler *profiler, struct denet_process_table *table,
                            const struct denet_trees *trees,
                            struct denet_off_cpu_losses *out_losses);

/* Brings process->usage->now's OFF_CPU_* up to date, and follows the process or not, as its rules
 * ask. */
void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process);

/* Has the kernel begin at once with the processes that are newly followed. */
void denet_profiler_follow_new(struct denet_profiler *profiler);
