/* The thread that makes named stacks of samples: it unwinds them and looks the names up. Nothing
 * waits for it except denet_stack_worker_wait_idle() and the end. */
#pragma once

#include "core/model/stack_counts.h"
#include "core/stacks/tracer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_stack_worker;

struct denet_stack_worker_settings {
  struct denet_tracer *tracer; /* for its exec events; borrowed until the thread has ended */
  const char *proc_path;       /* borrowed likewise */
  uint64_t symbol_bytes;       /* the most memory for symbols of files */
  unsigned stack_bytes;        /* of a stack that it reads itself, at most */
  unsigned reads_most;         /* stacks that it reads itself in a second, at most */
};

/* A process, and its parent if it has not exec'd since its fork (else 0). */
struct denet_stack_worker_process {
  pid_t pid, parent_pid;
  uint64_t start_ns, parent_start_ns, exec_id;
};

/* A stack with its process. */
struct denet_sample {
  pid_t pid;
  uint64_t start_ns;
  struct denet_stack stack;
};

/* Starts the thread, named denet-stacks. 0 or -errno. */
int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_worker);

/* Ends the thread; what is queued is dropped. NULL is fine. Returns false if the thread is stalled:
 * then it still uses what it has borrowed. */
bool denet_stack_worker_stop(struct denet_stack_worker *worker);

/* Queues that the process's mappings are read, before it may be gone. */
void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_stack_worker_process *process);

/* Queues that all that is held for a process is given back: it has ended or is not followed. */
void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns);

/* Queues a sample that has its stack with it. */
void denet_stack_worker_add_stack(struct denet_stack_worker *worker,
                                  const struct denet_off_cpu_stack *stack);

/* Queues a sample of a thread that is off its CPU. Its stack is read while it still is. */
void denet_stack_worker_add_thread(struct denet_stack_worker *worker,
                                   const struct denet_off_cpu_thread *thread);

/* Waits until all that is queued is done, or for most_ns. */
void denet_stack_worker_wait_idle(struct denet_stack_worker *worker, uint64_t most_ns);

/* Calls each() for each stack that is ready; each() borrows it. */
void denet_stack_worker_take_samples(struct denet_stack_worker *worker,
                                     void (*each)(void *context, const struct denet_sample *sample),
                                     void *context);

/* Returns how many samples were dropped because too many were waiting. */
uint64_t denet_stack_worker_lost(struct denet_stack_worker *worker);
