/* Reads the texts of processes: from /proc while the process lives, else from the kernel's event of
 * its exec or exit. */
#include "core/source/bpf/source.h"

#include <errno.h>

/* How long the event of an exec may take to come; after that it was lost. */
#define EXEC_NS UINT64_C(2000000000)

static bool has_texts_of(const struct denet_lifecycle_entry *entry,
                         const struct denet_process *process) {
  return entry && entry->texts && entry->texts->exec_id == process->exec_stamp;
}

/* Reads the text from the event of the program that the process runs, or ran at its end. Returns
 * DENET_GONE if there is no such event. */
static int read_event(const struct denet_bpf_source *bpf, const struct denet_process *process,
                      enum denet_text_kind kind, struct denet_buffer *out) {
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (!has_texts_of(entry, process))
    return DENET_GONE;
  denet_buffer_clear(out);
  return denet_lifecycle_entry_text(entry, kind, out);
}

/* Returns whether the process is in an exec whose event has not come yet. */
static bool is_in_exec(const struct denet_bpf_source *bpf, const struct denet_process *process,
                       const struct denet_lifecycle_entry *entry) {
  bool is_ours = process->notes.bpf.execd_ns || process->born_ns > bpf->opened_ns;
  uint64_t since_ns = process->notes.bpf.execd_ns ? process->notes.bpf.execd_ns : process->born_ns;
  bool is_due = is_ours && bpf->begun_ns < since_ns + EXEC_NS && !bpf->source.lost;
  bool has_event = entry && entry->texts && entry->texts->exec_id >= process->exec_stamp;
  return is_due && process->execd && !process->never_execd && !has_event;
}

/* Reads the text from /proc. Returns DENET_GONE if it may be of another program than the pass saw,
 * or if it is empty because the process exits or is in its exec. */
static int read_proc(struct denet_bpf_source *bpf, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_source *procfs = &bpf->procfs->source;
  int outcome = procfs->read_text(procfs, process, kind, out);
  bpf->source.seen_unavailable |= procfs->seen_unavailable & DENET_UNAVAILABLE_EXECUTABLE;
  denet_loader_drain(bpf->loader);
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  bool has_execd = entry && entry->texts && entry->texts->exec_id > process->exec_stamp;
  bool has_event = has_texts_of(entry, process);
  bool is_emptied = entry && (entry->has_exited || has_event) && !outcome && !out->length;
  return has_execd || is_emptied || is_in_exec(bpf, process, entry) ? DENET_GONE : outcome;
}

/* Returns whether /proc may have more than the event: the arguments are cut or were not resident,
 * or the path was too deep. */
static bool is_partial(enum denet_text_kind kind, int outcome, const struct denet_buffer *text) {
  size_t most = DENET_BPF_ARGUMENT_BYTES - 2; /* without a NUL at the end */
  bool is_cut = !text->length || text->length >= most;
  return outcome == -ENOENT || (kind == DENET_TEXT_ARGUMENTS && is_cut);
}

int denet_bpf_source_read_text(struct denet_source *source, struct denet_process *process,
                               enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  int from_event = read_event(bpf, process, kind, out);
  bool wants_proc = from_event == DENET_GONE || is_partial(kind, from_event, out);
  if (!wants_proc || process->vanished)
    return from_event;
  int outcome = read_proc(bpf, process, kind, out);
  if (!outcome)
    return 0;
  /* The text of an event, which may have come meanwhile, is better than none. An empty one is not,
   * if /proc may have more at another time. */
  from_event = read_event(bpf, process, kind, out);
  bool may_come = outcome == DENET_LATER || denet_error_is_transient(outcome);
  bool is_empty = from_event || !out->length;
  return from_event == DENET_GONE || (may_come && is_empty) ? outcome : from_event;
}

int denet_bpf_source_read_uid(struct denet_source *source, const struct denet_process *process,
                              uid_t *out_uid) {
  const struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  const struct denet_bpf_process *record = denet_bpf_source_record(bpf, process);
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (record)
    *out_uid = record->uid;
  else if (entry && (entry->was_freed || entry->texts))
    *out_uid = entry->was_freed ? entry->final.uid : entry->texts->uid;
  else
    return denet_procfs_read_uid(&bpf->procfs->source, process, out_uid);
  return 0;
}
