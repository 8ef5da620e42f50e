/* An ELF file for x86-64. It is read piece by piece and never mapped, since its owner may truncate
 * it or change it at any time. Addresses are those that the file gives itself. */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct denet_elf_file {
  int fd; /* borrowed */
  uint64_t bytes;
  Elf64_Phdr *programs; /* owned, as are the next two */
  Elf64_Shdr *sections;
  char *names; /* of the sections; the last byte is a NUL */
  size_t program_count, section_count, names_bytes;
};

/* Reads the headers. 0; -ENOEXEC if it is no such file, or one with absurd headers; -ENOMEM; an
 * error of pread(). */
int denet_elf_file_open(int fd, struct denet_elf_file *out_file);

void denet_elf_file_done(struct denet_elf_file *file);

/* Finds a section that is wholly in the file, by name or by index; NULL: none. */
const Elf64_Shdr *denet_elf_file_section(const struct denet_elf_file *file, const char *name);
const Elf64_Shdr *denet_elf_file_section_at(const struct denet_elf_file *file, size_t index);

/* Reads all of a section, and puts a NUL behind it. 0, then the caller owns *out_bytes; -EFBIG
 * above limit; -ENOEXEC if it is not in the file; -ENOMEM; an error of pread(). */
int denet_elf_file_read(const struct denet_elf_file *file, const Elf64_Shdr *section,
                        uint64_t limit, unsigned char **out_bytes);

/* Gets up to size bytes of the build-id. Returns its length, 0 if there is none. */
size_t denet_elf_file_build_id(const struct denet_elf_file *file, unsigned char *out, size_t size);

typedef struct Elf Elf;     /* libelf.h */
typedef struct Dwarf Dwarf; /* elfutils/libdw.h */

/* Some sections of an ELF file, as an ELF file in memory that libelf and libdw read. */
struct denet_elf_copy {
  char *content; /* owned, as is all */
  Elf *elf;
  Dwarf *dwarf;   /* NULL: libdw finds nothing to read */
  uint64_t bytes; /* of memory, with what libelf takes to uncompress */
};

/* Copies the sections of these names (at most 16) that are there, and uncompresses them. 0, then
 * the caller owns what is in *out_copy; -ENOENT if none is there; -EFBIG if they are, uncompressed,
 * above limit; as denet_elf_file_read. */
int denet_elf_file_copy(const struct denet_elf_file *file, const char *const *names, size_t count,
                        uint64_t limit, struct denet_elf_copy *out_copy);

void denet_elf_copy_done(struct denet_elf_copy *copy); /* zeroed is fine */

/* Returns the content (Elf_Data *) of a section, which is uncompressed; NULL: there is none. */
void *denet_elf_copy_section(const struct denet_elf_copy *copy, const char *name);
