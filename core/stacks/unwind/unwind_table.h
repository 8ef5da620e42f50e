/* The unwind tables of one ELF file (.eh_frame and .debug_frame), read by libdw: how to get from
 * the frame of each of its functions to the caller's. */
#pragma once

#include "core/stacks/symbols/elf_file.h"
#include "core/stacks/unwind/cursor.h"

typedef struct Dwarf_CFI_s Dwarf_CFI; /* elfutils/libdw.h */

struct denet_unwind_table {
  struct denet_elf_copy copy; /* owned */
  Dwarf_CFI *run_time;        /* of .eh_frame, or NULL; owned */
  Dwarf_CFI *debug;           /* of .debug_frame, or NULL; copy.dwarf's */
  uint64_t bytes;             /* the memory that all this may take; 0: nothing was read */
};

/* Reads the tables, which may take limit bytes of memory. 0, then the caller owns what is in
 * *out_table and the file is not needed any more; -ENOENT if the file has none; -EFBIG; as
 * denet_elf_file_copy. */
int denet_unwind_table_init(const struct denet_elf_file *file, uint64_t limit,
                            struct denet_unwind_table *out_table);

void denet_unwind_table_done(struct denet_unwind_table *table); /* zeroed is fine */

/* Moves the cursor from the frame that is at an address of the file to its caller.
 * DENET_STEP_UNKNOWN if the tables do not have the address. *out_is_signal: the kernel made the
 * frame to run a signal's handler. */
enum denet_step denet_unwind_table_step(const struct denet_unwind_table *table, uint64_t address,
                                        struct denet_cursor *cursor, bool *out_is_signal);
