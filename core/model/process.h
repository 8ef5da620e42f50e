/* One process of the host: who it is, and what it has cost so far. */
#pragma once

#include "core/model/metric.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DENET_COMM_BYTES 16 /* with the NUL: TASK_COMM_LEN, include/linux/sched.h */

struct denet_member;             /* tree.h */
struct denet_thread_sums;        /* threads.h */
struct denet_process_wait_stats; /* off_cpu.h */

/* How the counters of a process that is watched from now on begin. Those of a whole namespace,
 * which members do not add up, always begin as DENET_BASELINE_FIRST_SEEN. */
enum denet_baseline {
  DENET_BASELINE_FIRST_SEEN,       /* at zero: what it did before belongs to nobody */
  DENET_BASELINE_BIRTH,            /* with all it has done */
  DENET_BASELINE_BIRTH_IN_RECORDS, /* with all it has done in the lines, at zero in the groups */
};

struct denet_process {
  /* Who it is: (pid, start_ticks) is the key. The source fills this. */
  pid_t pid;
  uint64_t start_ticks;
  pid_t parent_pid;
  char name[DENET_COMM_BYTES];
  bool kernel_thread;
  bool has_reaped;     /* waited for a child: some kernel sums have that child's share in them */
  bool never_execd;    /* still runs the program of the process that forked it */
  uint64_t exec_stamp; /* another number after each exec */

  /* What became of it since the last pass. */
  bool is_new;   /* seen for the first time in this pass */
  bool execd;    /* runs another program than when the rules looked at it last */
  bool changed;  /* new, exec'd or renamed since then: the rules must look again */
  bool has_run;  /* may have used CPU since it was measured last: its values may differ */
  bool ended;    /* nothing of it runs any more; it may still be there as a zombie */
  bool vanished; /* not even as that */
  bool no_mm;    /* the kernel has no texts and no memory for the pid: its main thread has exited
                        while others run, or is about to exit */
  bool has_exit_status;
  int exit_status;   /* as wait(2) has it */
  bool oom_killed;   /* the OOM killer chose it */
  uint64_t ended_ns; /* boot clock; 0 if it is not known when */

  /* Its time in here. */
  uint64_t born_ns;             /* boot clock */
  uint64_t seen_ns;             /* when it was first seen */
  uint64_t measured_ns;         /* when now was read */
  bool born_under_watch;        /* after the first pass */
  enum denet_baseline baseline; /* how its counters begin */
  unsigned match_attempts;      /* how often the rules have looked again at a young process */
  uint64_t resolved_pass;       /* the pass in which its trees were decided last, or */
  int resolve_failure;          /* why they could not be */
  bool text_stalled;    /* a text that the rules need was not known yet at the last match */
  uint64_t advanced_ns; /* the tick in which its values were taken last */

  uint64_t measured; /* bit m: metric m has been asked for since it is watched */
  bool has_headed_tree;
  struct denet_member *members; /* the trees that it counts in */

  unsigned unavailable; /* denet_lack bits: what of it may not be read */

  /* The source's own notes. */
  bool hides_exit;   /* how it ends is not for us to see */
  uint64_t execd_ns; /* the pass that saw its last exec, boot clock; 0: none did, source_bpf.c */
  uint64_t inode;    /* of /proc/PID, procfs_scan.c */
  bool is_unread;    /* this pass could not tell who it is, likewise */
  int io_ahead;      /* outcome of reading its I/O with its stat; DENET_LATER: was not, likewise */
  int net_ahead;     /* as io_ahead, of its network namespace */
  uint64_t cpu_ns;   /* of all its threads, exited ones included */
  uint64_t age_ns;   /* likewise; when now was read */
  uint64_t net_namespace;
  bool io_by_thread;                 /* I/O is summed over threads, as has_reaped */
  struct denet_thread_sums *threads; /* owned */
  bool is_watched;                   /* the kernel has been asked to tell all of it, source_bpf.c */
  bool is_followed;                  /* its threads are, off their CPUs, profiler.c */
  struct denet_process_wait_stats *off_cpu; /* what came of it; owned, NULL: nothing */
  uint64_t missed_ns; /* since when it is not seen, though its end is yet to be told */

  /* What it costs: last, for passes that look at who it is only. */
  struct denet_values now;   /* as the kernel counts, since the process's birth */
  struct denet_values last;  /* counters: the part of now that is in sum already */
  struct denet_values delta; /* counters: what the last advance added; gauges: as now */
  struct denet_values total; /* counters: since it is watched, never falling; gauges: as now */
  double cpu_cores;          /* CPU time per time at its last sample */
  uint64_t cores_ns;         /* when that sample was taken, and */
  uint64_t cores_cpu_ns;     /* its CPU time then (of sum) */
};

/* Who a process is and how it is at one moment, whatever source says so. */
struct denet_identity {
  uint64_t start_ticks, born_ns;
  pid_t parent_pid;
  const char *name; /* NUL-terminated; cut at 15 bytes */
  bool kernel_thread, never_execd, has_reaped;
  bool has_exec_stamp; /* also of one that is a zombie or hollow */
  uint64_t exec_stamp;
  bool is_zombie; /* the main thread */
  bool no_mm;     /* it has no memory, as a zombie or in the middle of its exit; no kernel thread */
  uint64_t threads; /* of the process, the main one included until all are gone */
  bool has_exit_status;
  int exit_status; /* the main thread's, as wait(2) has it */
  bool oom_killed;
};

/* Takes the identity over, and notes what has changed since the last one. */
void denet_process_identify(struct denet_process *process, const struct denet_identity *identity);

/* Takes what was measured into delta and sum. A counter seen for the first time begins as base
 * says; one that ran backwards starts a new series: no delta for it this time. */
void denet_process_advance(struct denet_process *process);

/* Brings cpu_cores up to date if at least window_ns have passed since it was last. */
void denet_process_rate(struct denet_process *process, uint64_t window_ns);

/* The process's network namespace is this one (its number, 0 if unknown). Another one's counts
 * begin anew. */
void denet_process_enter_net(struct denet_process *process, uint64_t namespace);

/* Nothing looks at the process any more: what it does until somebody does again is not counted. */
void denet_process_unwatch(struct denet_process *process);

/* Splits cpu_ns into user and system time in the ratio of the two tick counts, neither ever falling
 * below what now has: the kernel's own way (cputime_adjust, kernel/sched/cputime.c). */
void denet_process_split_cpu(struct denet_values *now, uint64_t cpu_ns, uint64_t user_ticks,
                             uint64_t system_ticks);

/* Puts the time that its threads were blocked into now, which never falls: what is left of age_ns
 * without CPU time and run queue delay. Nothing if now has no run queue delay. */
void denet_process_derive_off_cpu(struct denet_process *process);

/* Frees what it owns. NULL and zeroed are fine. */
void denet_process_done(struct denet_process *process);
