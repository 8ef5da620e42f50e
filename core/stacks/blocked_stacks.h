/* Stacks of threads that are blocked for long: each is read once for each time that the thread is
 * off its CPU. Not thread-safe. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/stack_counts.h"
#include "core/util/buffer.h"

#include <stdint.h>
#include <sys/types.h>

/* A time that a thread is off its CPU. */
struct denet_blocked_interval {
  pid_t pid, tid;
  uint64_t start_ns; /* of the process */
  uint64_t off_since_ns;
};

/* Threads whose frames are kept at a time. */
#define DENET_BLOCKED_THREADS_MOST 32768

/* Zeroed is empty. */
struct denet_blocked_stacks {
  struct denet_blocked_thread *threads; /* by tid, one for each; owned */
  size_t count, capacity;
};

/* Removes all frames. */
void denet_blocked_stacks_done(struct denet_blocked_stacks *blocked);

/* Returns the frames kept for this interval, borrowed until the next call; NULL: none. now_ns: any
 * clock that does not run backwards. */
struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocked,
                                               const struct denet_blocked_interval *interval,
                                               uint64_t now_ns);

/* Keeps the frames, with a reference of its own, in place of those of the thread's last interval.
 * Frames that no find() has returned for 20 s make room. Without memory it does nothing. */
void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocked,
                               const struct denet_blocked_interval *interval, uint64_t now_ns,
                               struct denet_frames *frames);

/* Reads the user stack of a thread that has these registers: replaces the content of stack by most
 * bytes or fewer. 0; -EAGAIN if the thread is elsewhere by now; -ESRCH if it has exited; -errno,
 * such as -EPERM, if the stack cannot be read: then stack is empty. */
int denet_blocked_stacks_read(const char *proc_path, const struct denet_blocked_interval *interval,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS], size_t most,
                              struct denet_buffer *stack);
