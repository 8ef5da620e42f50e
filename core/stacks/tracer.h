/* The programs in the kernel that follow threads off their CPUs: loads them, reads their records
 * and events, and sets which processes they follow. They end with this process. For one thread,
 * except for DENET_TRACER_EXEC_EVENTS, which are for one other thread. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/wait_stats.h"
#include "core/stacks/profiler.h"
#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_tracer;

enum denet_tracer_ring {
  DENET_TRACER_SAMPLES,     /* stacks and ends */
  DENET_TRACER_EXEC_EVENTS, /* struct denet_exec_event */
  DENET_TRACER_RINGS
};

/* Takes an event of size bytes, which it borrows. */
typedef void denet_tracer_take(void *context, const struct denet_bpf_head *event, size_t size);

/* Returns failure, the outcome of loading the programs on a kernel (uname(2): its release), and
 * sets a sentence that says what is missing. */
int denet_tracer_explain(int failure, const char *kernel, struct denet_error *error);

/* Loads and attaches the programs. 0 or -errno with a sentence that says what is missing. */
int denet_tracer_open(const struct denet_profiler_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer);
void denet_tracer_free(struct denet_tracer *tracer); /* NULL is fine */

/* Sets whether the threads of a process, and what they start, are followed from the next list. */
void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed);

/* Deletes the sums of the exited threads of a process that has ended. */
void denet_tracer_delete_exited(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns);

/* Replaces the content of records by one for each followed thread, and one for the exited threads
 * of each process (core/stacks/trace_records.h). 0 or -errno. */
int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records);

/* Calls take() for each event of the ring since the last time. */
void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        denet_tracer_take *take, void *context);

/* Returns the losses in the kernel since the tracer was opened. */
struct denet_off_cpu_losses denet_tracer_losses(const struct denet_tracer *tracer);

/* Returns a descriptor that is readable when a process whose stacks are wanted has exec'd. */
int denet_tracer_exec_fd(const struct denet_tracer *tracer);
