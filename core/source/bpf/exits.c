/* What the kernel tells of one process, taken over into its row: who it is, and its end. */
#include "core/source/bpf/source.h"

void denet_bpf_source_identify(const struct denet_bpf_source *bpf, struct denet_process *process,
                               const struct denet_bpf_identity *record, int exit_code) {
  const struct denet_bpf_brief *brief = &record->brief;
  struct denet_identity identity = {
      .start_ticks = brief->head.start_ns / bpf->env->tick_ns,
      .born_ns = brief->head.start_ns,
      .parent_pid = (pid_t)record->parent_pid,
      .name = brief->name, /* the kernel ends it with a NUL (__set_task_comm, fs/exec.c) */
      .kernel_thread = record->flags & PF_KTHREAD,
      .never_execd = record->flags & PF_FORKNOEXEC,
      .has_exec_stamp = true,
      .exec_stamp = brief->exec_id,
      .has_reaped = record->state & DENET_BPF_HAS_REAPED,
      .is_zombie = record->state & DENET_BPF_ZOMBIE,
      .no_mm = record->state & DENET_BPF_HOLLOW,
      .threads = record->threads,
      .has_exit_status = true,
      .exit_status = exit_code,
      .oom_killed = record->state & DENET_BPF_OOM_KILLED,
  };
  bool has_execd = !process->is_new && process->exec_stamp != brief->exec_id;
  denet_process_identify(process, &identity);
  if (has_execd)
    process->notes.bpf.execd_ns = bpf->begun_ns;
}

void denet_bpf_source_take_exit(const struct denet_bpf_source *bpf, struct denet_process *process,
                                struct denet_bpf_process *record) {
  const struct denet_lifecycle_entry *life = denet_bpf_source_entry(bpf, process);
  if (!life)
    return;
  record->usage.age_ns += life->exit.main_age_ns;
  if (!life->has_exited)
    return;
  process->ended_ns = life->exit.exit_ns;
  if (!record->vm_pages && life->exit.rss_pages) {
    record->rss_pages = life->exit.rss_pages;
    record->vm_pages = life->exit.vm_pages;
  }
}

void denet_bpf_source_take_end(const struct denet_bpf_source *bpf, struct denet_process *process,
                               struct denet_lifecycle_entry *life) {
  struct denet_bpf_process record;
  life->is_taken = true;
  process->notes.bpf.missed_ns = 0;
  process->vanished = true;
  if (process->ended) /* it was seen as a zombie, and that was its end */
    return;
  denet_lifecycle_entry_record(life, &record);
  if (!process->is_new)
    record.identity.parent_pid = (denet_u32)process->parent_pid;
  denet_bpf_source_identify(bpf, process, &record.identity, record.exit_code);
  if (life->has_exited)
    process->ended_ns = life->exit.exit_ns;
}
