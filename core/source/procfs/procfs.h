/* The /proc source, as its files share it: procfs.c opens it and reads files, scan.c lists the
 * processes, measure.c reads values, texts.c texts. The BPF source includes this too: it takes from
 * /proc what the kernel programs do not have. */
#pragma once

#include "core/source/procfs/read_worker.h"
#include "core/source/source.h"

#include <dirent.h>
#include <limits.h>

/* The metrics in one file of /proc, from metrics.def. */
struct denet_procfs_plan {
  unsigned count;
  enum denet_metric metric[8];
  const char *key[8];
  unsigned index[8]; /* the key as a number; 0 if it is a word */
  uint64_t unit[8];
  struct denet_metric_set metrics;
};

struct denet_procfs_listed {
  pid_t pid;
  uint64_t inode; /* of /proc/PID */
};

/* The interface sums of one network namespace. */
struct denet_procfs_net {
  uint64_t namespace;
  uint64_t present; /* bit i: value[i] was found */
  uint64_t value[2];
};

/* Room for a file with numbers; status has 5 KiB on a host with many CPUs. */
#define DENET_PROCFS_TEXT 16384

struct denet_procfs {
  struct denet_source source; /* first: a pointer to it is one to this struct */
  const struct denet_env *env;
  DIR *folder;
  int proc_fd;        /* of folder */
  bool sees_all;      /* all of stat of other users' processes may be read */
  bool has_schedstat; /* the kernel keeps run queue times */
  bool own_pids;      /* pids there are of the own pid namespace: clock_gettime() takes them */
  uint64_t own_net;   /* the own network namespace if own_pids; else 0 */
  struct denet_procfs_plan plan[DENET_FILES];
  struct denet_procfs_listed *listed; /* ascending pids */
  size_t listed_count, listed_capacity;
  int read_failure;              /* the last outcome that denet_procfs_note_failure() kept */
  int scan_failure;              /* of this pass: a failure other than a process that is gone */
  struct denet_procfs_net *nets; /* read in this pass */
  size_t net_count, net_capacity;
  struct denet_buffer net_text;
  bool wants_all;                    /* nothing was measured yet: any metric may be wanted */
  struct denet_metric_set wanted;    /* of any process so far */
  struct denet_read_worker *texts;   /* reads cmdline and exe */
  struct denet_read_worker *numbers; /* reads stat, io and ns/net */
  pid_t *tids;                       /* of the process that is measured */
  size_t tid_count, tid_capacity;
  char text[DENET_PROCFS_TEXT + 1];
};

/* Returns the outcome of a failed system call on a file of a process: DENET_GONE or -errno. */
int denet_procfs_outcome(void);

/* Notes an outcome, unless it is that a process is gone or a file not permitted. Returns it. */
int denet_procfs_note_failure(struct denet_procfs *procfs, int outcome);

/* Notes what may not be read of the process if the outcome says so (EACCES, EPERM). */
void denet_procfs_note_denied(struct denet_procfs *procfs, struct denet_process *process,
                              int outcome, enum denet_unavailable what);

/* Opens a file of the process, or of its thread if tid is not 0. A descriptor, or -1 with errno. */
int denet_procfs_open_file(const struct denet_procfs *procfs, pid_t pid, pid_t tid,
                           const char *name, int flags);

/* Reads a small file on which a read cannot stall. 0 with the text, borrowed until the next read;
 * DENET_GONE; -errno; -EMSGSIZE if the file has 16 KiB or more. */
int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text);

/* Appends a file to the list of procfs->numbers. Returns its index there. */
unsigned denet_procfs_add_file(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name);

/* Returns what procfs->numbers has read, at most 2 KiB: 0 with the text, borrowed until the next
 * list begins; DENET_GONE; -errno; -EAGAIN: the read stalls. */
int denet_procfs_file_text(struct denet_procfs *procfs, unsigned index,
                           struct denet_text *out_text);

/* Appends one file, reads the list, and returns as denet_procfs_file_text() does. */
int denet_procfs_read_listed(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                             struct denet_text *out_text);

/* The files of a process that the scan reads, as indices in the list of procfs->numbers. */
#define DENET_PROCFS_FILES_MOST 3
#define DENET_PROCFS_NOT_READ UINT_MAX
struct denet_procfs_files {
  unsigned stat, io, net_namespace;
};

/* Appends stat of a process, and io and ns/net if their metrics were wanted before. process is NULL
 * for a new one. */
void denet_procfs_add_files(struct denet_procfs *procfs, pid_t pid,
                            const struct denet_process *process,
                            struct denet_procfs_files *out_files);

/* Takes the values of io and ns/net. */
void denet_procfs_take_files(struct denet_procfs *procfs, struct denet_process *process,
                             const struct denet_procfs_files *files);

/* Reads the values of stat, and the CPU clock. The scan does so for a process that has run; this is
 * for a process that comes to be measured while it sleeps. */
void denet_procfs_measure_stat(struct denet_procfs *procfs, struct denet_process *process);

/* Returns the pid in the name of a directory, 0 if it is none. */
pid_t denet_procfs_parse_pid(const char *name);

/* For a source that has its processes from elsewhere. */
bool denet_procfs_has_own_pids(const struct denet_source *source);
void denet_procfs_begin_pass(struct denet_source *source); /* at the start of a pass */

/* Updates cpu_ns and measured_ns from the CPU clock of the process. 0; DENET_GONE; -ENOTSUP if pids
 * are not of the own namespace. */
int denet_procfs_read_cpu(struct denet_source *source, struct denet_process *process);

/* Reads the network counts of the process's namespace, if they are wanted. */
void denet_procfs_measure_net(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted);

/* The functions of the source, see source.h. */
int denet_procfs_scan(struct denet_source *source, struct denet_process_table *table,
                      struct denet_error *error);
void denet_procfs_measure(struct denet_source *source, struct denet_process *process,
                          const struct denet_metric_set *wanted, bool first);
int denet_procfs_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out);
int denet_procfs_read_uid(struct denet_source *source, const struct denet_process *process,
                          uid_t *out_uid);
