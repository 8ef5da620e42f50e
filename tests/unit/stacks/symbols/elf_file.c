/* What a file's owner, who may be hostile, cannot reach by the links and names of sections. */
#include "core/stacks/symbols/elf_file.h"

#include "core/stacks/symbols/symbols.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LIMIT (UINT64_C(16) << 20)

/* Copies a test program into memory, and opens it. */
static int open_copy(const char *name, struct denet_elf_file *file) {
  static char content[1 << 20];
  char path[512];
  snprintf(path, sizeof(path), "%s/%s", DENET_PROGRAMS, name);
  DENET_CLOSE int from = open(path, O_RDONLY | O_CLOEXEC);
  int fd = memfd_create("program", MFD_CLOEXEC);
  ssize_t length = read(from, content, sizeof(content));
  ck_assert_int_gt(length, 0);
  ck_assert_int_eq(write(fd, content, (size_t)length), length);
  ck_assert_int_eq(denet_elf_file_open(fd, file), 0);
  return fd;
}

static size_t index_of(const struct denet_elf_file *file, const char *name) {
  size_t index = 1;
  while (strcmp(file->names + file->sections[index].sh_name, name) != 0)
    index++;
  return index;
}

START_TEST(linked_section_has_no_name_in_the_copy) {
  const char *names[] = {".eh_frame"};
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  DENET_CLOSE int fd = open_copy("chain_plain", &file);
  Elf64_Shdr *frames = &file.sections[index_of(&file, ".eh_frame")];
  frames->sh_link = (uint32_t)index_of(&file, ".eh_frame_hdr");
  ck_assert_int_eq(denet_elf_file_copy(&file, names, 1, LIMIT, &copy), 0);
  ck_assert_ptr_nonnull(denet_elf_copy_section(&copy, ".eh_frame"));
  ck_assert_ptr_null(denet_elf_copy_section(&copy, ".eh_frame_hdr"));
}
END_TEST

START_TEST(names_in_the_copy_are_those_that_were_read_first) {
  const char *names[] = {".symtab"};
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  DENET_CLOSE int fd = open_copy("chain_plain", &file);
  off_t at = (off_t)file.sections[file.names_index].sh_offset +
             file.sections[index_of(&file, ".symtab")].sh_name;
  ck_assert_int_eq(pwrite(fd, ".zdebug", 7, at), 7);
  ck_assert_int_eq(denet_elf_file_copy(&file, names, 1, LIMIT, &copy), 0);
  ck_assert_ptr_nonnull(denet_elf_copy_section(&copy, ".symtab"));
}
END_TEST

START_TEST(names_of_symbols_are_not_compressed) {
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  DENET_CLEANUP(denet_symbols_done) struct denet_symbols symbols = {0};
  DENET_CLOSE int fd = open_copy("chain_plain", &file);
  size_t link = file.sections[index_of(&file, ".symtab")].sh_link;
  file.sections[link].sh_flags |= SHF_COMPRESSED;
  /* A header of compression that allows no more than there is. */
  Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = 16, .ch_addralign = 1};
  ck_assert_int_eq(pwrite(fd, &header, sizeof(header), (off_t)file.sections[link].sh_offset),
                   sizeof(header));
  ck_assert_int_eq(denet_symbols_init(&file, NULL, LIMIT, &symbols), -ENOENT);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, linked_section_has_no_name_in_the_copy);
  ADD_TEST(suite, names_in_the_copy_are_those_that_were_read_first);
  ADD_TEST(suite, names_of_symbols_are_not_compressed);
}
