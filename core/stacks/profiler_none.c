/* A build without BPF has no off-CPU profiling. */
#include "core/stacks/profiler.h"

#include <errno.h>

int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler) {
  (void)settings;
  (void)proc_path;
  (void)out_profiler;
  return denet_error_set(error, -ENOTSUP, "denet was built without BPF");
}

void denet_profiler_free(struct denet_profiler *profiler) { (void)profiler; }

void denet_profiler_collect(struct denet_profiler *profiler, struct denet_process_table *table,
                            const struct denet_trees *trees) {
  (void)profiler;
  (void)table;
  (void)trees;
}

void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process) {
  (void)profiler;
  (void)process;
}

void denet_profiler_follow_new(struct denet_profiler *profiler) { (void)profiler; }

void denet_profiler_losses(const struct denet_profiler *profiler,
                           struct denet_off_cpu_losses *out_losses) {
  (void)profiler;
  *out_losses = (struct denet_off_cpu_losses){0};
}
