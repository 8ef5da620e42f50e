/* The texts of processes that the BPF source has: of those that live /proc knows them, of the
 * others what the kernel told. */
#include "core/source/bpf/source.h"

#include <errno.h>

#define LAUNCH_NS UINT64_C(2000000000) /* an exec takes less, or its event was lost */

static bool has_texts_of(const struct denet_lifecycle_entry *life,
                         const struct denet_process *process) {
  return life && life->texts && life->texts->exec_id == process->exec_stamp;
}

/* As the kernel told it: of the program that the process runs, or ran at its end. */
static int describe_life(const struct denet_bpf_source *bpf, const struct denet_process *process,
                         enum denet_text_kind kind, struct denet_buffer *out) {
  const struct denet_lifecycle_entry *life = denet_bpf_source_entry(bpf, process);
  if (!has_texts_of(life, process))
    return DENET_GONE;
  denet_buffer_clear(out);
  return denet_lifecycle_entry_text(life, kind, out);
}

/* Whether the process is in the middle of an exec: it runs another program than its parent did, or
 * than in the last pass, but which one has not been told yet. */
static bool is_launching(const struct denet_bpf_source *bpf, const struct denet_process *process,
                         const struct denet_lifecycle_entry *life) {
  bool is_ours = process->notes.bpf.execd_ns || process->born_ns > bpf->opened_ns;
  uint64_t since_ns = process->notes.bpf.execd_ns ? process->notes.bpf.execd_ns : process->born_ns;
  bool is_told = is_ours && bpf->begun_ns < since_ns + LAUNCH_NS && !bpf->source.lost;
  bool is_known = life && life->texts && life->texts->exec_id >= process->exec_stamp;
  return is_told && process->execd && !process->never_execd && !is_known;
}

/* From /proc. What is another program's by now is not the process's as it was seen, and what is
 * empty may be a zombie's, or have been read in the middle of an exec of which the kernel has told
 * meanwhile: then it is as if the process were gone. */
static int describe_living(struct denet_bpf_source *bpf, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out) {
  int outcome = bpf->procfs->read_text(bpf->procfs, process, kind, out);
  bpf->source.seen_unavailable |= bpf->procfs->seen_unavailable & DENET_UNAVAILABLE_EXECUTABLE;
  denet_bpf_source_drain(bpf);
  const struct denet_lifecycle_entry *life = denet_bpf_source_entry(bpf, process);
  bool is_told = has_texts_of(life, process);
  bool has_execd = life && life->texts && life->texts->exec_id > process->exec_stamp;
  bool is_emptied = life && (life->has_exited || is_told) && !outcome && !out->length;
  return has_execd || is_emptied || is_launching(bpf, process, life) ? DENET_GONE : outcome;
}

/* Whether the kernel told less than /proc may: arguments that are cut, or that it could not read at
 * that moment; a path that is too deep. */
static bool is_poor(enum denet_text_kind kind, int outcome, const struct denet_buffer *text) {
  size_t most = DENET_BPF_ARGUMENT_BYTES - 2; /* without a NUL at the end */
  bool is_part = !text->length || text->length >= most;
  return outcome == -ENOENT || (kind == DENET_TEXT_ARGUMENTS && is_part);
}

/* What the kernel told is as of the exec, or of the end. */
int denet_bpf_source_read_text(struct denet_source *source, struct denet_process *process,
                               enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  int told = describe_life(bpf, process, kind, out);
  bool is_wanting = told == DENET_GONE || is_poor(kind, told, out);
  if (!is_wanting || process->vanished)
    return told;
  int outcome = describe_living(bpf, process, kind, out);
  if (!outcome)
    return 0;
  /* It is gone meanwhile, or not for us, or something has been told: that has to do, unless it is
   * nothing and there may be more another time. */
  told = describe_life(bpf, process, kind, out);
  bool is_open = outcome == DENET_LATER || denet_source_is_passing(outcome);
  bool is_nothing = told || !out->length;
  return told == DENET_GONE || (is_open && is_nothing) ? outcome : told;
}

int denet_bpf_source_read_uid(struct denet_source *source, const struct denet_process *process,
                              uid_t *out_uid) {
  const struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  const struct denet_task_sum *task_sum = denet_task_sums_find(&bpf->task_sums, process->pid);
  if (task_sum && task_sum->record->identity.brief.head.start_ns == process->born_ns) {
    *out_uid = task_sum->record->uid;
    return 0;
  }
  const struct denet_lifecycle_entry *life = denet_bpf_source_entry(bpf, process);
  if (life && (life->is_over || life->texts)) {
    *out_uid = life->is_over ? life->end.uid : life->texts->uid;
    return 0;
  }
  return bpf->procfs->read_uid(bpf->procfs, process, out_uid);
}
