/* The frames of stacks of one process that were unwound before. A stack is found again by the words
 * and registers that its unwinding has depended on: if these are the same, so are the frames. */
#pragma once

#include "core/stacks/unwind/cursor.h"
#include "core/util/buffer.h"

struct denet_known_stack;

struct denet_stack_cache {
  struct denet_known_stack **slots; /* owned; NULL as long as there is none */
  uint64_t bytes;                   /* the memory that it takes */
  unsigned next_victim;
};

/* Removes all; the cache may be used again. */
void denet_stack_cache_clear(struct denet_stack_cache *cache);

/* Finds the names of the frames (denet_unwinder_append_frames), borrowed until the cache is
 * changed. */
bool denet_stack_cache_find(const struct denet_stack_cache *cache,
                            const struct denet_snapshot *snapshot, struct denet_text *out_frames);

/* Adds the frames of a stack that was unwound with the cursor; another's may go for them. A stack
 * that takes too much memory, or for which there is none, is not added. */
void denet_stack_cache_add(struct denet_stack_cache *cache, const struct denet_cursor *cursor,
                           struct denet_text frames, bool truncated);
