/* The frames of stacks that were walked before, of one process. A stack is known again by the words
 * and registers that decided about the walk: where these are as they were, so are the frames. */
#pragma once

#include "core/stacks/unwind/cursor.h"

struct denet_known_stack;

struct denet_stack_cache {
  struct denet_known_stack **slots; /* owned; NULL as long as there is none */
  uint64_t bytes;                   /* the memory that it takes */
  unsigned next_victim;
};

/* Forgets all; it may be used again. */
void denet_stack_cache_clear(struct denet_stack_cache *cache);

/* The texts of the frames (denet_unwinder_frames), borrowed until the cache is changed; false if
 * the stack is not known. */
bool denet_stack_cache_find(const struct denet_stack_cache *cache,
                            const struct denet_snapshot *snapshot, struct denet_text *out_frames,
                            bool *out_truncated);

/* Keeps the frames of a stack that was walked to its end; maybe in place of another's. One that
 * would take too much is not kept, nor is any where there is no memory. */
void denet_stack_cache_add(struct denet_stack_cache *cache, const struct denet_cursor *walk,
                           struct denet_text frames, bool truncated);
