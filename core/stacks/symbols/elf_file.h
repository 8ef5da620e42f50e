/* An ELF file for x86-64. It is read piece by piece and never mapped, since its owner may truncate
 * it or change it at any time. Addresses are those that the file gives itself. */
#pragma once

#include "core/util/buffer.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

struct denet_elf_file {
  int fd;               /* borrowed */
  Elf64_Phdr *programs; /* owned, as are the next two */
  Elf64_Shdr *sections; /* SHT_NULL: one without content, or not wholly in the file */
  char *names;          /* of the sections */
  size_t program_count, section_count, names_index, names_bytes;
};

/* Reads the headers. 0; -ENOEXEC if it is no such file, or one with absurd headers; -ENOMEM; an
 * error of pread(). */
int denet_elf_file_open(int fd, struct denet_elf_file *out_file);

void denet_elf_file_done(struct denet_elf_file *file);

#define DENET_BUILD_ID_BYTES 41

/* Gets the build-id (at most its first 20 bytes) in hexadecimal digits; false if there is none. */
bool denet_elf_file_build_id(const struct denet_elf_file *file, char out[DENET_BUILD_ID_BYTES]);

typedef struct Elf Elf;         /* libelf.h */
typedef struct Elf_Scn Elf_Scn; /* libelf.h */
typedef struct Dwarf Dwarf;     /* elfutils/libdw.h */

/* Some sections of an ELF file, as an ELF file in memory that libelf and libdw read. Each has the
 * index that it has in the file, and a NUL behind it; the others are SHT_NULL. */
struct denet_elf_copy {
  struct denet_buffer content; /* owned, as is all */
  Elf *elf;
  Dwarf *dwarf;   /* NULL: libdw finds nothing to read */
  uint64_t bytes; /* of memory, with what libelf takes to uncompress */
};

/* Copies the first section of each of these names, and the sections that they link to, which have
 * no name in the copy (libdw would take them for what their names say), and uncompresses those of
 * debugging information. 0, then the caller owns what is in *out_copy; -ENOENT if none is there;
 * -EFBIG if they are, uncompressed, above limit; -ENOEXEC if the file has become shorter; -ENOMEM;
 * an error of pread(). */
int denet_elf_file_copy(const struct denet_elf_file *file, const char *const *names, size_t count,
                        uint64_t limit, struct denet_elf_copy *out_copy);

void denet_elf_copy_done(struct denet_elf_copy *copy); /* zeroed is fine */

/* Finds a section by its name; NULL: there is none. */
Elf_Scn *denet_elf_copy_section(const struct denet_elf_copy *copy, const char *name);
