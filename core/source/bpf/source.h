/* What the files of the BPF source share: source.c scans and measures, exits.c takes over who a
 * process is and how it ended, texts.c reads its texts. Nothing else includes this. */
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

/* Takes over who the process is, and how it ended if it has. */
void denet_bpf_source_identify(const struct denet_bpf_source *bpf, struct denet_process *process,
                               const struct denet_bpf_identity *record, int exit_code);

/* Takes over when a process exited, and its memory then. entry may be NULL. */
void denet_bpf_source_take_exit(const struct denet_bpf_source *bpf, struct denet_process *process,
                                const struct denet_lifecycle_entry *entry);

/* Fills in what the lines of a process need that is first seen at its end. */
void denet_bpf_source_complete(struct denet_process *process);

/* Takes over the final usage of a process that is gone, and who it was. */
void denet_bpf_source_take_final(const struct denet_bpf_source *bpf, struct denet_process *process,
                                 struct denet_lifecycle_entry *entry);

/* The source's functions, see source.h. */
int denet_bpf_source_read_text(struct denet_source *source, struct denet_process *process,
                               enum denet_text_kind kind, struct denet_buffer *out);
int denet_bpf_source_read_uid(struct denet_source *source, const struct denet_process *process,
                              uid_t *out_uid);
