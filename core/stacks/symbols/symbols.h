/* The names of the functions of one ELF file. */
#pragma once

#include "core/stacks/symbols/elf_file.h"

struct denet_symbol;

struct denet_symbols {
  struct denet_symbol *all; /* by address, one for each; owned */
  size_t count, capacity;
  struct denet_buffer names; /* each with a NUL behind it */
  uint64_t limit;            /* of memory */
};

/* Reads them from .symtab; else from .symtab of the separate debug file (NULL if there is none);
 * else from .dynsym and the compressed table in .gnu_debugdata. They may take limit bytes of
 * memory. 0, then the caller owns what is in *out_symbols and the files are not needed any more;
 * -ENOENT if it has none; -EFBIG; as denet_elf_file_copy. */
int denet_symbols_init(const struct denet_elf_file *file, const struct denet_elf_file *debug,
                       uint64_t limit, struct denet_symbols *out_symbols);

void denet_symbols_done(struct denet_symbols *symbols); /* zeroed is fine */

/* Returns the memory they take. */
uint64_t denet_symbols_bytes(const struct denet_symbols *symbols);

/* Returns the name of the function at the address, any bytes, as it is in the file; of several
 * names the one that people know. NULL if there is none. Valid as long as the symbols are. */
const char *denet_symbols_find(const struct denet_symbols *symbols, uint64_t address);
