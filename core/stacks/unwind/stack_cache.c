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
  size_t stack_bytes, dependency_count, text_bytes;
  size_t bytes;                                  /* of all this */
  struct denet_cursor_dependency dependencies[]; /* then the text */
};

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
                            const struct denet_snapshot *snapshot, struct denet_text *out_frames) {
  if (!cache->slots)
    return false;
  struct denet_known_stack **set = set_of(cache, snapshot);
  for (size_t way = 0; way < WAYS; way++)
    if (set[way] && is_known(set[way], snapshot)) {
      const char *text = (const char *)&set[way]->dependencies[set[way]->dependency_count];
      *out_frames = (struct denet_text){text, set[way]->text_bytes};
      return true;
    }
  return false;
}

void denet_stack_cache_add(struct denet_stack_cache *cache, const struct denet_cursor *cursor,
                           struct denet_text frames, bool truncated) {
  size_t dependency_bytes = cursor->dependency_count * sizeof(cursor->dependencies[0]), way = 0;
  size_t bytes = sizeof(struct denet_known_stack) + dependency_bytes + frames.length;
  if (cursor->is_full || bytes > STACK_BYTES_MOST)
    return;
  if (cache->bytes + bytes > CACHE_BYTES_MOST)
    denet_stack_cache_clear(cache);
  if (!cache->slots) {
    cache->slots = calloc(SLOTS, sizeof(struct denet_known_stack *));
    cache->bytes = cache->slots ? SLOTS * sizeof(struct denet_known_stack *) : 0;
  }
  struct denet_known_stack *stack = cache->slots ? malloc(bytes) : NULL;
  if (!stack)
    return;
  *stack = (struct denet_known_stack){.initial = cursor->initial,
                                      .truncated = truncated,
                                      .stack_bytes = cursor->snapshot->stack_bytes,
                                      .dependency_count = cursor->dependency_count,
                                      .text_bytes = frames.length,
                                      .bytes = bytes};
  memcpy(stack->registers, cursor->snapshot->registers, sizeof(stack->registers));
  memcpy(stack->dependencies, cursor->dependencies, dependency_bytes);
  memcpy((char *)stack->dependencies + dependency_bytes, frames.bytes, frames.length);
  struct denet_known_stack **set = set_of(cache, cursor->snapshot);
  while (way < WAYS && set[way])
    way++;
  if (way == WAYS) {
    way = cache->next_victim++ % WAYS;
    cache->bytes -= set[way]->bytes;
    free(set[way]);
  }
  set[way] = stack;
  cache->bytes += bytes;
}
