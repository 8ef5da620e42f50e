/* What the files of the BPF source share: source.c scans and reads texts, measure.c takes over the
 * values of the records. Nothing else includes this. */
#pragma once

#include "bpf/process_records.h"
#include "core/source/bpf/lifecycle.h"
#include "core/source/bpf/loader.h"
#include "core/source/procfs/procfs.h"
#include "core/source/source.h"

struct denet_bpf_source {
  struct denet_source source; /* first: a pointer to one is a pointer to the other */
  const struct denet_env *env;
  struct denet_procfs *procfs; /* owned, like all below */
  struct denet_loader *loader;
  struct denet_lifecycle lifecycle;
  struct denet_buffer records;      /* as the task iterator listed them last */
  struct denet_buffer next_records; /* space for the next list: one that fails changes nothing */
  uint64_t lists;                   /* so often were they listed; older records are not valid */
  uint64_t opened_ns; /* boot clock, as all times here; processes that started before are not new */
  uint64_t begun_ns;  /* start of the last pass */
  uint64_t complete_ns; /* likewise, if it was complete; else 0 */
  uint64_t events;      /* taken since the start of the last pass */
  uint64_t events_lost; /* events that could not be noted or never came */
  bool has_missed;      /* this pass: a compact record of an unknown process */
  bool is_full;         /* all records are full */
  int note_failure;     /* this pass: why an event could not be noted */
};

/* Returns the record of a list of the task iterator at *offset, which the caller may change, and
 * moves *offset behind it; NULL at the end, and at a record that is unknown or cut. Pure. */
struct denet_bpf_head *denet_bpf_source_next_task(struct denet_buffer *records, size_t *offset);

/* Returns the process's entry in the lifecycle, or NULL. */
static inline struct denet_lifecycle_entry *
denet_bpf_source_entry(const struct denet_bpf_source *bpf, const struct denet_process *process) {
  return denet_lifecycle_find(&bpf->lifecycle, process->pid, process->born_ns);
}

/* Returns the process's full record of the last list, with the usage of all its threads; NULL: it
 * has none. */
static inline struct denet_bpf_process *
denet_bpf_source_record(const struct denet_bpf_source *bpf, const struct denet_process *process) {
  return process->notes.bpf.list == bpf->lists ? process->notes.bpf.record : NULL;
}

/* Has later passes list the process in full. If the last list has no full record of it, lists all
 * processes again. */
void denet_bpf_source_list_in_full(struct denet_bpf_source *bpf,
                                   const struct denet_process *process);

/* A function of the source, see source.h. */
void denet_bpf_source_measure(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted, bool first);
