/* A build without BPF, or for another machine than x86-64, has no off-CPU profiling. */
#include "core/stacks/profiler.h"

#include <errno.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler) {
#ifdef __x86_64__
  return denet_error_set(error, -ENOTSUP, "denet was built without BPF");
#else
  return denet_error_set(error, -ENOTSUP, "stacks are for x86_64 only");
#endif
}

/* Not called, as there is no profiler: */

void denet_profiler_free(struct denet_profiler *profiler) {}

void denet_profiler_collect(struct denet_profiler *profiler, struct denet_process_table *table,
                            const struct denet_trees *trees,
                            struct denet_off_cpu_losses *out_losses) {}

void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process) {}

void denet_profiler_follow_new(struct denet_profiler *profiler) {}
