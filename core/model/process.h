/* One process of the host: who it is, what the rules made of it, and what it costs. */
#pragma once

#include "core/model/usage.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DENET_COMM_BYTES 16 /* with the NUL: TASK_COMM_LEN, include/linux/sched.h */

struct denet_bpf_process;        /* bpf/process_records.h */
struct denet_member;             /* tree.h */
struct denet_process_wait_stats; /* wait_stats.h */

/* State of a process that only the source in use reads and writes. */
union denet_source_notes {
  struct denet_procfs_notes {
    uint64_t inode;  /* of /proc/PID: another one, another process */
    uint64_t cpu_ns; /* its CPU clock at the last pass */
    bool is_unread;  /* this pass could not read its stat */
    bool hides_exit; /* its exit status is hidden from this user */
    bool has_others; /* this pass has read its I/O and network namespace, if they are wanted */
  } procfs;
  struct denet_bpf_notes {
    uint64_t execd_ns;  /* the pass that saw its last exec, boot clock; 0: none did */
    uint64_t missed_ns; /* since when no pass lists it, though its end is yet to come; 0: listed */
    struct denet_bpf_process *record; /* with the usage of all its threads; borrowed */
    uint64_t list;                    /* the list of tasks that record is of, by number */
    unsigned listed_threads;          /* in that list, the main one included */
    uid_t uid;                        /* in the last full record */
  } bpf;
};

struct denet_process {
  /* Who it is: (pid, start_ticks) is the key. The source fills this. */
  pid_t pid;
  uint64_t start_ticks;
  pid_t parent_pid;
  char name[DENET_COMM_BYTES];
  uint64_t born_ns;    /* boot clock */
  uint64_t exec_stamp; /* another number after each exec */
  bool kernel_thread;
  bool has_reaped;  /* waited for a child: some kernel sums have that child's share in them */
  bool never_execd; /* still runs the program of the process that forked it */
  bool no_mm; /* the kernel has no texts and no memory for the main thread: it has exited, perhaps
                 while others run, or is about to exit */

  /* What became of it since the last pass. */
  bool is_new;   /* seen for the first time in this pass */
  bool execd;    /* runs another program than when the rules looked at it last */
  bool changed;  /* new, exec'd or renamed since then: the rules must look again */
  bool has_run;  /* may have used CPU since it was measured last: its values may differ */
  bool ended;    /* nothing of it runs any more; it may still be there as a zombie */
  bool vanished; /* its pid is gone from the source: not even a zombie */
  bool has_exit_status;
  bool oom_killed;   /* the OOM killer chose it */
  int exit_status;   /* as wait(2) has it */
  uint64_t ended_ns; /* boot clock; 0 if it is not known when */
  union denet_source_notes notes;

  /* What the rules made of it. */
  uint64_t seen_ns;             /* when it was first seen, boot clock */
  bool born_under_watch;        /* after the first pass */
  bool has_headed_tree;         /* some tree had it as its root */
  enum denet_baseline baseline; /* how its counters begin */
  unsigned match_attempts;      /* how often the rules have looked again at a young process */
  uint64_t resolved_pass;       /* the pass in which its trees were decided last, or */
  int resolve_failure;          /* why they could not be */
  bool was_matched;             /* the rules have been applied to it */
  bool text_stalled;            /* a text that the rules need was not known yet at the last match */
  unsigned unavailable;         /* denet_unavailable bits: what of it may not be read */
  struct denet_member *members; /* the trees that it counts in */

  /* What the profiler notes of it. */
  struct denet_process_wait_stats *off_cpu; /* owned; NULL: the kernel listed no wait of it */
  bool is_followed;                         /* the kernel follows its threads off their CPUs */

  /* What it costs: owned; NULL unless it counts somewhere or did, or was read in this pass. */
  struct denet_usage *usage;
};

/* Who a process is and how it is at one moment, whatever source says so. */
struct denet_identity {
  uint64_t start_ticks, born_ns;
  pid_t parent_pid;
  const char *name; /* NUL-terminated; cut at 15 bytes */
  bool kernel_thread, never_execd, has_reaped;
  bool has_exec_stamp; /* also of a zombie, and without an mm */
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

/* Returns its usage, a new one if it has none; NULL: no memory. */
struct denet_usage *denet_process_use(struct denet_process *process);

/* Frees the usage of a process that counts nowhere, never did, and is not about to be matched. */
void denet_process_drop_usage(struct denet_process *process);

/* Frees what it owns. NULL and zeroed are fine. */
void denet_process_done(struct denet_process *process);
