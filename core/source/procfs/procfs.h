/* The /proc source, as its files share it: procfs.c opens it and reads files and texts,
 * measure.c lists the processes and reads values. The BPF source includes this too: it takes from
 * /proc what the kernel programs do not have. */
#pragma once

#include "core/source/procfs/read_worker.h"
#include "core/source/source.h"

#include <dirent.h>

/* The metrics in one file of /proc, from metrics.def. */
struct denet_procfs_plan {
  unsigned count;
  enum denet_metric metric[DENET_METRICS];
  const char *key[DENET_METRICS];
  unsigned index[DENET_METRICS]; /* the key as a number; 0 if it is a word */
  uint64_t unit[DENET_METRICS];
  struct denet_metric_set metrics;
};

struct denet_procfs_list {
  struct denet_procfs_listed {
    pid_t pid;
    uint64_t inode; /* of /proc/PID */
  } * items;        /* owned */
  size_t count, capacity;
};

/* The interface sums of one network namespace. */
struct denet_procfs_net {
  uint64_t namespace;
  struct denet_values values;
};

/* Room for a file with numbers; status has 5 KiB on a host with many CPUs. */
#define DENET_PROCFS_TEXT 16384

struct denet_procfs {
  struct denet_source source; /* first: a pointer to it is one to this struct */
  const struct denet_env *env;
  DIR *folder;
  bool sees_all;      /* all of stat of other users' processes may be read */
  bool has_schedstat; /* the kernel keeps run queue times */
  bool own_pids;      /* pids there are of the own pid namespace: clock_gettime() takes them */
  uint64_t own_net;   /* the own network namespace if own_pids; else 0 */
  struct denet_procfs_plan plan[DENET_FILES];
  struct denet_procfs_list processes;
  struct denet_procfs_list threads; /* of the process that is measured */
  int read_failure;                 /* the last failure that denet_procfs_note() kept */
  int scan_failure;                 /* of this pass: a failure other than a process that is gone */
  struct denet_procfs_net *nets;    /* read in this pass */
  size_t net_count, net_capacity;
  struct denet_buffer net_text;
  struct denet_read_worker *texts;   /* reads cmdline and exe */
  struct denet_read_worker *numbers; /* reads stat, io and ns/net */
  char text[DENET_PROCFS_TEXT + 1];
};

/* Returns DENET_GONE if the -errno says that there is no such process, else the same outcome. */
int denet_procfs_outcome(int outcome);

/* Notes an outcome: a failure, unless the process is gone; if it is not permitted (EACCES, EPERM),
 * what may not be read of the process, if one is given. Returns the outcome. */
int denet_procfs_note(struct denet_procfs *procfs, struct denet_process *process, int outcome,
                      enum denet_unavailable what);

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

/* Appends a pid. 0 or -ENOMEM. */
int denet_procfs_append(struct denet_procfs_list *list, pid_t pid, uint64_t inode);

/* Replaces the list by the pids that are names in the folder, ascending. 0 or -errno. */
int denet_procfs_list(struct denet_procfs_list *list, DIR *folder);

/* Returns the thread whose folder has memory and texts of a process: 0, the process itself; a
 * living thread if the main thread has exited, which has none of them any more (exit_mm,
 * kernel/exit.c); -1 if no thread has them. Replaces procfs->threads. */
pid_t denet_procfs_find_mm(struct denet_procfs *procfs, const struct denet_process *process);

/* Begins a pass: the network counts of the last one are not valid any more. */
void denet_procfs_begin_pass(struct denet_procfs *procfs);

/* Reads the CPU time of all threads of the process, exited ones included, ns, which the kernel sums
 * (posix_cpu_clock_get, kernel/time/posix-cpu-timers.c), and the time of the reading, boot clock.
 * 0; DENET_GONE if there is no such process; -ENOTSUP if pids are not of the own namespace. The
 * time is stored always. */
int denet_procfs_read_cpu(const struct denet_procfs *procfs, pid_t pid, uint64_t *out_cpu_ns,
                          uint64_t *out_now_ns);

/* Reads the network counts of the process's namespace, if they are wanted. */
void denet_procfs_measure_net(struct denet_procfs *procfs, struct denet_process *process,
                              const struct denet_metric_set *wanted);

/* The functions of the source, see source.h. */
int denet_procfs_scan(struct denet_source *source, struct denet_process_table *table,
                      struct denet_error *error);
void denet_procfs_measure(struct denet_source *source, struct denet_process *process,
                          const struct denet_metric_set *wanted, bool first);
