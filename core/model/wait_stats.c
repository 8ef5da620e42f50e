#include "core/model/wait_stats.h"

#include <errno.h>
#include <stdlib.h>

const char *const denet_reason_names[DENET_REASONS] = {
#define DENET_REASON(id, name) [DENET_REASON_##id] = name,
#include "bpf/reasons.def"
};

static const enum denet_metric metric_of_reason[DENET_REASONS] = {
#define DENET_REASON(id, name) [DENET_REASON_##id] = DENET_OFF_CPU_##id,
#include "bpf/reasons.def"
};

void denet_wait_stats_done(struct denet_process_wait_stats *off_cpu) {
  free(off_cpu->threads);
  *off_cpu = (struct denet_process_wait_stats){0};
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

uint64_t denet_wait_stats_total(const struct denet_wait_stats *waits) {
  uint64_t total_ns = 0;
  for (int i = 0; i < DENET_REASONS; i++)
    total_ns += waits->time_ns[i];
  return total_ns;
}

void denet_wait_stats_return(struct denet_process_wait_stats *off_cpu, uint64_t pass) {
  if (off_cpu->left_pass && off_cpu->left_pass != pass)
    off_cpu->before = off_cpu->waits;
  off_cpu->left_pass = 0;
}

/* What another pass told is out of date. One that was left alone may be followed again by its exec.
 */
static void enter_pass(struct denet_process_wait_stats *off_cpu, uint64_t pass) {
  denet_wait_stats_return(off_cpu, pass);
  if (off_cpu->pass == pass)
    return;
  off_cpu->pass = pass;
  off_cpu->count = 0;
  off_cpu->waits = off_cpu->before;
}

int denet_wait_stats_add_thread(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                                const struct denet_off_cpu_thread *record) {
  enter_pass(off_cpu, pass);
  denet_wait_stats_add(&off_cpu->waits, &record->waits);
  if (off_cpu->count == off_cpu->capacity) {
    size_t capacity = off_cpu->capacity ? 2 * off_cpu->capacity : 4;
    struct denet_thread_wait_stats *grown =
        reallocarray(off_cpu->threads, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    off_cpu->threads = grown;
    off_cpu->capacity = capacity;
  }
  off_cpu->threads[off_cpu->count++] =
      (struct denet_thread_wait_stats){.tid = (pid_t)record->place.tid, .waits = record->waits};
  return 0;
}

/* It comes before the process's threads, whose sums it is told with. */
void denet_wait_stats_add_exited(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                                 const struct denet_off_cpu_sums *record) {
  enter_pass(off_cpu, pass);
  denet_wait_stats_add(&off_cpu->waits, &record->waits);
}

void denet_wait_stats_end(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                          const struct denet_off_cpu_sums *record) {
  denet_wait_stats_return(off_cpu, pass);
  struct denet_wait_stats waits = off_cpu->before;
  denet_wait_stats_add(&waits, &record->waits);
  if (!off_cpu->is_over || waits.count > off_cpu->waits.count)
    off_cpu->waits = waits;
  off_cpu->is_over = true;
}

void denet_wait_stats_leave(struct denet_process_wait_stats *off_cpu, uint64_t pass) {
  denet_wait_stats_return(off_cpu, pass);
  off_cpu->left_pass = pass;
  off_cpu->count = 0;
}

/* A pass may miss a thread that exits while it is read. */
static void raise(struct denet_values *values, enum denet_metric metric, uint64_t value) {
  if (!denet_values_has(values, metric) || values->value[metric] < value)
    denet_values_set(values, metric, value);
}

void denet_wait_stats_take(const struct denet_process_wait_stats *off_cpu,
                           struct denet_values *values) {
  for (int i = 0; i < DENET_REASONS; i++)
    raise(values, metric_of_reason[i], off_cpu->waits.time_ns[i]);
  raise(values, DENET_OFF_CPU_EVENTS, off_cpu->waits.count);
}

uint64_t denet_wait_stats_reasons(const struct denet_values *values,
                                  uint64_t out_time_ns[DENET_REASONS]) {
  uint64_t total_ns = 0;
  for (int i = 0; i < DENET_REASONS; i++) {
    bool is_there = denet_values_has(values, metric_of_reason[i]);
    out_time_ns[i] = is_there ? values->value[metric_of_reason[i]] : 0;
    total_ns += out_time_ns[i];
  }
  return total_ns;
}
