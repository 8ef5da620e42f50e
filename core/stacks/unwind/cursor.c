#include "core/stacks/unwind/cursor.h"

#include <string.h>

bool denet_snapshot_read(const struct denet_snapshot *snapshot, uint64_t address,
                         uint64_t *out_value) {
  uint64_t offset = address - snapshot->registers[DENET_STACK_POINTER];
  if (snapshot->stack_bytes < sizeof(*out_value) ||
      offset > snapshot->stack_bytes - sizeof(*out_value))
    return false;
  memcpy(out_value, snapshot->stack + offset, sizeof(*out_value));
  return true;
}

void denet_cursor_start(struct denet_cursor *cursor, const struct denet_snapshot *snapshot) {
  cursor->snapshot = snapshot;
  cursor->now = (struct denet_registers){.known = (1u << DENET_REGISTERS) - 1};
  memcpy(cursor->now.value, snapshot->registers, sizeof(cursor->now.value));
  /* stack_cache.c looks a stack up by these two. */
  cursor->initial = 1u << DENET_STACK_POINTER | 1u << DENET_PROGRAM_COUNTER;
  cursor->dependency_count = 0;
  cursor->is_full = false;
}

static void add_dependency(struct denet_cursor *cursor, uint64_t address, uint64_t value) {
  for (size_t i = cursor->dependency_count; i-- > 0 && i + 8 > cursor->dependency_count;)
    if (cursor->dependencies[i].address == address)
      return;
  if (cursor->dependency_count == DENET_CURSOR_DEPENDENCIES)
    cursor->is_full = true;
  else
    cursor->dependencies[cursor->dependency_count++] =
        (struct denet_cursor_dependency){address, value};
}

bool denet_cursor_use_word(struct denet_cursor *cursor, uint64_t address, uint64_t *out_value) {
  if (!denet_snapshot_read(cursor->snapshot, address, out_value))
    return false;
  add_dependency(cursor, address, *out_value);
  return true;
}

bool denet_cursor_use_register(struct denet_cursor *cursor, unsigned number, uint64_t *out_value) {
  if (number >= DENET_REGISTERS || !(cursor->now.known & 1u << number))
    return false;
  uint64_t origin = cursor->now.origin[number];
  *out_value = cursor->now.value[number];
  if (origin == DENET_FROM_SNAPSHOT)
    cursor->initial |= 1u << number;
  else if (origin != DENET_COMPUTED)
    add_dependency(cursor, origin, *out_value);
  return true;
}

void denet_cursor_set_register(struct denet_registers *caller, unsigned to, uint64_t value,
                               uint64_t origin) {
  caller->value[to] = value;
  caller->origin[to] = origin;
  caller->known |= 1u << to;
}

void denet_cursor_copy_register(const struct denet_cursor *cursor, unsigned from, unsigned to,
                                struct denet_registers *caller) {
  if (from < DENET_REGISTERS && cursor->now.known & 1u << from)
    denet_cursor_set_register(caller, to, cursor->now.value[from], cursor->now.origin[from]);
}

void denet_cursor_load_register(const struct denet_cursor *cursor, uint64_t address, unsigned to,
                                struct denet_registers *caller) {
  uint64_t value;
  if (denet_snapshot_read(cursor->snapshot, address, &value))
    denet_cursor_set_register(caller, to, value, address);
}

enum denet_step denet_cursor_step_by_frame_pointer(struct denet_cursor *cursor, bool is_leaf) {
  struct denet_registers caller = {.known = 0};
  uint64_t frame;
  if (!denet_cursor_use_register(cursor, DENET_FRAME_POINTER, &frame))
    return DENET_STEP_CUT;
  if (frame == 0 && !is_leaf)
    return DENET_STEP_END;
  if (frame < cursor->now.value[DENET_STACK_POINTER])
    return DENET_STEP_CUT;
  denet_cursor_load_register(cursor, frame, DENET_FRAME_POINTER, &caller);
  denet_cursor_load_register(cursor, frame + 8, DENET_PROGRAM_COUNTER, &caller);
  denet_cursor_set_register(&caller, DENET_STACK_POINTER, frame + 16, DENET_COMPUTED);
  if (~caller.known & (1u << DENET_FRAME_POINTER | 1u << DENET_PROGRAM_COUNTER))
    return DENET_STEP_CUT;
  cursor->now = caller;
  return DENET_STEP_DONE;
}
