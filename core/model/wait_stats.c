#include "core/model/wait_stats.h"

#include "core/util/array.h"

#include <stdlib.h>

const char *const denet_reason_names[DENET_REASONS] = {
#define DENET_REASON(id, name) [DENET_REASON_##id] = name,
#include "bpf/reasons.def"
};

static const enum denet_metric metric_of_reason[DENET_REASONS] = {
#define DENET_REASON(id, name) [DENET_REASON_##id] = DENET_OFF_CPU_##id,
#include "bpf/reasons.def"
};

void denet_wait_stats_done(struct denet_process_wait_stats *process) {
  free(process->threads);
  *process = (struct denet_process_wait_stats){0};
}

void denet_wait_stats_add(struct denet_wait_stats *sum, const struct denet_wait_stats *part) {
  if (!part->count)
    return;
  for (int i = 0; i < DENET_REASONS; i++)
    sum->time_ns[i] += part->time_ns[i];
  if (part->longest_ns > sum->longest_ns)
    sum->longest_ns = part->longest_ns;
  if (part->shortest_ns < sum->shortest_ns || !sum->count)
    sum->shortest_ns = part->shortest_ns;
  sum->count += part->count;
}

uint64_t denet_wait_stats_total(const struct denet_wait_stats *stats) {
  uint64_t total_ns = 0;
  for (int i = 0; i < DENET_REASONS; i++)
    total_ns += stats->time_ns[i];
  return total_ns;
}

void denet_wait_stats_return(struct denet_process_wait_stats *process, uint64_t pass) {
  if (process->left_pass && process->left_pass != pass)
    process->before = process->stats;
  process->left_pass = 0;
}

/* Begins the sums of another list. A process that was left may be followed again by its exec. */
static void enter_pass(struct denet_process_wait_stats *process, uint64_t pass) {
  denet_wait_stats_return(process, pass);
  if (process->pass == pass)
    return;
  process->pass = pass;
  process->count = 0;
  process->stats = process->before;
}

int denet_wait_stats_add_thread(struct denet_process_wait_stats *process, uint64_t pass,
                                const struct denet_off_cpu_thread *record) {
  enter_pass(process, pass);
  denet_wait_stats_add(&process->stats, &record->stats);
  int error = denet_array_reserve(&process->threads, &process->capacity, process->count + 1,
                                  sizeof(*process->threads));
  if (!error)
    process->threads[process->count++] =
        (struct denet_thread_wait_stats){.tid = (pid_t)record->point.tid, .stats = record->stats};
  return error;
}

void denet_wait_stats_add_exited(struct denet_process_wait_stats *process, uint64_t pass,
                                 const struct denet_off_cpu_sums *record) {
  enter_pass(process, pass);
  denet_wait_stats_add(&process->stats, &record->stats);
}

void denet_wait_stats_end(struct denet_process_wait_stats *process, uint64_t pass,
                          const struct denet_off_cpu_sums *record) {
  denet_wait_stats_return(process, pass);
  struct denet_wait_stats stats = process->before;
  denet_wait_stats_add(&stats, &record->stats);
  if (!process->is_over || stats.count > process->stats.count)
    process->stats = stats;
  process->is_over = true;
}

void denet_wait_stats_leave(struct denet_process_wait_stats *process, uint64_t pass) {
  denet_wait_stats_return(process, pass);
  process->left_pass = pass;
  process->count = 0;
}

void denet_wait_stats_take(const struct denet_process_wait_stats *process,
                           struct denet_values *values) {
  /* A list may miss a thread that exits while it is made, so that a sum is less than before. */
  for (int i = 0; i < DENET_REASONS; i++)
    denet_values_raise(values, metric_of_reason[i], process->stats.time_ns[i]);
  denet_values_raise(values, DENET_OFF_CPU_EVENTS, process->stats.count);
}

uint64_t denet_wait_stats_reasons(const struct denet_values *values,
                                  uint64_t out_time_ns[DENET_REASONS]) {
  uint64_t total_ns = 0;
  for (int i = 0; i < DENET_REASONS; i++) {
    out_time_ns[i] = denet_values_get(values, metric_of_reason[i]);
    total_ns += out_time_ns[i];
  }
  return total_ns;
}
