/* What the kernel side tells core, declared once: clang builds the programs with it and the C
 * compiler core, and both check the sizes. Times in ns, start and exit on the boot clock. */
#pragma once

#ifdef __bpf__
typedef unsigned char denet_u8;
typedef unsigned int denet_u32;
typedef int denet_s32;
typedef unsigned long long denet_u64;
typedef long long denet_s64;
#else
#include <stdint.h>
typedef uint8_t denet_u8;
typedef uint32_t denet_u32;
typedef int32_t denet_s32;
typedef uint64_t denet_u64;
#endif

#define DENET_BPF_CPUS 1024 /* more are not asked for their share of the RSS */
#define DENET_BPF_COMM 16

/* Memory that the kernel keeps for us. */
#define DENET_BPF_RING_BYTES (4u << 20) /* of events that nobody has read yet */
#define DENET_BPF_CALL_BYTES 4096       /* of wake-up calls: a page is the least there is */
#define DENET_BPF_PIDS (1u << 22)       /* PID_MAX_LIMIT, include/linux/threads.h; a bit for each */
#define DENET_BPF_ENDING_MOST (1u << 14) /* processes that have exited and are kept; likewise */
#define DENET_BPF_EXITED_MOST (1u << 16) /* processes with exited threads; likewise */

enum denet_bpf_kind {
  /* The task iterator. */
  DENET_BPF_BRIEF = 1, /* struct denet_bpf_brief */
  DENET_BPF_PROCESS,   /* struct denet_bpf_process */
  DENET_BPF_THREAD,    /* struct denet_bpf_thread */
  /* Events. */
  DENET_BPF_FORK,  /* struct denet_bpf_fork */
  DENET_BPF_TEXTS, /* struct denet_bpf_texts */
  DENET_BPF_EXIT,  /* struct denet_bpf_exit */
  DENET_BPF_FREE,  /* struct denet_bpf_free */
};

struct denet_bpf_head {
  denet_u32 kind;
  denet_u32 pid;      /* of the process */
  denet_u64 start_ns; /* with the pid: which one; 0 in a thread's record */
};

/* What threads have cost so far. What is left of their ages is the time that they were blocked. */
struct denet_bpf_usage {
  denet_u64 age_ns;             /* without the time that the host was suspended */
  denet_u64 run_ns;             /* CPU time */
  denet_u64 user_ns, system_ns; /* as sampled at ticks: their ratio splits run_ns */
  denet_u64 run_delay_ns;
  denet_u64 switches_voluntary, switches_involuntary;
  denet_u64 minor_faults, major_faults;
  denet_u64 read_chars, write_chars, read_calls, write_calls, read_bytes, write_bytes;
};

/* What a state says. */
#define DENET_BPF_ON_CPU 1u      /* the main thread is running at this moment */
#define DENET_BPF_ZOMBIE 2u      /* the main thread has exited and is off its CPU for good */
#define DENET_BPF_HOLLOW 4u      /* the main thread has no memory, and is no kernel thread */
#define DENET_BPF_HAS_REAPED 8u  /* the process has waited for a child */
#define DENET_BPF_OOM_KILLED 16u /* chosen by the OOM killer */

/* A process that was there before and counts nowhere: enough to see whether it has changed. */
struct denet_bpf_brief {
  struct denet_bpf_head head;
  denet_u64 exec_id; /* counts the execs */
  char name[DENET_BPF_COMM];
};

struct denet_bpf_identity {
  struct denet_bpf_brief brief;
  denet_u32 parent_pid;
  denet_u32 flags; /* PF_*, include/linux/sched.h */
  denet_u32 state; /* DENET_BPF_ON_CPU and so on */
  denet_u32 threads;
};

/* Any other process, with the costs of its main thread and of the threads that have exited. Its I/O
 * has no child's in it. */
struct denet_bpf_process {
  struct denet_bpf_identity identity;
  struct denet_bpf_usage usage;
  denet_u64 seen_ns; /* when the kernel was asked */
  denet_u64 rss_pages, vm_pages;
  denet_u32 uid;
  denet_u32 cpu;
  denet_u32 net_namespace;
  denet_s32 exit_code;
};

/* Another thread of such a process. */
struct denet_bpf_thread {
  struct denet_bpf_head head;
  struct denet_bpf_usage usage;
  denet_u64 rss_pages, vm_pages; /* if the main thread has none any more */
  denet_u32 tid;
  denet_u32 state; /* DENET_BPF_ON_CPU */
};

struct denet_bpf_fork {
  struct denet_bpf_head head;
  denet_u32 parent_pid;
  denet_u32 unused;
};

/* What a process runs: its program after an exec, or at its end if it never exec'd. Behind it
 * follow each other the arguments (a NUL after each), then the names of the executable's path and
 * those of the cgroup's, leaf first, each with a NUL. A text that could not be had whole has no
 * bytes. */
#define DENET_BPF_ARGUMENT_BYTES 4096 /* longer ones are cut */
#define DENET_BPF_NAME_BYTES 256      /* of one name in a path, NUL included (NAME_MAX) */
#define DENET_BPF_PATH_NAMES 64
#define DENET_BPF_TEXT_BYTES 8192 /* all together; a power of two */

struct denet_bpf_texts {
  struct denet_bpf_head head;
  denet_u64 exec_id;
  denet_u32 uid;
  denet_u32 argument_bytes, executable_bytes, cgroup_bytes;
  char name[DENET_BPF_COMM];
};

/* The last thread is about to exit. */
struct denet_bpf_exit {
  struct denet_bpf_head head;
  denet_u64 exit_ns;
  denet_u64 main_age_ns;         /* of the main thread if it is this one; else it is in the sums */
  denet_u64 rss_pages, vm_pages; /* 0 where the kernel has taken them away by then */
  denet_u32 parent_pid;
  denet_u32 unused;
};

/* Asks for the end of a process that has exited. */
struct denet_bpf_question {
  denet_u64 pid, start_ns;
};

/* The process has been waited for: what all its threads cost, for good, but for main_age_ns. */
struct denet_bpf_free {
  struct denet_bpf_head head;
  struct denet_bpf_usage usage;
  denet_u64 exec_id;
  denet_u64 peak_rss_pages;
  denet_u32 flags, state;
  denet_u32 uid, cpu;
  denet_s32 exit_code;
  denet_u32 unused;
  char name[DENET_BPF_COMM];
};

_Static_assert(sizeof(struct denet_bpf_head) == 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_usage) == 15 * sizeof(denet_u64), "no padding");
_Static_assert(sizeof(struct denet_bpf_brief) == 16 + 8 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_identity) == 40 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_process) == 56 + 120 + 24 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_thread) == 16 + 120 + 16 + 8, "no padding");
_Static_assert(sizeof(struct denet_bpf_fork) == 24, "no padding");
_Static_assert(sizeof(struct denet_bpf_texts) == 16 + 8 + 16 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_exit) == 16 + 32 + 8, "no padding");
_Static_assert(sizeof(struct denet_bpf_free) == 16 + 120 + 16 + 24 + 16, "no padding");
