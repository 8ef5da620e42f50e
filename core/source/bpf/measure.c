/* Measures a process: takes over the values of its record of the pass, of its final usage, or of
 * its CPU clock. metrics.def has the field of each metric in a record. */
#include "core/source/bpf/source.h"

/* Sets the metrics that the record has and that this kernel counts. A counter never falls: it would
 * if a thread exits between the times at which its own counts and the process's sums are read. A
 * process without memory keeps its last values of it. */
static void take_metrics(const struct denet_bpf_source *bpf, const struct denet_process *process,
                         const struct denet_bpf_process *record) {
  struct denet_values *now = &process->usage->now;
  bool has_memory = record->vm_pages || process->kernel_thread;
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    if (!info->bpf.bytes || info->bpf.needs & bpf->source.unavailable)
      continue;
    const void *field = (const char *)record + info->bpf.offset;
    bool is_narrow = info->bpf.bytes == sizeof(denet_u32);
    uint64_t value = is_narrow ? *(const denet_u32 *)field : *(const denet_u64 *)field;
    if (info->bpf.unit == DENET_PAGES)
      value *= bpf->env->page_bytes;
    bool is_known = denet_values_has(now, m) || (process->vanished && !value);
    if (info->zombie_keeps && !has_memory && is_known)
      continue;
    if (info->kind == DENET_COUNTER)
      denet_values_raise(now, m, value);
    else
      denet_values_set(now, m, value);
  }
}

/* Takes the values of a record with the usage of all threads. A process that has ended was measured
 * at its end. It uses CPU for a moment after its exit event, to free what it has: its end is moved
 * so that the CPU time since it was measured last fits in. */
static void take_record(const struct denet_bpf_source *bpf, struct denet_process *process,
                        const struct denet_bpf_process *record) {
  struct denet_usage *usage = process->usage;
  uint64_t since_ns = usage->measured_ns ? usage->measured_ns : process->born_ns;
  uint64_t cpu_ns = usage->cpu_ns;
  /* The record of a zombie has one thread, however many used the CPU time. */
  uint64_t threads = denet_values_get(&usage->now, DENET_THREADS);
  threads = threads ? threads : record->identity.threads ? record->identity.threads : 1;
  bool has_end = process->ended && process->ended_ns;
  usage->measured_ns = has_end ? process->ended_ns : record->seen_ns;
  take_metrics(bpf, process, record);
  if (record->usage.run_ns > cpu_ns)
    usage->cpu_ns = record->usage.run_ns;
  denet_values_split_cpu(&usage->now, usage->cpu_ns, record->usage.user_ns,
                         record->usage.system_ns);
  uint64_t least_ns = since_ns + (usage->cpu_ns - cpu_ns) / threads;
  if ((has_end || process->vanished) && usage->measured_ns < least_ns)
    usage->measured_ns = least_ns;
  if (has_end)
    process->ended_ns = usage->measured_ns;
  usage->age_ns = record->usage.age_ns;
  if (record->net_namespace)
    denet_usage_enter_net(usage, record->net_namespace);
  if (!(record->identity.state & DENET_BPF_ON_CPU)) /* else after the CPU clock has been read */
    denet_usage_derive_off_cpu(usage);
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

/* Reads the CPU time from the process's CPU clock. record: its user and system times split it;
 * NULL: it is split in the ratio of the last values. */
static void measure_cpu(const struct denet_bpf_source *bpf, struct denet_process *process,
                        const struct denet_bpf_process *record) {
  struct denet_usage *usage = process->usage;
  struct denet_values *now = &usage->now;
  uint64_t cpu_ns, now_ns;
  if (denet_procfs_read_cpu(bpf->procfs, process->pid, &cpu_ns, &now_ns))
    return;
  if (usage->cpu_ns < cpu_ns)
    usage->cpu_ns = cpu_ns;
  if (usage->measured_ns < now_ns)
    usage->age_ns += now->value[DENET_THREADS] * (now_ns - usage->measured_ns);
  usage->measured_ns = now_ns;
  denet_usage_derive_off_cpu(usage);
  denet_values_split_cpu(now, usage->cpu_ns,
                         record ? record->usage.user_ns : now->value[DENET_CPU_USER],
                         record ? record->usage.system_ns : now->value[DENET_CPU_SYSTEM]);
}

/* The record of the pass has nearly all metrics. A record is not taken if a thread was listed that
 * had exited when its process was listed: the record has its usage twice. While a thread is on a
 * CPU, sum_exec_runtime is up to a timer tick old; the CPU clock is exact. The clock also serves if
 * no pass could be read, for lack of a descriptor. */
void denet_bpf_source_measure(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted, bool first) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  struct denet_values *now = &process->usage->now;
  const struct denet_bpf_process *record = NULL;
  (void)first;
  process->has_run = false;
  if (process->vanished)
    take_final(bpf, process);
  else if (process->notes.bpf.missed_ns)
    return;
  else {
    denet_bpf_source_list_in_full(bpf, process);
    record = denet_bpf_source_record(bpf, process);
  }
  bool is_sound = record && process->notes.bpf.listed_threads <= record->identity.threads;
  if (is_sound || (record && !denet_values_has(now, DENET_CPU_USER)))
    take_record(bpf, process, record);
  if (process->vanished || process->ended) {
    /* Network counts of a process count from its first sample, which may be its last. */
    for (unsigned m = 0; m < DENET_METRICS; m++)
      if (denet_metric_info[m].procfs.file == DENET_FILE_NET_DEV && !denet_values_has(now, m))
        denet_values_set(now, m, 0);
    return;
  }
  if (!record || record->identity.state & DENET_BPF_ON_CPU)
    measure_cpu(bpf, process, record);
  denet_procfs_measure_net(bpf->procfs, process, wanted);
}
