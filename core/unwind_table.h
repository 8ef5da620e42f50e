/* The unwind table of one ELF file (.eh_frame and .debug_frame): which entry is a function's. */
#pragma once

#include "elf_file.h"
#include "unwind_rules.h"

struct denet_unwind_table;

/* Reads the table, which may take limit bytes of memory with its index. 0, then the caller owns
 * *out_table and the file is not needed any more; -ENOENT if the file has none; -EFBIG; as
 * denet_elf_file_read. What is broken in the table is left out. */
int denet_unwind_table_new(const struct denet_elf_file *file, uint64_t limit,
                           struct denet_unwind_table **out_table);

void denet_unwind_table_free(struct denet_unwind_table *table); /* NULL is fine */

/* The memory it takes. */
uint64_t denet_unwind_table_bytes(const struct denet_unwind_table *table);

size_t denet_unwind_table_count(const struct denet_unwind_table *table);

/* The entry of the function that the address is in. False if there is none. It is borrowed from the
 * table. */
bool denet_unwind_table_find(const struct denet_unwind_table *table, uint64_t address,
                             struct denet_unwind_entry *out_entry);
