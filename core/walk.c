#include "walk.h"

#include <string.h>

enum { FROM_SNAPSHOT = 0, COMPUTED = 1 };

void denet_walk_start(struct denet_walk *walk, const struct denet_snapshot *snapshot) {
  walk->snapshot = snapshot;
  memset(&walk->now, 0, sizeof(walk->now));
  memcpy(walk->now.value, snapshot->registers, sizeof(walk->now.value));
  walk->now.known = (1u << DENET_REGISTERS) - 1;
  /* A stack is looked for by these two. */
  walk->initial = 1u << DENET_RSP | 1u << DENET_RIP;
  walk->word_count = 0;
  walk->is_full = false;
}

bool denet_walk_read(const struct denet_walk *walk, uint64_t address, uint64_t *out_value) {
  const struct denet_snapshot *snapshot = walk->snapshot;
  uint64_t offset = address - snapshot->registers[DENET_RSP];
  if (snapshot->stack_bytes < sizeof(*out_value) ||
      offset > snapshot->stack_bytes - sizeof(*out_value))
    return false;
  memcpy(out_value, snapshot->stack + offset, sizeof(*out_value));
  return true;
}

static void note(struct denet_walk *walk, uint64_t address, uint64_t value) {
  for (size_t i = walk->word_count; i-- > 0 && i + 8 > walk->word_count;)
    if (walk->words[i].address == address)
      return;
  if (walk->word_count == DENET_WALK_WORDS)
    walk->is_full = true;
  else
    walk->words[walk->word_count++] = (struct denet_walk_word){address, value};
}

bool denet_walk_use_word(struct denet_walk *walk, uint64_t address, uint64_t *out_value) {
  if (!denet_walk_read(walk, address, out_value))
    return false;
  note(walk, address, *out_value);
  return true;
}

bool denet_walk_use_register(struct denet_walk *walk, unsigned number, uint64_t *out_value) {
  if (number >= DENET_REGISTERS || !(walk->now.known & 1u << number))
    return false;
  uint64_t origin = walk->now.origin[number];
  *out_value = walk->now.value[number];
  if (origin == FROM_SNAPSHOT)
    walk->initial |= 1u << number;
  else if (origin != COMPUTED)
    note(walk, origin, *out_value);
  return true;
}

bool denet_walk_frame_pointer(struct denet_walk *walk) {
  uint64_t frame, caller_frame, return_address;
  if (!denet_walk_use_register(walk, DENET_RBP, &frame) || frame < walk->now.value[DENET_RSP] ||
      !denet_walk_read(walk, frame, &caller_frame) ||
      !denet_walk_read(walk, frame + 8, &return_address))
    return false;
  struct denet_registers caller = {.known = 1u << DENET_RBP | 1u << DENET_RSP | 1u << DENET_RIP};
  caller.value[DENET_RBP] = caller_frame;
  caller.origin[DENET_RBP] = frame;
  caller.value[DENET_RSP] = frame + 16;
  caller.origin[DENET_RSP] = COMPUTED;
  caller.value[DENET_RIP] = return_address;
  caller.origin[DENET_RIP] = frame + 8;
  walk->now = caller;
  return true;
}
