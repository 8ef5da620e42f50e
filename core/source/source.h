/* Where processes come from: /proc, or the kernel's own iterator. Both fill the same structs with
 * the same meaning. */
#pragma once

#include "core/model/process_table.h"
#include "core/util/buffer.h"
#include "core/util/env.h"
#include "core/util/error.h"

#include <stdbool.h>

/* Flags of a task, as stat and the kernel's iterator give them; include/linux/sched.h. */
#define PF_FORKNOEXEC 0x40 /* forked but did not exec */
#define PF_KTHREAD 0x00200000

/* Text of a process, read only when a rule or a file's metadata needs it. */
enum denet_text_kind {
  DENET_TEXT_ARGUMENTS,  /* NUL between the arguments, none at the end */
  DENET_TEXT_EXECUTABLE, /* real path, without " (deleted)" */
  DENET_TEXT_CGROUP,     /* path, see denet_parse_cgroup() */
};

struct denet_unavailable_info {
  enum denet_unavailable lack;
  const char *name;   /* as the files' capabilities block calls it; rows of one name are adjacent */
  const char *reason; /* what it needs, for that block */
  const char *advice; /* one sentence for the log: what is lost and what brings it back; NULL if
                         another row of the lack has it */
};

#define DENET_UNAVAILABLE_ROWS 6
extern const struct denet_unavailable_info denet_unavailable_info[DENET_UNAVAILABLE_ROWS];

/* gauge-source of _self. */
#define DENET_SOURCE_ID_PROCFS 1
#define DENET_SOURCE_ID_BPF 2

struct denet_source {
  const char *name;          /* "bpf" or "procfs" */
  unsigned source_id;        /* DENET_GAUGE_* */
  unsigned unavailable;      /* denet_lack bits: what no process has here */
  unsigned seen_unavailable; /* of what some process did not let be read so far, and of lacks */
  uint64_t lost;             /* beginnings and ends of processes that could not be told */
  const struct denet_process_table *table; /* that the last scan went into; borrowed */
  int event_fd; /* readable when drain_events() has something to tell; or -1: there is no
                   drain_events() */

  /* One pass over every process: who is there, and as much of what it costs as comes with that.
   * 0 or -errno with a sentence; the table is whole in either case. */
  int (*scan)(struct denet_source *source, struct denet_process_table *table,
              struct denet_error *error);

  /* Between passes: takes in what has happened. Shows each process that has begun a program, as far
   * as it is known, good for describe() and owner() during the call. True if a pass should not
   * wait: is_wanted() said so of one, or something may be lost. NULL where event_fd is -1. */
  bool (*drain_events)(struct denet_source *source,
                       bool (*is_wanted)(void *context, struct denet_process *process),
                       void *context);

  /* Brings the wanted metrics of process->usage->now up to date. first: also those that
   * cannot have changed since the last pass. Those that cannot be read stay as they were, absent or
   * as last read: a process that vanishes meanwhile is no event. Clears process->has_run, unless
   * something is to be tried again. */
  void (*measure)(struct denet_source *source, struct denet_process *process,
                  const struct denet_metric_set *wanted, bool first);

  /* Reads a text of its own into out. 0; DENET_GONE; DENET_LATER: somebody holds it up; -EACCES and
   * the like: it is there but not for us; what denet_source_is_passing() knows: it could be had at
   * another time. */
  int (*read_text)(struct denet_source *source, struct denet_process *process,
                   enum denet_text_kind kind, struct denet_buffer *out);

  /* The real user id. Returns as describe() does. */
  int (*read_uid)(struct denet_source *source, const struct denet_process *process, uid_t *out_uid);

  void (*free)(struct denet_source *source);
};

/* Whether an outcome is a failure of the moment, such as a lack of memory or of descriptors: it
 * says nothing of the process, and is to be tried again. */
bool denet_source_is_passing(int outcome);

/* Reads a text as source->read_text() does; of one that has lost it in its exit and never exec'd,
 * that of the nearest ancestor that has it and runs the same program: the process ran what its
 * parent did when it forked. */
int denet_source_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out);

/* host is borrowed and must outlive the source. 0 or -errno with a sentence. */
int denet_procfs_open(const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source);
int denet_bpf_open(const struct denet_env *env, struct denet_error *error,
                   struct denet_source **out_source);

/* choice: "auto" (bpf if it can be had), "bpf" or "procfs", any case. 0; -EINVAL for another word;
 * -errno with a sentence that says why it cannot be had. When "auto" had to do without bpf, error
 * holds the reason though the result is 0. */
int denet_source_open(const char *choice, const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source);

void denet_source_free(struct denet_source *source); /* NULL is fine */
