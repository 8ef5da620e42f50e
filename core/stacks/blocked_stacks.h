/* Threads that are off their CPUs for long: their stacks, read once for each time that they are.
 * Not thread-safe. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/stack_counts.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_blocked_stacks;

/* One absence of one thread. */
struct denet_block {
  pid_t pid, tid;
  uint64_t start_ns; /* of the process */
  uint64_t left_ns;  /* when the thread left its CPU */
  struct denet_frames *frames;
};

/* proc_path is copied; stack_bytes: of a stack, at most. NULL: no memory. */
struct denet_blocked_stacks *denet_blocked_stacks_new(const char *proc_path, size_t stack_bytes);
void denet_blocked_stacks_free(struct denet_blocked_stacks *blocks); /* NULL is fine */

/* A round begins. What threads are owed that were not asked for in the last ones their process is
 * owed, and of those that were not for long nothing need be kept. */
void denet_blocked_stacks_begin(struct denet_blocked_stacks *blocks);

/* The frames kept for this absence, borrowed until the next call; NULL: none. */
struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocks,
                                               const struct denet_block *block);

/* Keeps block->frames (with a reference of its own) instead of what the thread had before, if there
 * is memory for it. */
void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocks,
                               const struct denet_block *block);

/* Notes the stack as the process's last one of its reason, with a reference of its own. */
void denet_blocked_stacks_note_last(struct denet_blocked_stacks *blocks,
                                    const struct denet_block *block,
                                    const struct denet_stack *stack);

/* The process's last stack of the reason: borrowed frames, the thread's name. False: there was
 * none. */
bool denet_blocked_stacks_last(const struct denet_blocked_stacks *blocks,
                               const struct denet_block *block, enum denet_reason reason,
                               struct denet_stack *out_stack);

/* Forgets the process. */
void denet_blocked_stacks_forget(struct denet_blocked_stacks *blocks, pid_t pid, uint64_t start_ns);

/* Reads the user stack of a thread that has these registers, good until the next call. 0; -EAGAIN
 * if the thread is elsewhere by now; -ESRCH if it has exited; -errno, such as -EPERM, if it cannot
 * be read. */
int denet_blocked_stacks_read(struct denet_blocked_stacks *blocks, const struct denet_block *block,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS],
                              struct denet_text *out_stack);

/* Time of an absence whose stack could not be had is owed to the thread, or (tid 0) to its process:
 * the next stack of the same reason stands for it too. */
void denet_blocked_stacks_owe(struct denet_blocked_stacks *blocks, const struct denet_block *block,
                              enum denet_reason reason, uint64_t time_ns);

/* What the thread and its process are owed for the reason, ns, and from now on are not. */
uint64_t denet_blocked_stacks_settle(struct denet_blocked_stacks *blocks,
                                     const struct denet_block *block, enum denet_reason reason);
