/* The thread that makes named stacks of samples: it unwinds them and looks the names up. Nothing
 * waits for it except denet_stack_worker_take_samples() and the end. */
#pragma once

#include "core/model/stack_counts.h"
#include "core/stacks/tracer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_stack_worker;

/* A stack with its process. */
struct denet_sample {
  pid_t pid;
  uint64_t start_ns;
  struct denet_stack stack;
};

/* Starts the thread, named denet-stacks. The tracer, whose exec events it drains, is borrowed until
 * the thread has ended. 0 or -errno. */
int denet_stack_worker_start(const struct denet_profiler_settings *settings, const char *proc_path,
                             struct denet_tracer *tracer, struct denet_stack_worker **out_worker);

/* Ends the thread; what is queued is dropped. NULL is fine. Returns false if the thread is stalled:
 * then it still uses the tracer. */
bool denet_stack_worker_stop(struct denet_stack_worker *worker);

/* Queues that the mappings of a process are read, before it may be gone. exec_event: the process,
 * and its parent if it has not exec'd since its fork. */
void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_exec_event *exec_event);

/* Queues that all that is held for a process is given back: it has ended or is not followed. */
void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns);

/* Queues a sample that has its stack with it, or (off_since_ns is not 0) a sample of a thread that
 * is off its CPU since then, on the kernel's clock: its stack is read while it still is. At most
 * half of settings->rate are read in a second; of the others there is no sample. */
void denet_stack_worker_add_sample(struct denet_stack_worker *worker,
                                   const struct denet_bpf_head *head,
                                   const struct denet_sample_point *point, uint64_t off_since_ns,
                                   struct denet_text stack);

/* Waits until all that is queued is done, but at most wait_ns. Replaces the content of samples by
 * the struct denet_sample that are ready, each with a reference for the caller. Returns how many
 * samples were dropped, ever, because too many were waiting. */
uint64_t denet_stack_worker_take_samples(struct denet_stack_worker *worker, uint64_t wait_ns,
                                         struct denet_buffer *samples);
