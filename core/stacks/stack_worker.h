/* The thread that makes stacks of what the kernel sampled: it unwinds them and looks the names up,
 * at its own interval. Nothing but denet_stack_worker_await() and the end waits for it. */
#pragma once

#include "core/model/stack_counts.h"
#include "core/stacks/tracer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_stack_worker;

struct denet_stack_worker_settings {
  struct denet_tracer *tracer; /* tells of beginnings; borrowed until the thread has ended */
  const char *proc_path;       /* borrowed likewise */
  uint64_t symbol_bytes;       /* the most memory for symbols of files */
  unsigned rate;               /* stacks a second that it reads itself, at most */
  unsigned stack_bytes;        /* of a stack that it reads itself, at most */
};

/* Which process, and the one that forked it if it has not exec'd (else 0). */
struct denet_stack_worker_process {
  pid_t pid, parent_pid;
  uint64_t start_ns, parent_start_ns, exec_id;
};

/* A stack with the process that it is of. */
struct denet_sample {
  pid_t pid;
  uint64_t start_ns;
  struct denet_stack stack;
};

/* Starts the thread, named denet-stacks. 0 or -errno. */
int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_symbolizer);

/* Ends the thread; what is queued is dropped. NULL is fine. False: the thread is held up, and goes
 * on to use what it has borrowed. */
bool denet_stack_worker_stop(struct denet_stack_worker *symbolizer);

/* Has the process's mappings read before it may be gone. */
void denet_stack_worker_meet(struct denet_stack_worker *symbolizer,
                             const struct denet_stack_worker_process *process);

/* The process has ended, or is not followed any more: gives back what is held for it. */
void denet_stack_worker_forget(struct denet_stack_worker *symbolizer, pid_t pid, uint64_t start_ns);

/* For the process's time that no stack was taken for its last stacks stand, or the next ones. */
void denet_stack_worker_add_untold(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_sums *sums);
/* Waits until all that is queued is done, or for most_ns. */
void denet_stack_worker_await(struct denet_stack_worker *symbolizer, uint64_t most_ns);

/* Queues a sample that has its stack with it. */
void denet_stack_worker_add_stack(struct denet_stack_worker *symbolizer,
                                  const struct denet_off_cpu_stack *stack);

/* Queues one of a thread that is off its CPU: its stack is read while it is. */
void denet_stack_worker_add_thread(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_thread *thread);

/* Gives each stack that is ready to each(), which borrows it. */
void denet_stack_worker_take(struct denet_stack_worker *symbolizer,
                             void (*each)(void *context, const struct denet_sample *sample),
                             void *context);

/* Samples that were dropped since there were too many to wait. */
uint64_t denet_stack_worker_lost(struct denet_stack_worker *symbolizer);
