/* Files that processes execute: headers, symbols, unwind tables, lines. Any user can write one and
 * run it. The input is the file; the thread that is unwound is at the file's entry, and its stack
 * holds the file's bytes. */
#include "core/stacks/unwind/dso.h"
#include "core/stacks/unwind/unwinder.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET (16u << 20)
#define NAME_MOST 1024
#define ADDRESSES 8
#define STACK_AT UINT64_C(0x7ffc00000000)

static void claim_name(struct denet_dsos *dsos, struct denet_dso *dso, uint64_t address) {
  struct denet_buffer first = {0}, again = {0};
  int outcome = denet_dsos_append_name(dsos, dso, address, &first);
  CLAIM(denet_dsos_append_name(dsos, dso, address, &again) == outcome);
  if (outcome) {
    CLAIM(outcome == -ENOENT && first.length == 0 && again.length == 0);
  } else {
    CLAIM(first.length > 0 && first.length <= NAME_MOST && strlen(first.bytes) == first.length);
    CLAIM(!strcmp(first.bytes, again.bytes));
  }
  CLAIM(fuzz_is_printable(first.bytes, first.length));
  denet_buffer_done(&first);
  denet_buffer_done(&again);
}

/* Follows the calls from the address, by the tables, else by frame pointers. */
static void follow_calls(const struct denet_unwind_table *table, uint64_t address,
                         struct denet_text stack) {
  static struct denet_cursor cursor;
  struct denet_snapshot snapshot = {.stack = (const unsigned char *)stack.bytes,
                                    .stack_bytes = stack.length};
  enum denet_step step = DENET_STEP_DONE;
  bool is_signal;
  for (size_t i = 0; i < DENET_REGISTERS; i++)
    snapshot.registers[i] = STACK_AT + i * 8;
  snapshot.registers[DENET_STACK_POINTER] = STACK_AT;
  snapshot.registers[DENET_PROGRAM_COUNTER] = address;
  denet_cursor_start(&cursor, &snapshot);
  for (size_t depth = 0; depth < DENET_FRAMES_MOST && step == DENET_STEP_DONE; depth++) {
    address = cursor.now.value[DENET_PROGRAM_COUNTER];
    step =
        table ? denet_unwind_table_step(table, address, &cursor, &is_signal) : DENET_STEP_UNKNOWN;
    if (step == DENET_STEP_UNKNOWN)
      step = denet_cursor_step_by_frame_pointer(&cursor, depth == 0);
  }
  CLAIM(cursor.dependency_count <= DENET_CURSOR_DEPENDENCIES &&
        cursor.now.known >> DENET_REGISTERS == 0);
}

static void claim_file(struct denet_dsos *dsos, struct denet_dso *dso, struct denet_text file) {
  uint64_t entry = 0;
  if (file.length >= offsetof(Elf64_Ehdr, e_entry) + sizeof(entry))
    memcpy(&entry, file.bytes + offsetof(Elf64_Ehdr, e_entry), sizeof(entry));
  for (uint64_t i = 0; i < ADDRESSES; i++) {
    follow_calls(denet_dsos_table(dsos, dso), entry + i * 4, file);
    claim_name(dsos, dso, entry + i * 4);
  }
}

void fuzz_one(struct denet_text file) {
  struct denet_dsos dsos = {.budget_bytes = BUDGET};
  struct denet_dso *dso;
  CLAIM(denet_dsos_open(&dsos, fuzz_file(file), 1, &dso) == 0);
  if (dso->is_elf)
    claim_file(&dsos, dso, file);
  CLAIM(dsos.memory_bytes == dso->memory_bytes && dsos.memory_bytes <= BUDGET);
  denet_dsos_release(&dsos, dso);
  denet_dsos_done(&dsos);
  CLAIM(dsos.memory_bytes == 0 && dsos.open_count == 0);
}
