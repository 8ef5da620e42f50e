#include "core/stacks/unwind/cursor.h"

#include <string.h>

enum { FROM_SNAPSHOT = 0, COMPUTED = 1 };

void denet_cursor_start(struct denet_cursor *walk, const struct denet_snapshot *snapshot) {
  walk->snapshot = snapshot;
  memset(&walk->now, 0, sizeof(walk->now));
  memcpy(walk->now.value, snapshot->registers, sizeof(walk->now.value));
  walk->now.known = (1u << DENET_REGISTERS) - 1;
  /* A stack is looked for by these two. */
  walk->initial = 1u << DENET_RSP | 1u << DENET_RIP;
  walk->word_count = 0;
  walk->is_full = false;
}

bool denet_cursor_read(const struct denet_cursor *walk, uint64_t address, uint64_t *out_value) {
  const struct denet_snapshot *snapshot = walk->snapshot;
  uint64_t offset = address - snapshot->registers[DENET_RSP];
  if (snapshot->stack_bytes < sizeof(*out_value) ||
      offset > snapshot->stack_bytes - sizeof(*out_value))
    return false;
  memcpy(out_value, snapshot->stack + offset, sizeof(*out_value));
  return true;
}

static void note(struct denet_cursor *walk, uint64_t address, uint64_t value) {
  for (size_t i = walk->word_count; i-- > 0 && i + 8 > walk->word_count;)
    if (walk->words[i].address == address)
      return;
  if (walk->word_count == DENET_CURSOR_DEPENDENCIES)
    walk->is_full = true;
  else
    walk->words[walk->word_count++] = (struct denet_cursor_dependency){address, value};
}

bool denet_cursor_use_word(struct denet_cursor *walk, uint64_t address, uint64_t *out_value) {
  if (!denet_cursor_read(walk, address, out_value))
    return false;
  note(walk, address, *out_value);
  return true;
}

bool denet_cursor_use_register(struct denet_cursor *walk, unsigned number, uint64_t *out_value) {
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

static void put(struct denet_registers *registers, unsigned number, uint64_t value,
                uint64_t origin) {
  registers->value[number] = value;
  registers->origin[number] = origin;
  registers->known |= 1u << number;
}

void denet_cursor_copy_register(const struct denet_cursor *walk, unsigned from, unsigned to,
                                struct denet_registers *caller) {
  if (from < DENET_REGISTERS && walk->now.known & 1u << from)
    put(caller, to, walk->now.value[from], walk->now.origin[from]);
}

void denet_cursor_load_register(const struct denet_cursor *walk, uint64_t address, unsigned to,
                                struct denet_registers *caller) {
  uint64_t value;
  if (denet_cursor_read(walk, address, &value))
    put(caller, to, value, address);
}

void denet_cursor_set_register(struct denet_registers *caller, unsigned to, uint64_t value) {
  put(caller, to, value, COMPUTED);
}

bool denet_cursor_frame_pointer(struct denet_cursor *walk) {
  uint64_t frame;
  if (!denet_cursor_use_register(walk, DENET_RBP, &frame) || frame < walk->now.value[DENET_RSP])
    return false;
  struct denet_registers caller = {.known = 0};
  denet_cursor_load_register(walk, frame, DENET_RBP, &caller);
  denet_cursor_load_register(walk, frame + 8, DENET_RIP, &caller);
  denet_cursor_set_register(&caller, DENET_RSP, frame + 16);
  if (!(caller.known & 1u << DENET_RBP) || !(caller.known & 1u << DENET_RIP))
    return false;
  walk->now = caller;
  return true;
}
