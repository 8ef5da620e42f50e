#include "core/source/bpf/record_values.h"

#include <string.h>

static uint64_t read_field(const struct denet_bpf_process *record,
                           const struct denet_metric_info *info) {
  const char *at = (const char *)record + info->bpf.offset;
  denet_u32 narrow;
  denet_u64 wide;
  if (info->bpf.bytes == sizeof(narrow)) {
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
  }
  memcpy(&wide, at, sizeof(wide));
  return wide;
}

/* Sets the metrics that the record has. A counter would fall if a thread exits between the times at
 * which its own counts and the process's sums are read. */
static void take_metrics(const struct denet_process *process,
                         const struct denet_bpf_process *record, uint64_t page_bytes,
                         unsigned unavailable) {
  struct denet_values *now = &process->usage->now;
  bool has_memory = record->vm_pages || process->kernel_thread;
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    if (!info->bpf.bytes || info->bpf.needs & unavailable)
      continue;
    uint64_t value = read_field(record, info);
    if (info->bpf.unit == DENET_PAGES)
      value *= page_bytes;
    bool is_known = denet_values_has(now, m) || (process->vanished && !value);
    if (info->zombie_keeps && !has_memory && is_known)
      continue;
    if (info->kind == DENET_COUNTER)
      denet_values_raise(now, m, value);
    else
      denet_values_set(now, m, value);
  }
}

/* A process uses CPU for a moment after its exit event, to free what it has. Moves its end so that
 * the CPU time since since_ns, when it was cpu_ns, fits in. */
static void delay_end(struct denet_process *process, uint64_t since_ns, uint64_t cpu_ns,
                      uint64_t threads) {
  struct denet_usage *usage = process->usage;
  uint64_t least_ns = since_ns + (usage->cpu_ns - cpu_ns) / (threads ? threads : 1);
  if (usage->measured_ns < least_ns)
    usage->measured_ns = least_ns;
  if (process->ended_ns)
    process->ended_ns = usage->measured_ns;
}

void denet_record_values_take(struct denet_process *process, const struct denet_bpf_process *record,
                              uint64_t page_bytes, unsigned unavailable) {
  struct denet_usage *usage = process->usage;
  uint64_t since_ns = usage->measured_ns ? usage->measured_ns : process->born_ns;
  uint64_t cpu_ns = usage->cpu_ns;
  /* The record of a zombie has one thread, however many used the CPU time. */
  uint64_t threads = denet_values_get(&usage->now, DENET_THREADS);
  bool has_end = process->ended && process->ended_ns;
  usage->measured_ns = has_end ? process->ended_ns : record->seen_ns;
  take_metrics(process, record, page_bytes, unavailable);
  if (record->usage.run_ns > cpu_ns)
    usage->cpu_ns = record->usage.run_ns;
  denet_values_split_cpu(&usage->now, usage->cpu_ns, record->usage.user_ns,
                         record->usage.system_ns);
  if (has_end || process->vanished)
    delay_end(process, since_ns, cpu_ns, threads ? threads : record->identity.threads);
  usage->age_ns = record->usage.age_ns;
  if (record->net_namespace)
    denet_usage_enter_net(usage, record->net_namespace);
  if (!(record->identity.state & DENET_BPF_ON_CPU)) /* else after the CPU clock has been read */
    denet_usage_derive_off_cpu(usage);
}
