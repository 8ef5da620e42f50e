#include "core/model/process.h"

#include "core/model/wait_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void denet_process_identify(struct denet_process *process, const struct denet_identity *identity) {
  bool no_mm = identity->is_zombie || identity->no_mm;
  bool execd = !process->is_new && identity->has_exec_stamp &&
               (process->never_execd != identity->never_execd ||
                process->exec_stamp != identity->exec_stamp);
  bool renamed = strncmp(process->name, identity->name, sizeof(process->name) - 1) != 0;
  process->execd |= execd || process->is_new;
  process->changed |= execd || renamed || process->is_new;
  process->start_ticks = identity->start_ticks;
  process->born_ns = identity->born_ns;
  process->parent_pid = identity->parent_pid;
  if (renamed)
    snprintf(process->name, sizeof(process->name), "%s", identity->name);
  process->kernel_thread = identity->kernel_thread;
  process->never_execd = identity->never_execd;
  if (identity->has_exec_stamp)
    process->exec_stamp = identity->exec_stamp;
  process->has_reaped = identity->has_reaped;
  /* The main thread may be a zombie while others run. */
  process->ended = identity->is_zombie && identity->threads <= 1;
  process->no_mm = no_mm && !process->ended;
  process->has_exit_status = process->ended && identity->has_exit_status;
  process->exit_status = process->has_exit_status ? identity->exit_status : 0;
  process->oom_killed = process->ended && identity->oom_killed;
}

struct denet_usage *denet_process_use(struct denet_process *process) {
  if (!process->usage)
    process->usage = calloc(1, sizeof(*process->usage));
  return process->usage;
}

void denet_process_drop_usage(struct denet_process *process) {
  bool may_count = process->members || process->changed;
  if (may_count || !process->usage || !denet_metric_set_is_empty(&process->usage->counted))
    return;
  denet_usage_free(process->usage);
  process->usage = NULL;
}

void denet_process_done(struct denet_process *process) {
  if (!process)
    return;
  denet_usage_free(process->usage);
  process->usage = NULL;
  if (process->off_cpu)
    denet_wait_stats_done(process->off_cpu);
  free(process->off_cpu);
  process->off_cpu = NULL;
}
