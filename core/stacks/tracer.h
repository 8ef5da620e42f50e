/* The programs in the kernel that follow threads off their CPUs: loads them, reads their records
 * and events, and sets which processes they follow. They end with this process. For one thread,
 * except for the exec events, which are for one other thread. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_tracer;

struct denet_tracer_settings {
  uint64_t period_ns;   /* off-CPU time of a thread between two of its stacks */
  unsigned rate;        /* stacks a second at most, in all; at least 2. Half of them are taken of
                           threads that come back to a CPU, half of threads that are blocked */
  unsigned stack_bytes; /* of each, at most; at most DENET_OFF_CPU_STACK_MOST */
  uint64_t ring_bytes;  /* for stacks that have not been read yet; rounded up to a power of two */
  unsigned exited_most; /* processes whose exited threads' sums are kept at a time */
};

/* Losses in the kernel since the tracer was opened (bpf/waiter.h). */
struct denet_tracer_losses {
  uint64_t threads, processes, stacks, ends;
};

/* Returns failure, the outcome of loading the programs on a kernel (uname(2): its release), and
 * sets a sentence that says what is missing. */
int denet_tracer_explain(int failure, const char *kernel, struct denet_error *error);

/* Loads and attaches the programs. 0 or -errno with a sentence that says what is missing. */
int denet_tracer_open(const struct denet_tracer_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer);
void denet_tracer_free(struct denet_tracer *tracer); /* NULL is fine */

/* Sets whether the threads of a process, and what they start, are followed, from the next list on.
 */
void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed);

/* Deletes the sums of the exited threads of a process that has ended. */
void denet_tracer_delete_exited(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns);

/* Replaces the content of records by one for each followed thread, and one for the exited threads
 * of each process (core/stacks/trace_records.h). 0 or -errno. */
int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records);

/* Calls take() for each stack and end since the last time. */
void denet_tracer_drain_samples(struct denet_tracer *tracer,
                                void (*take)(void *context, const struct denet_bpf_head *event,
                                             size_t size),
                                void *context);

struct denet_tracer_losses denet_tracer_losses(const struct denet_tracer *tracer);

/* Returns a descriptor that is readable when a process whose stacks are wanted has exec'd. */
int denet_tracer_exec_fd(const struct denet_tracer *tracer);

/* Calls take() for each fork and exec since the last time. */
void denet_tracer_drain_exec_events(struct denet_tracer *tracer,
                                    void (*take)(void *context,
                                                 const struct denet_exec_event *event),
                                    void *context);
