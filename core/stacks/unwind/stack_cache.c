#include "core/stacks/unwind/stack_cache.h"

#include <stdlib.h>
#include <string.h>

#define SETS 128
#define WAYS 8
#define SLOTS ((size_t)SETS * WAYS)
#define STACK_BYTES_MOST 16384
#define CACHE_BYTES_MOST (2u << 20)

struct denet_known_stack {
  uint64_t registers[DENET_REGISTERS];
  uint32_t initial; /* bit r: register r must be the same */
  bool truncated;   /* a longer piece of the stack may have more frames */
  size_t stack_bytes;
  size_t dependency_count, text_bytes;
  struct denet_cursor_dependency dependencies[]; /* then the text */
};

static size_t bytes_of(size_t dependency_count, size_t text_bytes) {
  return sizeof(struct denet_known_stack) +
         dependency_count * sizeof(struct denet_cursor_dependency) + text_bytes;
}

static char *text_of(struct denet_known_stack *stack) {
  return (char *)(stack->dependencies + stack->dependency_count);
}

void denet_stack_cache_clear(struct denet_stack_cache *cache) {
  for (size_t i = 0; cache->slots && i < SLOTS; i++)
    free(cache->slots[i]);
  free(cache->slots);
  *cache = (struct denet_stack_cache){0};
}

static struct denet_known_stack **set_of(const struct denet_stack_cache *cache,
                                         const struct denet_snapshot *snapshot) {
  uint64_t key =
      snapshot->registers[DENET_PROGRAM_COUNTER] * 31 + snapshot->registers[DENET_STACK_POINTER];
  return cache->slots + (key * UINT64_C(0x9e3779b97f4a7c15) >> 57) * WAYS;
}

static bool is_known(const struct denet_known_stack *stack, const struct denet_snapshot *snapshot) {
  for (unsigned i = 0; i < DENET_REGISTERS; i++)
    if (stack->initial & 1u << i && stack->registers[i] != snapshot->registers[i])
      return false;
  for (size_t i = 0; i < stack->dependency_count; i++) {
    uint64_t value;
    if (!denet_snapshot_read(snapshot, stack->dependencies[i].address, &value) ||
        value != stack->dependencies[i].value)
      return false;
  }
  return !(stack->truncated && snapshot->stack_bytes > stack->stack_bytes);
}

bool denet_stack_cache_find(const struct denet_stack_cache *cache,
                            const struct denet_snapshot *snapshot, struct denet_text *out_frames,
                            bool *out_truncated) {
  if (!cache->slots)
    return false;
  struct denet_known_stack **set = set_of(cache, snapshot);
  for (size_t way = 0; way < WAYS; way++)
    if (set[way] && is_known(set[way], snapshot)) {
      *out_frames = (struct denet_text){text_of(set[way]), set[way]->text_bytes};
      *out_truncated = set[way]->truncated;
      return true;
    }
  return false;
}

static struct denet_known_stack *copy_stack(const struct denet_cursor *cursor,
                                            struct denet_text frames, bool truncated) {
  struct denet_known_stack *stack = malloc(bytes_of(cursor->dependency_count, frames.length));
  if (!stack)
    return NULL;
  memcpy(stack->registers, cursor->snapshot->registers, sizeof(stack->registers));
  stack->initial = cursor->initial;
  stack->truncated = truncated;
  stack->stack_bytes = cursor->snapshot->stack_bytes;
  stack->dependency_count = cursor->dependency_count;
  stack->text_bytes = frames.length;
  memcpy(stack->dependencies, cursor->dependencies,
         cursor->dependency_count * sizeof(cursor->dependencies[0]));
  memcpy(text_of(stack), frames.bytes, frames.length);
  return stack;
}

static bool make_room(struct denet_stack_cache *cache, size_t bytes) {
  if (bytes > STACK_BYTES_MOST)
    return false;
  if (cache->bytes + bytes > CACHE_BYTES_MOST)
    denet_stack_cache_clear(cache);
  if (!cache->slots) {
    cache->slots = calloc(SLOTS, sizeof(struct denet_known_stack *));
    cache->bytes = cache->slots ? SLOTS * sizeof(struct denet_known_stack *) : 0;
  }
  return cache->slots != NULL;
}

void denet_stack_cache_add(struct denet_stack_cache *cache, const struct denet_cursor *cursor,
                           struct denet_text frames, bool truncated) {
  size_t bytes = bytes_of(cursor->dependency_count, frames.length);
  if (cursor->is_full || !make_room(cache, bytes))
    return;
  struct denet_known_stack *stack = copy_stack(cursor, frames, truncated);
  if (!stack)
    return;
  struct denet_known_stack **set = set_of(cache, cursor->snapshot);
  size_t way = 0;
  while (way < WAYS && set[way])
    way++;
  if (way == WAYS) {
    way = cache->next_victim++ % WAYS;
    cache->bytes -= bytes_of(set[way]->dependency_count, set[way]->text_bytes);
    free(set[way]);
  }
  set[way] = stack;
  cache->bytes += bytes;
}
