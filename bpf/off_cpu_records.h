/* The contract between the programs that follow threads off their CPUs and core, declared once as
 * in process_records.h. Times are in ns; moments are on the clock of the run queues (rq->clock). */
#pragma once

#include "process_records.h"

enum denet_reason {
#define DENET_REASON(id, name) DENET_REASON_##id,
#include "reasons.def"
  DENET_REASONS
};

/* Kernel memory besides about 300 bytes for each followed thread. */
#define DENET_OFF_CPU_EXEC_BYTES (1u << 16)  /* of forks and execs that have not been read yet */
#define DENET_OFF_CPU_RING_BYTES (4u << 20)  /* likewise of stacks and ends */
#define DENET_OFF_CPU_EXITED_MOST (1u << 14) /* processes with threads that have exited */
#define DENET_OFF_CPU_STACK_MOST (1u << 14)  /* bytes of one stack */
#define DENET_OFF_CPU_REGISTERS 17           /* of x86-64, in the order of DWARF's numbers */

/* Whether a process is followed. */
enum denet_followed {
  DENET_FOLLOWED_NOT,
  DENET_FOLLOWED,               /* a rule asks for its stacks */
  DENET_FOLLOWED_UNTIL_MATCHED, /* after an exec, until the rules have looked at it */
};

enum denet_off_cpu_kind {
  /* Records of the task iterator. */
  DENET_OFF_CPU_THREAD = 1, /* struct denet_off_cpu_thread */
  DENET_OFF_CPU_EXITED,     /* struct denet_off_cpu_sums of the threads that have exited */
  /* Events. */
  DENET_OFF_CPU_STACK, /* struct denet_off_cpu_stack */
  DENET_OFF_CPU_END,   /* struct denet_off_cpu_sums of all threads: the last one exits */
  /* Events in a ring of their own. */
  DENET_OFF_CPU_FORKED, /* struct denet_exec_event */
  DENET_OFF_CPU_EXECD,  /* likewise */
};

/* Off-CPU time since the threads are followed. */
struct denet_wait_stats {
  denet_u64 time_ns[DENET_REASONS];
  denet_u64 count; /* intervals: times that a thread left its CPU */
  denet_u64 longest_ns, shortest_ns;
};

struct denet_off_cpu_sums {
  struct denet_bpf_head head;
  struct denet_wait_stats stats;
  denet_u64 is_sampled; /* a rule asks for its stacks */
};

/* Where a thread was in its program, and for how much of its time this sample stands. */
struct denet_sample_point {
  denet_u64 exec_id;
  denet_u32 tid;
  denet_u32 reason;
  denet_u64 weight_ns; /* off-CPU time that the sample stands for; 0: it is no sample */
  denet_u64 registers[DENET_OFF_CPU_REGISTERS];
  char name[DENET_BPF_COMM]; /* the thread's */
};

struct denet_off_cpu_thread {
  struct denet_bpf_head head;
  struct denet_wait_stats stats;   /* with the interval that is going on */
  struct denet_sample_point point; /* of a thread that is off its CPU */
  denet_u64 off_since_ns;          /* when it left its CPU; 0: it is on one */
};

/* A process whose stacks are wanted was forked or has exec'd. */
struct denet_exec_event {
  struct denet_bpf_head head;
  denet_u64 exec_id;
  denet_u64 parent_pid, parent_start_ns; /* of a fork; else 0 */
};

/* A thread is back on a CPU, or (where the kernel has no sched_exit_tp) about to leave it. */
struct denet_off_cpu_stack {
  struct denet_bpf_head head;
  struct denet_sample_point point;
  denet_u64 stack_bytes; /* behind this struct: the user stack, from the stack pointer upwards */
};

_Static_assert(sizeof(struct denet_wait_stats) == 13 * sizeof(denet_u64), "no padding");
_Static_assert(sizeof(struct denet_off_cpu_sums) == 16 + 104 + 8, "no padding");
_Static_assert(sizeof(struct denet_sample_point) == 24 + 17 * sizeof(denet_u64) + 16, "no padding");
_Static_assert(sizeof(struct denet_off_cpu_thread) == 16 + 104 + 176 + 8, "no padding");
_Static_assert(sizeof(struct denet_off_cpu_stack) == 16 + 176 + 8, "no padding");
