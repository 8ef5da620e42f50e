#include "core/model/stack_counts.h"

#include "core/util/array.h"
#include "core/util/name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct denet_frames *denet_frames_new(struct denet_text names) {
  struct denet_frames *frames = malloc(sizeof(*frames) + names.length);
  if (!frames)
    return NULL;
  frames->references = 1;
  frames->hash = denet_name_hash(names);
  frames->length = names.length;
  if (names.length)
    memcpy(frames->names, names.bytes, names.length);
  return frames;
}

struct denet_frames *denet_frames_hold(struct denet_frames *frames) {
  __atomic_fetch_add(&frames->references, 1, __ATOMIC_RELAXED);
  return frames;
}

void denet_frames_release(struct denet_frames *frames) {
  if (frames && __atomic_fetch_sub(&frames->references, 1, __ATOMIC_ACQ_REL) == 1)
    free(frames);
}

void denet_stack_counts_clear(struct denet_stack_counts *set) {
  for (size_t i = 0; i < set->count; i++)
    denet_frames_release(set->stacks[i].frames);
  set->count = 0;
}

void denet_stack_counts_done(struct denet_stack_counts *set) {
  denet_stack_counts_clear(set);
  free(set->stacks);
  *set = (struct denet_stack_counts){0};
}

void denet_stack_counts_add(struct denet_stack_counts *set, const struct denet_stack *sample) {
  const struct denet_frames *frames = sample->frames;
  for (size_t i = 0; i < set->count; i++) {
    struct denet_stack *stack = &set->stacks[i];
    if (stack->reason != sample->reason || stack->frames->hash != frames->hash ||
        stack->frames->length != frames->length ||
        memcmp(stack->frames->names, frames->names, frames->length) != 0 ||
        strncmp(stack->thread, sample->thread, sizeof(stack->thread)) != 0)
      continue;
    stack->time_ns += sample->time_ns;
    stack->count += sample->count;
    return;
  }
  if (set->count == DENET_STACKS_MOST ||
      denet_array_reserve(&set->stacks, &set->capacity, set->count + 1, sizeof(*set->stacks))) {
    set->lost += sample->count;
    return;
  }
  set->stacks[set->count++] = *sample;
  denet_frames_hold(sample->frames);
}
