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
  bool truncated;   /* then a longer piece of the stack might show more */
  size_t stack_bytes;
  size_t word_count, text_bytes;
  struct denet_cursor_dependency words[]; /* then the text */
};

static size_t bytes_of(const struct denet_known_stack *stack) {
  return sizeof(*stack) + stack->word_count * sizeof(stack->words[0]) + stack->text_bytes;
}

static char *text_of(struct denet_known_stack *stack) {
  return (char *)(stack->words + stack->word_count);
}

void denet_stack_cache_clear(struct denet_stack_cache *cache) {
  for (size_t i = 0; cache->slots && i < SLOTS; i++)
    free(cache->slots[i]);
  free(cache->slots);
  *cache = (struct denet_stack_cache){0};
}

static struct denet_known_stack **set_of(const struct denet_stack_cache *cache,
                                         const struct denet_snapshot *snapshot) {
  uint64_t key = snapshot->registers[DENET_RIP] * 31 + snapshot->registers[DENET_RSP];
  return cache->slots + (key * UINT64_C(0x9e3779b97f4a7c15) >> 57) * WAYS;
}

static bool has_words(const struct denet_known_stack *stack,
                      const struct denet_snapshot *snapshot) {
  uint64_t rsp = snapshot->registers[DENET_RSP];
  for (size_t i = 0; i < stack->word_count; i++) {
    uint64_t offset = stack->words[i].address - rsp;
    if (snapshot->stack_bytes < sizeof(uint64_t) ||
        offset > snapshot->stack_bytes - sizeof(uint64_t) ||
        memcmp(snapshot->stack + offset, &stack->words[i].value, sizeof(uint64_t)) != 0)
      return false;
  }
  return true;
}

static bool is_known(const struct denet_known_stack *stack, const struct denet_snapshot *snapshot) {
  for (unsigned i = 0; i < DENET_REGISTERS; i++)
    if (stack->initial & 1u << i && stack->registers[i] != snapshot->registers[i])
      return false;
  return has_words(stack, snapshot) &&
         !(stack->truncated && snapshot->stack_bytes > stack->stack_bytes);
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

static struct denet_known_stack *copy_stack(const struct denet_cursor *walk,
                                            struct denet_text frames, bool truncated) {
  size_t words = walk->word_count * sizeof(walk->words[0]);
  struct denet_known_stack *stack = malloc(sizeof(*stack) + words + frames.length);
  if (!stack)
    return NULL;
  memcpy(stack->registers, walk->snapshot->registers, sizeof(stack->registers));
  stack->initial = walk->initial;
  stack->truncated = truncated;
  stack->stack_bytes = walk->snapshot->stack_bytes;
  stack->word_count = walk->word_count;
  stack->text_bytes = frames.length;
  memcpy(stack->words, walk->words, words);
  memcpy(text_of(stack), frames.bytes, frames.length);
  return stack;
}

static bool has_room(struct denet_stack_cache *cache, size_t bytes) {
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

void denet_stack_cache_add(struct denet_stack_cache *cache, const struct denet_cursor *walk,
                           struct denet_text frames, bool truncated) {
  size_t bytes =
      sizeof(struct denet_known_stack) + walk->word_count * sizeof(walk->words[0]) + frames.length;
  if (walk->is_full || !has_room(cache, bytes))
    return;
  struct denet_known_stack *stack = copy_stack(walk, frames, truncated);
  if (!stack)
    return;
  struct denet_known_stack **set = set_of(cache, walk->snapshot);
  size_t way = 0;
  while (way < WAYS && set[way])
    way++;
  if (way == WAYS) {
    way = cache->next_victim++ % WAYS;
    cache->bytes -= bytes_of(set[way]);
    free(set[way]);
  }
  set[way] = stack;
  cache->bytes += bytes;
}
