#include "core/stacks/unwind/unwind_table.h"

#include "core/stacks/unwind/cfi_check.h"
#include "core/util/cleanup.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>
#define STACK_DEPTH 16
struct denet_unwind_table {
  char *image; /* what elf reads: a copy that nobody can cut short; owned, as is all */
  Elf *elf;
  Dwarf *dwarf;        /* NULL: there is no .debug_frame */
  Dwarf_CFI *run_time; /* .eh_frame, or NULL */
  Dwarf_CFI *debug;    /* .debug_frame, or NULL; the dwarf's */
  uint64_t bytes;
};

void denet_unwind_table_free(struct denet_unwind_table *table) {
  if (!table)
    return;
  dwarf_cfi_end(table->run_time);
  dwarf_end(table->dwarf);
  elf_end(table->elf);
  free(table->image);
  free(table);
}

static void free_tablep(struct denet_unwind_table **table) { denet_unwind_table_free(*table); }

/* Of a file that has nothing but tables, uncompressed by now: whether libdw may have them. */
static bool are_sane(Elf *elf, uint64_t *out_bytes) {
  size_t names;
  *out_bytes = 0;
  if (elf_getshdrstrndx(elf, &names))
    return false;
  for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
    GElf_Shdr header;
    uint64_t bytes;
    const char *name =
        gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
    bool is_eh_frame = name && !strcmp(name, ".eh_frame");
    if (!is_eh_frame && (!name || strcmp(name, ".debug_frame") != 0))
      continue;
    Elf_Data *data = elf_getdata(section, NULL);
    if (!data || !data->d_buf || header.sh_flags & SHF_COMPRESSED ||
        !denet_cfi_check(data, is_eh_frame, &bytes))
      return false;
    *out_bytes += bytes;
  }
  return true;
}

int denet_unwind_table_new(const struct denet_elf_file *file, uint64_t limit,
                           struct denet_unwind_table **out_table) {
  /* Not .eh_frame_hdr: it may lead libdw to what looks like an entry only from there. */
  static const char *const sections[] = {".eh_frame", ".debug_frame"};
  DENET_CLEANUP(free_tablep) struct denet_unwind_table *table = calloc(1, sizeof(*table));
  if (!table)
    return -ENOMEM;
  struct denet_elf_extract extract = {0};
  int error = denet_elf_file_extract(file, sections, DENET_COUNT_OF(sections), limit, &extract);
  if (error)
    return error;
  table->image = extract.image;
  table->bytes = sizeof(*table) + extract.bytes + extract.uncompressed;
  table->elf = elf_memory(table->image, extract.bytes);
  /* It uncompresses what is compressed. */
  table->dwarf = table->elf ? dwarf_begin_elf(table->elf, DWARF_C_READ, NULL) : NULL;
  uint64_t kept_bytes;
  if (!table->elf || !are_sane(table->elf, &kept_bytes))
    return -ENOENT;
  table->bytes += kept_bytes;
  table->run_time = dwarf_getcfi_elf(table->elf);
  table->debug = table->dwarf ? dwarf_getcfi(table->dwarf) : NULL;
  if (!table->run_time && !table->debug)
    return -ENOENT;
  *out_table = DENET_TAKE(table);
  return 0;
}

uint64_t denet_unwind_table_bytes(const struct denet_unwind_table *table) { return table->bytes; }

/* A program has both where its runtime's functions have the one and its own the other. */
static Dwarf_Frame *find_frame(const struct denet_unwind_table *table, uint64_t address) {
  Dwarf_Frame *frame = NULL;
  if (table->run_time && !dwarf_cfi_addrframe(table->run_time, address, &frame))
    return frame;
  if (table->debug && !dwarf_cfi_addrframe(table->debug, address, &frame))
    return frame;
  return NULL;
}

static void free_frame(Dwarf_Frame **frame) { free(*frame); } /* as libdw.h says */

/* --- Expressions, as far as unwind tables use them --- */

/* Operations that libdw has taken apart, while they are carried out. */
struct computation {
  struct denet_cursor *walk;
  const uint64_t *frame; /* the frame's address (CFA); NULL where it is what is looked for */
  uint64_t stack[STACK_DEPTH];
  size_t depth;
  bool is_value; /* the result is the value itself, not where it is */
};

static bool push(struct computation *computation, uint64_t value) {
  if (computation->depth == STACK_DEPTH)
    return false;
  computation->stack[computation->depth++] = value;
  return true;
}

static bool push_register(struct computation *computation, unsigned number, uint64_t offset) {
  uint64_t value;
  return denet_cursor_use_register(computation->walk, number, &value) &&
         push(computation, value + offset);
}

static bool compute_pair(uint8_t operation, uint64_t left, uint64_t right, uint64_t *out) {
  int64_t a = (int64_t)left, b = (int64_t)right;
  switch (operation) {
  case DW_OP_plus:
    *out = left + right;
    return true;
  case DW_OP_minus:
    *out = left - right;
    return true;
  case DW_OP_and:
    *out = left & right;
    return true;
  case DW_OP_shl:
    *out = right < 64 ? left << right : 0;
    return true;
  case DW_OP_ge:
    *out = a >= b;
    return true;
  case DW_OP_gt:
    *out = a > b;
    return true;
  case DW_OP_le:
    *out = a <= b;
    return true;
  case DW_OP_lt:
    *out = a < b;
    return true;
  default:
    return false;
  }
}

static bool run_pair(struct computation *computation, uint8_t operation) {
  if (computation->depth < 2)
    return false;
  uint64_t right = computation->stack[--computation->depth];
  uint64_t *left = &computation->stack[computation->depth - 1];
  return compute_pair(operation, *left, right, left);
}

/* Of the value on top. */
static bool run_top(struct computation *computation, const Dwarf_Op *operation) {
  if (!computation->depth)
    return false;
  uint64_t *top = &computation->stack[computation->depth - 1];
  switch (operation->atom) {
  case DW_OP_plus_uconst:
    *top += operation->number;
    return true;
  case DW_OP_deref:
    return denet_cursor_use_word(computation->walk, *top, top);
  case DW_OP_stack_value:
    computation->is_value = true;
    return true;
  default:
    return run_pair(computation, operation->atom);
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
  return run_top(computation, operation);
}

/* Leaves the result on top. */
static bool run(struct computation *computation, const Dwarf_Op *operations, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!run_operation(computation, &operations[i]))
      return false;
  return computation->depth > 0;
}

static uint64_t result_of(const struct computation *computation) {
  return computation->stack[computation->depth - 1];
}

/* --- A step --- */

static bool find_frame_address(Dwarf_Frame *frame, struct denet_cursor *walk,
                               uint64_t *out_address) {
  struct computation computation = {.walk = walk};
  Dwarf_Op *operations;
  size_t count;
  if (dwarf_frame_cfa(frame, &operations, &count) || !run(&computation, operations, count))
    return false;
  *out_address = result_of(&computation);
  return true;
}

/* Whether the rule is that the value is in another register of this frame. */
static bool is_register(const Dwarf_Op *operations, size_t count, unsigned *out_number) {
  if (count != 1)
    return false;
  uint8_t atom = operations[0].atom;
  *out_number = atom == DW_OP_regx ? (unsigned)operations[0].number : (unsigned)atom - DW_OP_reg0;
  return atom == DW_OP_regx || (atom >= DW_OP_reg0 && atom <= DW_OP_reg31);
}

/* What the caller had in the register, if that can be told. */
static void find_register(Dwarf_Frame *frame, struct denet_cursor *walk, unsigned number,
                          const uint64_t *frame_address, struct denet_registers *caller) {
  struct computation computation = {.walk = walk, .frame = frame_address};
  Dwarf_Op memory[3], *operations;
  size_t count;
  unsigned other = number;
  if (dwarf_frame_register(frame, (int)number, memory, &operations, &count))
    return;
  bool is_same = !count && !operations, is_lost = !count && operations;
  if (is_lost)
    return;
  if (is_same || is_register(operations, count, &other))
    denet_cursor_copy_register(walk, other, number, caller);
  else if (!run(&computation, operations, count))
    return;
  else if (computation.is_value)
    denet_cursor_set_register(caller, number, result_of(&computation));
  else
    denet_cursor_load_register(walk, result_of(&computation), number, caller);
}

/* The return address is lost where there is nothing to return to. */
static bool is_first_frame(Dwarf_Frame *frame) {
  Dwarf_Op memory[3], *operations;
  size_t count;
  return !dwarf_frame_register(frame, DENET_RIP, memory, &operations, &count) && !count &&
         operations;
}

static enum denet_step step(Dwarf_Frame *frame, struct denet_cursor *walk) {
  struct denet_registers caller = {.known = 0};
  uint64_t frame_address;
  if (is_first_frame(frame))
    return DENET_STEP_END;
  if (!find_frame_address(frame, walk, &frame_address))
    return DENET_STEP_CUT;
  for (unsigned number = 0; number < DENET_REGISTERS; number++)
    find_register(frame, walk, number, &frame_address, &caller);
  if (!(caller.known & 1u << DENET_RIP))
    return DENET_STEP_CUT;
  walk->now = caller;
  return DENET_STEP_DONE;
}

bool denet_unwind_table_step(const struct denet_unwind_table *table, uint64_t address,
                             struct denet_cursor *walk, bool *out_is_signal,
                             enum denet_step *out_step) {
  DENET_CLEANUP(free_frame) Dwarf_Frame *frame = find_frame(table, address);
  if (!frame || dwarf_frame_info(frame, NULL, NULL, out_is_signal) != DENET_RIP)
    return false;
  *out_step = step(frame, walk);
  return true;
}
