/* What the files of the BPF source share: source_bpf.c scans and measures, source_bpf_take.c takes
 * over who a process is and how it ended, source_bpf_describe.c tells its texts. Nothing else
 * includes this. */
#pragma once

#include "bpf/process_records.h"
#include "core/source/bpf/lifecycle.h"
#include "core/source/bpf/loader.h"
#include "core/source/bpf/task_sums.h"
#include "core/source/source.h"

struct denet_bpf_source {
  struct denet_source source; /* first: the one is the other */
  const struct denet_env *env;
  struct denet_source *procfs; /* owned, as is all below */
  struct denet_loader *programs;
  struct denet_lifecycle lifecycle;
  struct denet_buffer records;      /* of the last pass */
  struct denet_task_sums task_sums; /* likewise */
  uint64_t opened_ns;               /* boot clock, as all here: what was born before is not new */
  uint64_t begun_ns, settled_ns;    /* the last pass, complete passes: when they began */
  uint64_t events;                  /* taken in this pass */
  uint64_t notes_lost;              /* events that could not be taken down */
  bool has_missed;  /* this pass: a process was told of in brief that was not known */
  bool is_relisted; /* this pass was read a second time, all at length */
  int note_failure; /* of this pass: why an event could not be taken down */
};

/* What has been heard of the process, or NULL. */
struct denet_lifecycle_entry *denet_bpf_source_entry(const struct denet_bpf_source *bpf,
                                                     const struct denet_process *process);

/* Takes down what has been heard since the last time. */
void denet_bpf_source_drain(struct denet_bpf_source *bpf);

/* Takes over who the process is, and how it ended if it has. */
void denet_bpf_source_identify(const struct denet_bpf_source *bpf, struct denet_process *process,
                               const struct denet_bpf_identity *record, int exit_code);

/* Puts what the exit event says into the process, which is a zombie or about to be one, and into
 * its record: when it ended, and the memory that it had. Does nothing if no exit event has come. */
void denet_bpf_source_take_exit(const struct denet_bpf_source *bpf, struct denet_process *process,
                                struct denet_bpf_process *record);

/* The process is over: takes over who it was. */
void denet_bpf_source_take_end(const struct denet_bpf_source *bpf, struct denet_process *process,
                               struct denet_lifecycle_entry *life);

/* Returns what the pass lists of the process, and has later passes list it in full. NULL: nothing.
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
