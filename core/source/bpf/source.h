/* What the files of the BPF source share: source.c scans, measure.c takes over the values of the
 * records, texts.c reads texts. Nothing else includes this. */
#pragma once

#include "bpf/process_records.h"
#include "core/source/bpf/lifecycle.h"
#include "core/source/bpf/loader.h"
#include "core/source/bpf/task_sums.h"
#include "core/source/source.h"

struct denet_bpf_source {
  struct denet_source source; /* first: a pointer to one is a pointer to the other */
  const struct denet_env *env;
  struct denet_source *procfs; /* owned, like all below */
  struct denet_loader *loader;
  struct denet_lifecycle lifecycle;
  struct denet_buffer records;      /* of the last pass */
  struct denet_buffer rescanned;    /* memory for a rescan */
  struct denet_task_sums task_sums; /* likewise */
  uint64_t opened_ns; /* boot clock, as all times here; processes that started before are not new */
  uint64_t begun_ns;  /* start of the last pass */
  uint64_t complete_ns; /* likewise, if it was complete; else 0 */
  uint64_t events;      /* taken since the start of the last pass */
  uint64_t events_lost; /* events that could not be noted or never came */
  bool has_missed;      /* this pass: a compact record of an unknown process */
  bool is_full;         /* this pass: all records are full */
  int note_failure;     /* this pass: why an event could not be noted */
};

/* Returns the process's entry in the lifecycle, or NULL. */
struct denet_lifecycle_entry *denet_bpf_source_entry(const struct denet_bpf_source *bpf,
                                                     const struct denet_process *process);

/* Notes the events since the last call. */
void denet_bpf_source_drain(struct denet_bpf_source *bpf);

/* Returns the process's full record of this pass, and has later passes list it in full; NULL: none.
 */
const struct denet_task_sum *denet_bpf_source_find_sum(struct denet_bpf_source *bpf,
                                                       struct denet_process *process);

/* The source's functions, see source.h. */
void denet_bpf_source_measure(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted, bool first);
int denet_bpf_source_read_text(struct denet_source *source, struct denet_process *process,
                               enum denet_text_kind kind, struct denet_buffer *out);
int denet_bpf_source_read_uid(struct denet_source *source, const struct denet_process *process,
                              uid_t *out_uid);
