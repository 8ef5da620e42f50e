/* Measures a process: takes over its record of the pass, its final usage, or its CPU clock. */
#include "core/source/bpf/record_values.h"
#include "core/source/bpf/source.h"
#include "core/source/procfs/procfs.h"

static void take_record(const struct denet_bpf_source *bpf, struct denet_process *process,
                        const struct denet_bpf_process *record) {
  denet_record_values_take(process, record, bpf->env->page_bytes, bpf->source.unavailable);
}

/* Takes the final usage of a process that is gone, if the kernel has sent it. */
static void take_final(const struct denet_bpf_source *bpf, struct denet_process *process) {
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  struct denet_bpf_process record;
  if (!entry || !entry->was_freed)
    return;
  denet_lifecycle_entry_record(entry, &record);
  if (!record.seen_ns)
    record.seen_ns = bpf->begun_ns;
  uint64_t threads = denet_values_get(&process->usage->now, DENET_THREADS);
  record.identity.threads = threads ? (denet_u32)threads : 1;
  take_record(bpf, process, &record);
}

/* Sets network counts that are absent: those of a process count from its first sample, which may be
 * its last. */
static void complete(struct denet_values *now) {
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_metric_info[m].procfs.file == DENET_FILE_NET_DEV && !denet_values_has(now, m))
      denet_values_set(now, m, 0);
}

/* Reads the CPU time from the process's CPU clock. record: its user and system times split it;
 * NULL: it is split in the ratio of the last values. */
static void measure_cpu(struct denet_bpf_source *bpf, struct denet_process *process,
                        const struct denet_bpf_process *record) {
  struct denet_usage *usage = process->usage;
  struct denet_values *now = &usage->now;
  const uint64_t before_ns = usage->measured_ns;
  if (denet_procfs_read_cpu(bpf->procfs, process))
    return;
  const uint64_t after_ns = process->usage->measured_ns;
  if (after_ns > before_ns)
    usage->age_ns += now->value[DENET_THREADS] * (after_ns - before_ns);
  denet_usage_derive_off_cpu(usage);
  uint64_t user = record ? record->usage.user_ns : now->value[DENET_CPU_USER];
  uint64_t system = record ? record->usage.system_ns : now->value[DENET_CPU_SYSTEM];
  denet_values_split_cpu(now, usage->cpu_ns, user, system);
}

/* The record of the pass has nearly all metrics. While a thread is on a CPU, sum_exec_runtime is up
 * to a timer tick old; the CPU clock is exact. The clock also serves if no pass could be read, for
 * lack of a descriptor. */
void denet_bpf_source_measure(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted, bool first) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  (void)first;
  process->has_run = false;
  if (process->vanished) {
    take_final(bpf, process);
    complete(&process->usage->now);
    return;
  }
  if (process->notes.bpf.missed_ns)
    return;
  const struct denet_task_sum *sum = denet_bpf_source_find_sum(bpf, process);
  if (sum &&
      (denet_task_sum_is_sound(sum) || !denet_values_has(&process->usage->now, DENET_CPU_USER)))
    take_record(bpf, process, sum->record);
  if (process->ended) {
    complete(&process->usage->now);
    return;
  }
  if (!sum || sum->record->identity.state & DENET_BPF_ON_CPU)
    measure_cpu(bpf, process, sum ? sum->record : NULL);
  denet_procfs_measure_net(bpf->procfs, process, wanted);
}
