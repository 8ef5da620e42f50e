/* From an address of an ELF file to its source line, if the file has debugging information. */
#pragma once

#include "core/stacks/symbols/elf_file.h"

struct denet_line_table;

/* Reads the file's debugging information, which may take limit bytes of memory. 0, then the caller
 * owns *out_lines and the file is not needed any more; -ENOENT if it has none; as
 * denet_elf_file_copy. */
int denet_line_table_new(const struct denet_elf_file *file, uint64_t limit,
                         struct denet_line_table **out_lines);

void denet_line_table_free(struct denet_line_table *lines); /* NULL is fine */

/* Returns the memory it may take in the end. */
uint64_t denet_line_table_bytes(const struct denet_line_table *lines);

/* Finds the line of an address. 0 with the source file's base name (borrowed for as long as lines
 * is there); -ENOENT if it is not known. */
int denet_line_table_find(struct denet_line_table *lines, uint64_t address, const char **out_file,
                          int *out_line);
