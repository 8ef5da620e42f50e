/* A source of processes: /proc, or BPF programs in the kernel. Both fill the same structs with the
 * same meaning. */
#pragma once

#include "core/model/process_table.h"
#include "core/util/buffer.h"
#include "core/util/env.h"
#include "core/util/error.h"

#include <stdbool.h>

/* Flags of a task in /proc/PID/stat and in the kernel's records; include/linux/sched.h. */
#define PF_FORKNOEXEC 0x40 /* forked but did not exec */
#define PF_KTHREAD 0x00200000

/* A text of a process. It is read only when a rule or a metadata line needs it. */
enum denet_text_kind {
  DENET_TEXT_ARGUMENTS,  /* NUL between the arguments, none at the end */
  DENET_TEXT_EXECUTABLE, /* real path, without " (deleted)" */
  DENET_TEXT_CGROUP,     /* path, see denet_parse_cgroup() */
};

struct denet_unavailable_info {
  enum denet_unavailable lack;
  const char *name;   /* in the metadata line's capabilities; rows of one name are adjacent */
  const char *reason; /* likewise: what is needed */
  const char *advice; /* one sentence for the log: what is lost and what brings it back; NULL if
                         another row of the same lack has it */
};

#define DENET_UNAVAILABLE_ROWS 6
extern const struct denet_unavailable_info denet_unavailable_info[DENET_UNAVAILABLE_ROWS];

/* The value gauge-source of the group _self. */
#define DENET_SOURCE_ID_PROCFS 1
#define DENET_SOURCE_ID_BPF 2

struct denet_source {
  const char *name;          /* "bpf" or "procfs" */
  unsigned source_id;        /* DENET_GAUGE_* */
  unsigned unavailable;      /* denet_unavailable bits: what cannot be read of any process */
  unsigned seen_unavailable; /* the same, and what could not be read of some process so far */
  uint64_t lost;             /* starts and ends of processes that were missed */
  struct denet_process_table *table; /* of the last scan; borrowed. NULL: there was none */
  int event_fd; /* readable when there are events for drain_events(); -1: no drain_events() */

  /* One pass over all processes: fills the table, and those values that come with it. 0 or -errno
   * with a sentence; the table is complete in either case. */
  int (*scan)(struct denet_source *source, struct denet_process_table *table,
              struct denet_error *error);

  /* Between passes: reads the events. Calls is_wanted() with each process that has begun a program,
   * filled as far as known and valid for read_text() and read_uid() during the call. Returns true
   * if a pass is due: is_wanted() returned true, or events may be lost. NULL if event_fd is -1. */
  bool (*drain_events)(struct denet_source *source,
                       bool (*is_wanted)(void *context, struct denet_process *process),
                       void *context);

  /* Updates the wanted metrics of process->usage->now. first: also those that cannot have changed
   * since the last pass. A metric that cannot be read stays absent or as last read; a process that
   * vanishes is no error. Clears process->has_run, unless a read is to be repeated. */
  void (*measure)(struct denet_source *source, struct denet_process *process,
                  const struct denet_metric_set *wanted, bool first);

  /* Reads a text of the process itself into out. 0; DENET_GONE, also of a fork that has begun its
   * exec since the pass; DENET_LATER: the read stalls; a transient error
   * (denet_error_is_transient()): try again later; -EACCES, -EPERM: not permitted; another -errno:
   * there is no such text. */
  int (*read_text)(struct denet_source *source, struct denet_process *process,
                   enum denet_text_kind kind, struct denet_buffer *out);

  /* Reads the real user id. Outcomes as of read_text(). */
  int (*read_uid)(struct denet_source *source, const struct denet_process *process, uid_t *out_uid);

  void (*free)(struct denet_source *source);
};

/* Reads a text as source->read_text() does. A process that exits loses its texts; if it never
 * exec'd, the text of the nearest ancestor that has it and runs the same program is read instead,
 * as a fork runs its parent's program. */
int denet_source_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out);

/* Open one source. env is borrowed and must outlive the source. 0 or -errno with a sentence. */
int denet_procfs_open(const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source);
int denet_bpf_open(const struct denet_env *env, struct denet_error *error,
                   struct denet_source **out_source);

/* Opens the source that choice names, in any case: "bpf", "procfs", or "auto" for bpf where it
 * works, else procfs. 0; -EINVAL for another word; another -errno. Each failure has a sentence, and
 * so has "auto" when it returns 0 without bpf: why bpf does not work. */
int denet_source_open(const char *choice, const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source);

void denet_source_free(struct denet_source *source); /* NULL is accepted */
