/* Stacks of threads that are blocked for long: each is read once for each time that the thread is
 * off its CPU. Not thread-safe. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/stack_counts.h"
#include "core/util/buffer.h"

#include <stdint.h>
#include <sys/types.h>

struct denet_blocked_stacks;

/* A time that a thread is off its CPU. */
struct denet_blocked_interval {
  pid_t pid, tid;
  uint64_t start_ns; /* of the process */
  uint64_t off_since_ns;
};

/* Threads whose frames are kept at a time. */
#define DENET_BLOCKED_THREADS_MOST 32768

/* proc_path is copied; stack_bytes: of a stack, at most. NULL: no memory. */
struct denet_blocked_stacks *denet_blocked_stacks_new(const char *proc_path, size_t stack_bytes);
void denet_blocked_stacks_free(struct denet_blocked_stacks *blocked); /* NULL is fine */

/* Removes the frames of all threads of a process. */
void denet_blocked_stacks_close(struct denet_blocked_stacks *blocked, pid_t pid, uint64_t start_ns);

/* Returns the frames kept for this interval, borrowed until the next call; NULL: none. now_ns: any
 * clock that does not run backwards. */
struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocked,
                                               const struct denet_blocked_interval *interval,
                                               uint64_t now_ns);

/* Keeps the frames, with a reference of its own, in place of those of the thread's last interval.
 * Without memory it does nothing. */
void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocked,
                               const struct denet_blocked_interval *interval, uint64_t now_ns,
                               struct denet_frames *frames);

/* Reads the user stack of a thread that has these registers, good until the next call. 0; -EAGAIN
 * if the thread is elsewhere by now; -ESRCH if it has exited; -errno, such as -EPERM, if it cannot
 * be read. */
int denet_blocked_stacks_read(struct denet_blocked_stacks *blocked,
                              const struct denet_blocked_interval *interval,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS],
                              struct denet_text *out_stack);
