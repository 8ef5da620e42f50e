/* What the kernel tells of one process, taken over into its row: who it is, and its end. */
#include "core/source/bpf/source.h"

#include <string.h>

void denet_bpf_source_identify(const struct denet_bpf_source *bpf, struct denet_process *process,
                               const struct denet_bpf_identity *record, int exit_code) {
  const struct denet_bpf_compact *compact = &record->compact;
  struct denet_identity identity = {
      .start_ticks = compact->head.start_ns / bpf->env->tick_ns,
      .born_ns = compact->head.start_ns,
      .parent_pid = (pid_t)record->parent_pid,
      .name = compact->name, /* the kernel ends it with a NUL (__set_task_comm, fs/exec.c) */
      .kernel_thread = record->flags & PF_KTHREAD,
      .never_execd = record->flags & PF_FORKNOEXEC,
      .has_exec_stamp = true,
      .exec_stamp = compact->exec_id,
      .has_reaped = record->state & DENET_BPF_HAS_REAPED,
      .is_zombie = record->state & DENET_BPF_ZOMBIE,
      .no_mm = record->state & DENET_BPF_NO_MM,
      .threads = record->threads,
      .has_exit_status = true,
      .exit_status = exit_code,
      .oom_killed = record->state & DENET_BPF_OOM_KILLED,
  };
  bool has_execd = !process->is_new && process->exec_stamp != compact->exec_id;
  denet_process_identify(process, &identity);
  if (has_execd)
    process->execd_ns = bpf->begun_ns;
}

/* What is known of when and in which state it ended. */
void denet_bpf_source_take_exit(const struct denet_bpf_source *bpf, struct denet_process *process,
                                const struct denet_lifecycle_entry *entry) {
  uint64_t page_bytes = bpf->env->page_bytes;
  if (!entry || !entry->has_exited)
    return;
  process->ended_ns = entry->exit.exit_ns;
  if (!entry->exit.rss_pages)
    return;
  denet_values_set(&process->now, DENET_RSS, entry->exit.rss_pages * page_bytes);
  denet_values_set(&process->now, DENET_VM, entry->exit.vm_pages * page_bytes);
}

/* A process that is seen for the first time at its end has all that its lines need. */
void denet_bpf_source_complete(struct denet_process *process) {
  struct denet_values *now = &process->now;
  if (!denet_values_has(now, DENET_THREADS))
    denet_values_set(now, DENET_THREADS, 1);
  /* Its namespace's counts are counted from when it is first seen. */
  if (!denet_values_has(now, DENET_NET_RX))
    denet_values_set(now, DENET_NET_RX, 0);
  if (!denet_values_has(now, DENET_NET_TX))
    denet_values_set(now, DENET_NET_TX, 0);
}

/* The process is over: who it was and what it cost in all. */
void denet_bpf_source_take_final(const struct denet_bpf_source *bpf, struct denet_process *process,
                                 struct denet_lifecycle_entry *entry) {
  const struct denet_bpf_free *final = &entry->final;
  entry->is_applied = true;
  process->missed_ns = 0;
  process->vanished = true;
  if (process->ended) /* it was seen as a zombie, and that was its end */
    return;
  struct denet_bpf_identity identity = {
      .compact = {.head = final->head, .exec_id = final->exec_id},
      .flags = final->flags,
      .state = final->state | DENET_BPF_ZOMBIE,
  };
  pid_t parent_pid = entry->was_forked ? entry->parent_pid : (pid_t)entry->exit.parent_pid;
  identity.parent_pid = (denet_u32)(process->is_new ? parent_pid : process->parent_pid);
  memcpy(identity.compact.name, final->name, sizeof(identity.compact.name));
  uint64_t since_ns = process->is_new ? final->head.start_ns : process->measured_ns;
  uint64_t cpu_ns = process->cpu_ns;
  denet_bpf_source_identify(bpf, process, &identity, final->exit_code);
  denet_task_sums_take_costs(process, &final->costs, bpf->source.unavailable);
  process->age_ns = final->costs.age_ns + entry->exit.main_age_ns;
  denet_process_derive_off_cpu(process);
  denet_values_set(&process->now, DENET_CPU_CORE, final->cpu);
  denet_bpf_source_take_exit(bpf, process, entry);
  if (!denet_values_has(&process->now, DENET_RSS))
    denet_values_set(&process->now, DENET_RSS, final->peak_rss_pages * bpf->env->page_bytes);
  denet_bpf_source_complete(process);
  process->measured_ns = process->ended_ns ? process->ended_ns : bpf->begun_ns;
  denet_task_sums_delay_end(process, since_ns, cpu_ns);
}
