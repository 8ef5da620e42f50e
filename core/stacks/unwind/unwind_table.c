#include "core/stacks/unwind/unwind_table.h"

#include "core/stacks/unwind/cfi_check.h"
#include "core/util/cleanup.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>

#define STACK_DEPTH 16

void denet_unwind_table_done(struct denet_unwind_table *table) {
  dwarf_cfi_end(table->run_time);
  denet_elf_copy_done(&table->copy);
  *table = (struct denet_unwind_table){.bytes = 0};
}

/* Without .eh_frame_hdr, which may lead libdw to bytes that are no entry. */
static const char *const sections[] = {".eh_frame", ".debug_frame"};

int denet_unwind_table_init(const struct denet_elf_file *file, uint64_t limit,
                            struct denet_unwind_table *out_table) {
  DENET_CLEANUP(denet_unwind_table_done) struct denet_unwind_table table = {.bytes = 0};
  int error = denet_elf_file_copy(file, sections, DENET_COUNT_OF(sections), limit, &table.copy);
  if (error)
    return error;
  table.bytes = table.copy.bytes;
  for (int i = 0; i < 2; i++) {
    uint64_t bytes = 0;
    Elf_Scn *section = denet_elf_copy_section(&table.copy, sections[i]);
    Elf_Data *data = elf_getdata(section, NULL);
    if (section && (!data || !data->d_buf || data->d_type == ELF_T_CHDR ||
                    !denet_cfi_check(data, i == 0, &bytes)))
      return -ENOENT;
    table.bytes += bytes;
  }
  table.run_time = dwarf_getcfi_elf(table.copy.elf);
  table.debug = table.copy.dwarf ? dwarf_getcfi(table.copy.dwarf) : NULL;
  if (!table.run_time && !table.debug)
    return -ENOENT;
  /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): denet_unwind_table_done() reads it. */
  *out_table = DENET_EXCHANGE(table, (struct denet_unwind_table){.bytes = 0});
  return 0;
}

/* --- Expressions, as far as unwind tables use them (DWARF 5, section 2.5) --- */

struct computation {
  struct denet_cursor *cursor;
  const uint64_t *frame; /* the frame's address (CFA); NULL while that is computed */
  uint64_t stack[STACK_DEPTH];
  size_t depth;
  bool is_value; /* the result is the value itself, not its address */
};

static bool push(struct computation *computation, uint64_t value) {
  if (computation->depth == STACK_DEPTH)
    return false;
  computation->stack[computation->depth++] = value;
  return true;
}

static bool push_register(struct computation *computation, unsigned number, uint64_t offset) {
  uint64_t value;
  return denet_cursor_use_register(computation->cursor, number, &value) &&
         push(computation, value + offset);
}

/* Runs an operation that replaces the two values on top by one. */
static bool run_pair(struct computation *computation, uint8_t operation) {
  if (computation->depth < 2)
    return false;
  uint64_t right = computation->stack[--computation->depth];
  uint64_t left = computation->stack[--computation->depth];
  switch (operation) {
  case DW_OP_plus:
    return push(computation, left + right);
  case DW_OP_minus:
    return push(computation, left - right);
  case DW_OP_and:
    return push(computation, left & right);
  case DW_OP_shl:
    return push(computation, right < 64 ? left << right : 0);
  case DW_OP_ge:
    return push(computation, (int64_t)left >= (int64_t)right);
  case DW_OP_gt:
    return push(computation, (int64_t)left > (int64_t)right);
  case DW_OP_le:
    return push(computation, (int64_t)left <= (int64_t)right);
  case DW_OP_lt:
    return push(computation, (int64_t)left < (int64_t)right);
  default:
    return false;
  }
}

static bool run_operation(struct computation *computation, const Dwarf_Op *operation) {
  uint8_t atom = operation->atom;
  if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
    return push(computation, atom - DW_OP_lit0);
  if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
    return push_register(computation, atom - DW_OP_breg0, operation->number);
  if (atom >= DW_OP_const1u && atom <= DW_OP_consts)
    return push(computation, operation->number);
  if (atom == DW_OP_bregx)
    return push_register(computation, (unsigned)operation->number, operation->number2);
  if (atom == DW_OP_call_frame_cfa)
    return computation->frame && push(computation, *computation->frame);
  if (!computation->depth)
    return false;
  uint64_t *top = &computation->stack[computation->depth - 1];
  if (atom == DW_OP_deref)
    return denet_cursor_use_word(computation->cursor, *top, top);
  if (atom == DW_OP_plus_uconst)
    *top += operation->number;
  else if (atom == DW_OP_stack_value)
    computation->is_value = true;
  else
    return run_pair(computation, atom);
  return true;
}

static bool run(struct computation *computation, const Dwarf_Op *operations, size_t count,
                uint64_t *out_result) {
  for (size_t i = 0; i < count; i++)
    if (!run_operation(computation, &operations[i]))
      return false;
  if (!computation->depth)
    return false;
  *out_result = computation->stack[computation->depth - 1];
  return true;
}

/* --- A step --- */

/* Sets the caller's register, if its value can be found. libdw: no operations and a pointer: the
 * value is lost; neither: it is the same as in this frame. */
static void find_register(Dwarf_Frame *frame, struct denet_cursor *cursor, unsigned number,
                          const uint64_t *frame_address, struct denet_registers *caller) {
  struct computation computation = {.cursor = cursor, .frame = frame_address};
  Dwarf_Op memory[3], *operations;
  size_t count;
  uint64_t result;
  if (dwarf_frame_register(frame, (int)number, memory, &operations, &count) ||
      (!count && operations))
    return;
  unsigned atom = count == 1 ? operations[0].atom : 0;
  if (!count)
    denet_cursor_copy_register(cursor, number, number, caller);
  else if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31)
    denet_cursor_copy_register(cursor, atom - DW_OP_reg0, number, caller);
  else if (atom == DW_OP_regx)
    denet_cursor_copy_register(cursor, (unsigned)operations[0].number, number, caller);
  else if (!run(&computation, operations, count, &result))
    return;
  else if (computation.is_value)
    denet_cursor_set_register(caller, number, result, DENET_COMPUTED);
  else
    denet_cursor_load_register(cursor, result, number, caller);
}

static enum denet_step step(Dwarf_Frame *frame, struct denet_cursor *cursor) {
  struct denet_registers caller = {.known = 0};
  struct computation computation = {.cursor = cursor};
  uint64_t frame_address;
  Dwarf_Op memory[3], *operations;
  size_t count;
  /* In the first frame of a thread the return address is lost. */
  if (!dwarf_frame_register(frame, DENET_PROGRAM_COUNTER, memory, &operations, &count) && !count &&
      operations)
    return DENET_STEP_END;
  if (dwarf_frame_cfa(frame, &operations, &count) ||
      !run(&computation, operations, count, &frame_address))
    return DENET_STEP_CUT;
  for (unsigned number = 0; number < DENET_REGISTERS; number++)
    find_register(frame, cursor, number, &frame_address, &caller);
  if (!(caller.known & 1u << DENET_PROGRAM_COUNTER))
    return DENET_STEP_CUT;
  cursor->now = caller;
  return DENET_STEP_DONE;
}

enum denet_step denet_unwind_table_step(const struct denet_unwind_table *table, uint64_t address,
                                        struct denet_cursor *cursor, bool *out_is_signal) {
  DENET_FREE Dwarf_Frame *frame = NULL; /* by free(3), as libdw.h says */
  /* A program may have both kinds, each for some of its functions. */
  bool is_found = (table->run_time && !dwarf_cfi_addrframe(table->run_time, address, &frame)) ||
                  (table->debug && !dwarf_cfi_addrframe(table->debug, address, &frame));
  if (!is_found || dwarf_frame_info(frame, NULL, NULL, out_is_signal) != DENET_PROGRAM_COUNTER)
    return DENET_STEP_UNKNOWN;
  return step(frame, cursor);
}
