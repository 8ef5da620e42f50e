/* What the programs that follow threads tell core of their time off the CPUs, declared once as in
 * record.h. Times in ns, moments on the clock of the run queues. */
#pragma once

#include "process_records.h"

enum denet_reason {
#define DENET_REASON(id, name) DENET_REASON_##id,
#include "reasons.def"
  DENET_REASONS
};

/* Memory that the kernel keeps for us beside a followed thread's own (about 300 bytes each). */
#define DENET_OFF_CPU_BEGINNINGS_BYTES (1u << 16)
#define DENET_OFF_CPU_RING_BYTES (4u << 20) /* of stacks and ends that nobody has read yet */
/* Processes with several threads, or children, whose exited ones have left something. */
#define DENET_OFF_CPU_EXITED_MOST (1u << 14)
#define DENET_OFF_CPU_STACK_MOST (1u << 14) /* bytes of one stack */
#define DENET_OFF_CPU_REGISTERS 17          /* DWARF's numbers, x86-64: 7 is RSP, 16 RIP */

/* Whether a process is followed. */
enum denet_followed {
  DENET_FOLLOWED_NOT,
  DENET_FOLLOWED,          /* somebody wants it */
  DENET_FOLLOWED_AT_FIRST, /* it has exec'd, and until it is known whether somebody does */
};

enum denet_off_cpu_kind {
  /* The task iterator. */
  DENET_OFF_CPU_THREAD = 1, /* struct denet_off_cpu_thread */
  DENET_OFF_CPU_EXITED,     /* struct denet_off_cpu_sums: all its threads that have exited */
  /* Events. */
  DENET_OFF_CPU_STACK, /* struct denet_off_cpu_stack */
  DENET_OFF_CPU_END,   /* struct denet_off_cpu_sums: its last thread exits; all its threads */
  /* In a ring of their own. */
  DENET_OFF_CPU_FORKED, /* struct denet_off_cpu_beginning */
  DENET_OFF_CPU_EXECD,  /* likewise */
};

/* Off-CPU time since the threads are followed. */
struct denet_wait_stats {
  denet_u64 time_ns[DENET_REASONS];
  denet_u64 count; /* of times that a thread left its CPU */
  denet_u64 longest_ns, shortest_ns;
};

struct denet_off_cpu_sums {
  struct denet_bpf_head head;
  struct denet_wait_stats waits;
  denet_u64 untold_ns[DENET_REASONS]; /* off-CPU time that no stack was taken for */
  denet_u64 is_sampled;               /* its stacks are wanted */
};

/* Where a thread of a process was. */
struct denet_off_cpu_place {
  denet_u64 exec_id;
  denet_u32 tid;
  denet_u32 reason;
  denet_u64 weight_ns; /* off-CPU time that no stack has been taken for yet; 0: this is no sample */
  denet_u64 registers[DENET_OFF_CPU_REGISTERS];
  char name[DENET_BPF_COMM];
};

struct denet_off_cpu_thread {
  struct denet_bpf_head head;
  struct denet_wait_stats waits;    /* with the one that is still going on */
  struct denet_off_cpu_place place; /* where it is if it is off its CPU */
  denet_u64 left_ns;                /* when it left its CPU; 0: it is on one */
};

/* A process whose stacks are wanted has begun. */
struct denet_off_cpu_beginning {
  struct denet_bpf_head head;
  denet_u64 exec_id;
  denet_u64 parent_pid, parent_start_ns; /* of one that was forked; else 0 */
};

/* A thread has come back, or (where the kernel has no sched_exit_tp) is about to leave. */
struct denet_off_cpu_stack {
  struct denet_bpf_head head;
  struct denet_off_cpu_place place;
  denet_u64 stack_bytes; /* behind this: the user stack from RSP upwards */
};

_Static_assert(sizeof(struct denet_wait_stats) == 13 * sizeof(denet_u64), "no padding");
_Static_assert(sizeof(struct denet_off_cpu_sums) == 16 + 104 + 80 + 8, "no padding");
_Static_assert(sizeof(struct denet_off_cpu_place) == 24 + 17 * sizeof(denet_u64) + 16,
               "no padding");
_Static_assert(sizeof(struct denet_off_cpu_thread) == 16 + 104 + 176 + 8, "no padding");
_Static_assert(sizeof(struct denet_off_cpu_stack) == 16 + 176 + 8, "no padding");
