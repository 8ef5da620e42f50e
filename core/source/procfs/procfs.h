/* What the files of the /proc source share: procfs.c reads, procfs_scan.c looks who is there,
 * procfs_measure.c measures, procfs_describe.c reads texts. Of others only source_bpf.c includes
 * this: what the kernel's programs do not have it takes from /proc. */
#pragma once

#include "core/source/procfs/aside.h"
#include "core/source/procfs/batch.h"
#include "core/source/source.h"

#include <dirent.h>
#include <limits.h>

/* The metrics that one file of /proc holds. */
struct denet_procfs_plan {
  unsigned count;
  enum denet_metric metric[8];
  const char *key[8];
  unsigned index[8]; /* the key as a number, 0 if it is a word */
  uint64_t unit[8];
  struct denet_metric_set metrics; /* that are in this file */
};

struct denet_procfs_listed {
  pid_t pid;
  uint64_t inode;
};

/* The interface sums of one network namespace. */
struct denet_procfs_net {
  uint64_t namespace;
  uint64_t present;
  uint64_t value[2];
};

/* Of the files with numbers; status of a many-core host has 5 KiB. */
#define DENET_PROCFS_TEXT 16384

struct denet_procfs {
  struct denet_source source; /* first: the one is the other */
  const struct denet_env *env;
  DIR *folder;
  int proc_fd;      /* of folder */
  bool sees_all;    /* may read all of stat of other users' processes */
  bool own_pids;    /* pids in there are pids of ours, so that CPU clocks can be asked for by pid */
  uint64_t own_net; /* our own network namespace, if own_pids; else 0 */
  struct denet_procfs_plan plan[DENET_FILES];
  struct denet_procfs_listed *listed;
  size_t listed_count, listed_capacity;
  int read_failure; /* the last one that was neither a process gone nor a lack of rights */
  int scan_failure; /* of this pass: something other than a process that is gone */
  struct denet_procfs_net *nets; /* read in this pass */
  size_t net_count, net_capacity;
  struct denet_buffer net_text;
  bool wants_all;                 /* nothing was measured yet; then: */
  struct denet_metric_set wanted; /* of any process so far */
  struct denet_aside *aside;      /* reads the texts, */
  struct denet_batch *batch;      /* and this the numbers that somebody may hold up */
  pid_t *tids;                    /* of the process that is measured */
  size_t tid_count, tid_capacity;
  char text[DENET_PROCFS_TEXT + 1];
};

/* Which outcome a failed system call on a file of a process is: DENET_GONE or -errno. */
int denet_procfs_outcome(void);

/* Notes an outcome that is neither a process gone nor a lack of rights. Returns it. */
int denet_procfs_note_failure(struct denet_procfs *procfs, int outcome);

/* Opens a file of the process, or with tid of its thread. A descriptor, or -1 with errno. */
int denet_procfs_open_file(const struct denet_procfs *procfs, pid_t pid, pid_t tid,
                           const char *name, int flags);

/* Reads a small file that nobody can hold up to its end. 0 with the text (borrowed until the next
 * read), DENET_GONE, -errno; -EMSGSIZE if it does not fit. */
int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text);

/* Asks procfs->batch for the file; nothing is read yet. Returns its place. */
unsigned denet_procfs_ask_file(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name);

/* What the batch has read, 2 KiB at most. 0 with the text (borrowed until the batch begins anew);
 * DENET_GONE; -errno; -EAGAIN: somebody holds it up. */
int denet_procfs_text(struct denet_procfs *procfs, unsigned place, struct denet_text *out_text);

/* Both, for one file. */
int denet_procfs_read_held(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                           struct denet_text *out_text);

/* Places in the batch of what is read of a process in a pass. */
#define DENET_PROCFS_FILES_ASKED 3
#define DENET_PROCFS_NOWHERE UINT_MAX
struct denet_procfs_at {
  unsigned stat, io, net_namespace; /* DENET_PROCFS_NOWHERE: not asked for */
};

/* Asks for stat of a process, and for what measuring it is going to need, as far as one can tell
 * from the last pass. process is NULL for a new one. */
void denet_procfs_ask(struct denet_procfs *procfs, pid_t pid, const struct denet_process *process,
                      struct denet_procfs_at *out_at);

/* Takes over what has been read besides stat, which has been taken. */
void denet_procfs_take_ahead(struct denet_procfs *procfs, struct denet_process *process,
                             const struct denet_procfs_at *at);

/* Notes that something of the process may not be read. */
void denet_procfs_note_unavailable(struct denet_procfs *procfs, struct denet_process *process,
                                   enum denet_unavailable lack);

/* The pid that a folder's name is, 0 if it is none. */
pid_t denet_procfs_parse_pid(const char *name);

/* For a source that has its processes from elsewhere. */
bool denet_procfs_has_own_pids(const struct denet_source *source);
void denet_procfs_forget_nets(struct denet_source *source); /* a new pass has begun */

/* Brings cpu_ns and measured_ns up to date by the process's CPU clock. 0; DENET_GONE; -ENOTSUP when
 * pids are not our own. */
int denet_procfs_read_cpu(struct denet_source *source, struct denet_process *process);

/* Reads what stat and the CPU clock tell of the process. The scan does so for a process that has
 * run; this is for one that comes to count while it is asleep. */
void denet_procfs_measure_stat(struct denet_procfs *procfs, struct denet_process *process);

/* Network counts of the process's namespace, as far as they are wanted. */
void denet_procfs_measure_net(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted);

/* The source's functions, see source.h. */
int denet_procfs_scan(struct denet_source *source, struct denet_process_table *table,
                      struct denet_error *error);
void denet_procfs_measure(struct denet_source *source, struct denet_process *process,
                          const struct denet_metric_set *wanted, bool first);
int denet_procfs_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out);
int denet_procfs_read_uid(struct denet_source *source, const struct denet_process *process,
                          uid_t *out_uid);
