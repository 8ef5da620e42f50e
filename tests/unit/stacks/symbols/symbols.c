#include "core/stacks/symbols/symbols.h"

#include "core/stacks/symbols/demangle.h"
#include "core/stacks/symbols/line_table.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define BUDGET (UINT64_C(16) << 20)

/* An open file of the test programs. */
#define PROGRAM DENET_CLEANUP(close_program) struct denet_elf_file

static void close_program(struct denet_elf_file *program) {
  int fd = program->fd;
  denet_elf_file_done(program);
  denet_closep(&fd);
}

#define SYMBOLS DENET_CLEANUP(denet_symbols_done) struct denet_symbols

static struct denet_elf_file open_path(const char *path) {
  struct denet_elf_file program;
  ck_assert_int_eq(denet_elf_file_open(open(path, O_RDONLY | O_CLOEXEC), &program), 0);
  return program;
}

static struct denet_elf_file open_program(const char *name) {
  char path[512];
  snprintf(path, sizeof(path), "%s/%s", DENET_PROGRAMS, name);
  return open_path(path);
}

/* The address of a symbol of a program, as the file gives it. */
static uint64_t address_of(const struct denet_elf_file *program, const char *name) {
  uint64_t address = 0;
  Elf *elf = elf_begin(program->fd, ELF_C_READ, NULL);
  GElf_Shdr header = {0};
  GElf_Sym symbol;
  Elf_Scn *section = NULL;
  while (header.sh_type != SHT_SYMTAB)
    gelf_getshdr(section = elf_nextscn(elf, section), &header);
  for (int i = 0; !address && gelf_getsym(elf_getdata(section, NULL), i, &symbol); i++)
    if (strcmp(elf_strptr(elf, header.sh_link, symbol.st_name), name) == 0)
      address = symbol.st_value;
  elf_end(elf);
  ck_assert_uint_ne(address, 0);
  return address;
}

START_TEST(address_has_the_function_that_it_is_in) {
  PROGRAM chain = open_program("chain");
  SYMBOLS symbols = {0};
  ck_assert_int_eq(denet_symbols_init(&chain, NULL, BUDGET, &symbols), 0);
  uint64_t address = address_of(&chain, "tenth");
  ck_assert_str_eq(denet_symbols_find(&symbols, address), "tenth");
  ck_assert_str_eq(denet_symbols_find(&symbols, address + 7), "tenth");
  ck_assert_ptr_null(denet_symbols_find(&symbols, 1));
  ck_assert_ptr_null(denet_symbols_find(&symbols, UINT64_MAX));
  ck_assert_uint_gt(denet_symbols_bytes(&symbols), symbols.count);
}
END_TEST

START_TEST(what_exceeds_the_limit_is_refused) {
  PROGRAM large = open_program("chain_static"), chain = open_program("chain");
  SYMBOLS symbols = {0};
  struct denet_line_table *lines;
  ck_assert_int_eq(denet_symbols_init(&large, NULL, 4096, &symbols), -EFBIG);
  ck_assert_int_eq(denet_line_table_new(&chain, 16, &lines), -EFBIG);
}
END_TEST

START_TEST(stripped_file_has_no_names_except_in_a_separate_debug_file_or_compressed) {
  char command[2048], path[] = "/tmp/denet-compressed-XXXXXX";
  PROGRAM stripped = open_program("chain_stripped"), debug = open_program("chain_plain");
  SYMBOLS symbols = {0}, uncompressed = {0};
  ck_assert_int_eq(denet_symbols_init(&stripped, NULL, BUDGET, &symbols), -ENOENT);
  ck_assert_int_eq(denet_symbols_init(&stripped, &debug, BUDGET, &symbols), 0);
  ck_assert_str_eq(denet_symbols_find(&symbols, address_of(&debug, "ninth")), "ninth");
  /* As Fedora does: the symbols of a stripped program are a compressed section of it. */
  DENET_CLOSE int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  snprintf(command, sizeof(command),
           "f=%s p=%s; xz -c $p/chain_plain >$f.xz && "
           "objcopy --add-section .gnu_debugdata=$f.xz $p/chain_stripped $f && rm $f.xz",
           path, DENET_PROGRAMS);
  if (system("command -v objcopy >/dev/null && command -v xz >/dev/null") == 0) {
    ck_assert_int_eq(system(command), 0);
    PROGRAM compressed = open_path(path);
    ck_assert_int_eq(denet_symbols_init(&compressed, NULL, BUDGET, &uncompressed), 0);
    ck_assert_str_eq(denet_symbols_find(&uncompressed, address_of(&debug, "first")), "first");
  }
  unlink(path);
}
END_TEST

START_TEST(address_has_a_line) {
  PROGRAM chain = open_program("chain");
  struct denet_line_table *lines;
  const char *name;
  int line = 0;
  ck_assert_int_eq(denet_line_table_new(&chain, BUDGET, &lines), 0);
  ck_assert_int_eq(denet_line_table_find(lines, address_of(&chain, "ninth"), &name, &line), 0);
  ck_assert_str_eq(name, "chain.c");
  ck_assert_int_gt(line, 10);
  ck_assert_int_eq(denet_line_table_find(lines, 8, &name, &line), -ENOENT);
  denet_line_table_free(lines);
}
END_TEST

static const struct {
  const char *mangled, *name;
} names[] = {
    {"_ZN4shop4Till4openEv", "shop::Till::open()"},
    {"_ZNSt6vectorIiSaIiEE9push_backERKi",
     "std::vector<int, std::allocator<int> >::push_back(int const&)"},
    {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
    {"main", NULL},
    {"_Z", NULL},
    {"_RNvC6_123foo3bar", NULL},
    {"", NULL},
};

START_TEST(mangled_names_become_those_that_people_write) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer out = {0};
  ck_assert_int_eq(denet_demangle(names[_i].mangled, &out), names[_i].name != NULL);
  ck_assert_str_eq(out.bytes ? out.bytes : "", names[_i].name ? names[_i].name : "");
}
END_TEST

START_TEST(short_name_that_stands_for_gigabytes_stays_as_it_is) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer out = {0};
  char mangled[1024] = "_Z1fPFvPiE";
  /* Each function takes the one before it twice. */
  for (int i = 0; i < 60; i++) {
    size_t length = strlen(mangled);
    snprintf(mangled + length, sizeof(mangled) - length, "PFvS%c_S%c_E", '0' + i % 10,
             '0' + i % 10);
  }
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  denet_demangle(mangled, &out);
  clock_gettime(CLOCK_MONOTONIC, &after);
  ck_assert_uint_lt(out.length, 8 << 20);
  ck_assert_int_le(after.tv_sec - before.tv_sec, 2);
}
END_TEST

/* --- Files whose owner, who may be hostile, changes links and names of sections --- */

/* Opens a copy of a program in memory, to be changed. */
static struct denet_elf_file open_copy(const char *name) {
  static char content[1 << 20];
  PROGRAM original = open_program(name);
  struct denet_elf_file copy;
  int fd = memfd_create("program", MFD_CLOEXEC);
  ssize_t length = pread(original.fd, content, sizeof(content), 0);
  ck_assert_int_gt(length, 0);
  ck_assert_int_eq(write(fd, content, (size_t)length), length);
  ck_assert_int_eq(denet_elf_file_open(fd, &copy), 0);
  return copy;
}

static size_t index_of(const struct denet_elf_file *file, const char *name) {
  size_t index = 1;
  while (strcmp(file->names + file->sections[index].sh_name, name) != 0)
    index++;
  return index;
}

START_TEST(linked_section_has_no_name_in_the_copy) {
  const char *const wanted[] = {".eh_frame"};
  PROGRAM program = open_copy("chain_plain");
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  Elf64_Shdr *frames = &program.sections[index_of(&program, ".eh_frame")];
  frames->sh_link = (uint32_t)index_of(&program, ".eh_frame_hdr");
  ck_assert_int_eq(denet_elf_file_copy(&program, wanted, 1, BUDGET, &copy), 0);
  ck_assert_ptr_nonnull(denet_elf_copy_section(&copy, ".eh_frame"));
  ck_assert_ptr_null(denet_elf_copy_section(&copy, ".eh_frame_hdr"));
}
END_TEST

START_TEST(names_in_the_copy_are_those_that_were_read_first) {
  const char *const wanted[] = {".symtab"};
  PROGRAM program = open_copy("chain_plain");
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  off_t at = (off_t)program.sections[program.names_index].sh_offset +
             program.sections[index_of(&program, ".symtab")].sh_name;
  ck_assert_int_eq(pwrite(program.fd, ".zdebug", 7, at), 7);
  ck_assert_int_eq(denet_elf_file_copy(&program, wanted, 1, BUDGET, &copy), 0);
  ck_assert_ptr_nonnull(denet_elf_copy_section(&copy, ".symtab"));
}
END_TEST

START_TEST(names_of_symbols_are_not_compressed) {
  PROGRAM program = open_copy("chain_plain");
  SYMBOLS symbols = {0};
  size_t link = program.sections[index_of(&program, ".symtab")].sh_link;
  program.sections[link].sh_flags |= SHF_COMPRESSED;
  /* A header of compression that allows no more than there is. */
  Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = 16, .ch_addralign = 1};
  ck_assert_int_eq(
      pwrite(program.fd, &header, sizeof(header), (off_t)program.sections[link].sh_offset),
      sizeof(header));
  ck_assert_int_eq(denet_symbols_init(&program, NULL, BUDGET, &symbols), -ENOENT);
}
END_TEST

/* libelf takes 200 bytes for each section. The file is nearly all hole. */
START_TEST(sections_that_are_not_in_the_file_take_no_memory) {
  DENET_CLOSE int fd = memfd_create("sections", MFD_CLOEXEC);
  Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_DYN,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof(header),
                       .e_phnum = 1,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_shoff = 4096,
                       .e_shentsize = sizeof(Elf64_Shdr)};
  Elf64_Shdr first = {.sh_size = 4000000}; /* where e_shnum is 0 it is the count */
  ck_assert_int_eq(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
  ck_assert_int_eq(pwrite(fd, &first, sizeof(first), 4096), sizeof(first));
  ck_assert_int_eq(ftruncate(fd, 1 << 30), 0);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  ck_assert_int_eq(denet_elf_file_open(fd, &file), 0);
  ck_assert_uint_eq(file.section_count, 0);
  getrusage(RUSAGE_SELF, &after);
  ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 100 << 10);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, linked_section_has_no_name_in_the_copy);
  ADD_TEST(suite, names_in_the_copy_are_those_that_were_read_first);
  ADD_TEST(suite, names_of_symbols_are_not_compressed);
  ADD_TEST(suite, sections_that_are_not_in_the_file_take_no_memory);
  ADD_TEST(suite, address_has_the_function_that_it_is_in);
  ADD_TEST(suite, what_exceeds_the_limit_is_refused);
  ADD_TEST(suite, stripped_file_has_no_names_except_in_a_separate_debug_file_or_compressed);
  ADD_TEST(suite, address_has_a_line);
  ADD_TABLE(suite, mangled_names_become_those_that_people_write, names);
  ADD_TEST(suite, short_name_that_stands_for_gigabytes_stays_as_it_is);
}
