/* The records that process.bpf.c writes and core reads. Clang builds the programs with this header
 * and the C compiler builds core with it: both check the sizes. Times are in ns; start and exit are
 * on CLOCK_BOOTTIME. */
#pragma once

/* The types of stdint.h, which Clang has no header of for BPF. */
typedef __UINT8_TYPE__ denet_u8;
typedef __UINT32_TYPE__ denet_u32;
typedef __INT32_TYPE__ denet_s32;
typedef __UINT64_TYPE__ denet_u64;
typedef __INT64_TYPE__ denet_s64;

#define DENET_BPF_CPUS 1024 /* the RSS parts of further CPUs are left out */
#define DENET_BPF_COMM 16   /* TASK_COMM_LEN, include/linux/sched.h */

/* Sizes of the maps. */
#define DENET_BPF_RING_BYTES (4u << 20)  /* events that user space has not read yet */
#define DENET_BPF_WAKEUP_BYTES 4096      /* a page, the smallest ring */
#define DENET_BPF_PIDS (1u << 22)        /* PID_MAX_LIMIT, include/linux/threads.h */
#define DENET_BPF_KEPT_MOST (1u << 14)   /* exited processes whose main task is kept */
#define DENET_BPF_EXITED_MOST (1u << 16) /* processes with exited threads */

enum denet_bpf_kind {
  /* Records of the task iterator. */
  DENET_BPF_COMPACT = 1, /* struct denet_bpf_compact */
  DENET_BPF_PROCESS,     /* struct denet_bpf_process */
  DENET_BPF_THREAD,      /* struct denet_bpf_thread */
  /* Events. */
  DENET_BPF_FORK,  /* struct denet_bpf_fork */
  DENET_BPF_TEXTS, /* struct denet_bpf_texts */
  DENET_BPF_EXIT,  /* struct denet_bpf_exit */
  DENET_BPF_FREE,  /* struct denet_bpf_process: the process has been waited for */
};

struct denet_bpf_head {
  denet_u32 kind;
  denet_u32 pid;      /* task_struct.tgid */
  denet_u64 start_ns; /* start_boottime of the main thread; 0 in a thread's record */
};

/* Counters of threads since their start: fields of task_struct, signal_struct and
 * task_io_accounting, see usage.h. age_ns - run_ns - run_delay_ns is the time that the threads were
 * blocked. */
struct denet_bpf_usage {
  denet_u64 age_ns; /* on CLOCK_MONOTONIC: without the time of a suspended host */
  denet_u64 run_ns; /* se.sum_exec_runtime: CPU time */
  denet_u64 user_ns,
      system_ns;          /* utime, stime: sampled at timer ticks; their ratio splits run_ns */
  denet_u64 run_delay_ns; /* sched_info.run_delay: time in run queues */
  denet_u64 switches_voluntary, switches_involuntary; /* nvcsw, nivcsw */
  denet_u64 minor_faults, major_faults;               /* min_flt, maj_flt */
  /* Bytes and calls of read() and write(); bytes of the block layer. */
  denet_u64 read_chars, write_chars, read_calls, write_calls, read_bytes, write_bytes;
};

/* Bits of a state. */
#define DENET_BPF_ON_CPU 1u      /* the main thread is on a CPU (task_struct.on_cpu) */
#define DENET_BPF_ZOMBIE 2u      /* the main thread has exited (exit_state) and has left its CPU */
#define DENET_BPF_NO_MM 4u       /* the main thread has no mm_struct and is no kernel thread */
#define DENET_BPF_HAS_REAPED 8u  /* the process has waited for a child (signal->cmin_flt) */
#define DENET_BPF_OOM_KILLED 16u /* the OOM killer chose the process (signal->oom_mm) */

/* A known process that is in no tree: as much as is needed to detect an exec or a new name. */
struct denet_bpf_compact {
  struct denet_bpf_head head;
  denet_u64 exec_id; /* task_struct.self_exec_id: the number of execs, children inherit it */
  char name[DENET_BPF_COMM];
};

struct denet_bpf_identity {
  struct denet_bpf_compact compact;
  denet_u32 parent_pid; /* real_parent->tgid */
  denet_u32 flags;      /* PF_*, include/linux/sched.h */
  denet_u32 state;      /* DENET_BPF_ON_CPU and so on */
  denet_u32 threads;    /* signal->nr_threads */
};

/* A process, with the usage of its main thread and of its exited threads. The I/O does not include
 * that of children. DENET_BPF_FREE: the final usage of all threads, except main_age_ns of the exit;
 * rss_pages is the highest RSS; parent_pid, vm_pages and net_namespace are 0. */
struct denet_bpf_process {
  struct denet_bpf_identity identity;
  struct denet_bpf_usage usage;
  denet_u64 seen_ns;             /* when the record was made */
  denet_u64 rss_pages, vm_pages; /* mm->rss_stat, mm->total_vm; 0 without an mm_struct */
  denet_u32 uid;                 /* real_cred->uid: the real user */
  denet_u32 cpu;                 /* the CPU of the main thread */
  denet_u32 net_namespace;       /* inode number; 0 of an exiting process */
  denet_s32 exit_code;           /* as wait(2) gives it */
};

/* Another thread of a process. */
struct denet_bpf_thread {
  struct denet_bpf_head head;
  struct denet_bpf_usage usage;
  denet_u64 rss_pages, vm_pages; /* if the main thread has no mm_struct any more, else 0 */
  denet_u32 tid;
  denet_u32 state; /* DENET_BPF_ON_CPU */
};

struct denet_bpf_fork {
  struct denet_bpf_head head;
  denet_u32 parent_pid;
  denet_u32 unused;
};

/* The program of a process, after an exec; also at the exit of a process that never exec'd. Behind
 * the struct stand the arguments (a NUL after each), then the names of the executable's path and
 * those of the cgroup's path, leaf first, a NUL after each. A path that could not be read
 * completely has no bytes. */
#define DENET_BPF_ARGUMENT_BYTES 4096 /* longer ones are cut */
#define DENET_BPF_NAME_BYTES 256      /* one name in a path with its NUL: NAME_MAX, limits.h */
#define DENET_BPF_PATH_NAMES 64       /* names and mounts in a path */
#define DENET_BPF_TEXT_BYTES 8192     /* the sum of the texts; a power of two */

struct denet_bpf_texts {
  struct denet_bpf_head head;
  denet_u64 exec_id;
  denet_u32 uid;
  denet_u32 argument_bytes, executable_bytes, cgroup_bytes;
  char name[DENET_BPF_COMM];
};

/* The last thread of a process exits. Threads that exit at once may each send one. */
struct denet_bpf_exit {
  struct denet_bpf_head head;
  denet_u64 exit_ns;
  denet_u64 main_age_ns;         /* age of the main thread if it is the one that exits; else 0 */
  denet_u64 rss_pages, vm_pages; /* 0 if the process had no memory any more */
  denet_u32 parent_pid;
  denet_u32 unused;
};

/* Argument of the program request_exit: requests DENET_BPF_FREE of a process that has exited. */
struct denet_bpf_exit_request {
  denet_u64 pid, start_ns;
};

_Static_assert(sizeof(struct denet_bpf_head) == 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_usage) == 15 * sizeof(denet_u64), "no padding");
_Static_assert(sizeof(struct denet_bpf_compact) == 16 + 8 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_identity) == 40 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_process) == 56 + 120 + 24 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_thread) == 16 + 120 + 16 + 8, "no padding");
_Static_assert(sizeof(struct denet_bpf_fork) == 24, "no padding");
_Static_assert(sizeof(struct denet_bpf_texts) == 16 + 8 + 16 + 16, "no padding");
_Static_assert(sizeof(struct denet_bpf_exit) == 16 + 32 + 8, "no padding");
