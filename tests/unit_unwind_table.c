#include "core/unwind_table.h"

#include "core/cleanup.h"

#include "tests/unit.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const libraries[] = {
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/lib64/ld-linux-x86-64.so.2",
};

/* What libdw says of a register, in our terms; expressions are compared by their kind alone. */
static struct denet_rule rule_of_libdw(Dwarf_Frame *frame, int number) {
  Dwarf_Op memory[3], *ops;
  size_t count;
  ck_assert_int_eq(dwarf_frame_register(frame, number, memory, &ops, &count), 0);
  struct denet_rule rule = {.kind = DENET_RULE_EXPRESSION};
  if (count == 0)
    rule.kind = ops ? DENET_RULE_UNDEFINED : DENET_RULE_SAME;
  else if (count <= 2 && ops[0].atom == DW_OP_call_frame_cfa &&
           (count == 1 || ops[1].atom == DW_OP_plus_uconst))
    rule = (struct denet_rule){DENET_RULE_SAVED, .offset = count == 1 ? 0 : (int64_t)ops[1].number};
  else if (count == 1 &&
           ((ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31) || ops[0].atom == DW_OP_regx))
    rule.kind = DENET_RULE_REGISTER;
  else if (ops[count - 1].atom != DW_OP_stack_value)
    rule.kind = DENET_RULE_SAVED_BY;
  else if (count <= 3 && (count == 2 || ops[1].atom == DW_OP_plus_uconst))
    rule = (struct denet_rule){DENET_RULE_SUM, .offset = count == 2 ? 0 : (int64_t)ops[1].number};
  return rule;
}

static void assert_agrees(const struct denet_rules *rules, Dwarf_Frame *frame, uint64_t pc) {
  Dwarf_Op *ops;
  size_t count;
  ck_assert_int_eq(dwarf_frame_cfa(frame, &ops, &count), 0);
  if (count == 1 && ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
    ck_assert_int_eq(rules->frame.kind, DENET_RULE_REGISTER);
    ck_assert_msg(rules->frame.number == (unsigned)ops[0].atom - DW_OP_breg0 &&
                      rules->frame.offset == (int64_t)ops[0].number,
                  "frame at %lx", pc);
  } else if (count == 1 && ops[0].atom == DW_OP_bregx) {
    ck_assert_uint_eq(rules->frame.number, ops[0].number);
    ck_assert_int_eq(rules->frame.offset, (int64_t)ops[0].number2);
  } else {
    ck_assert_int_eq(rules->frame.kind, DENET_RULE_EXPRESSION);
  }
  static const int followed[] = {3, DENET_RBP, 12, 13, 14, 15, DENET_RIP};
  for (size_t i = 0; i < DENET_COUNT_OF(followed); i++) {
    struct denet_rule ours = rules->registers[followed[i]], theirs;
    theirs = rule_of_libdw(frame, followed[i]);
    /* What is not said is kept, by the ABI; libdw calls it undefined in some tables. */
    if (ours.kind == DENET_RULE_NONE && theirs.kind <= DENET_RULE_SAME)
      continue;
    ck_assert_msg(ours.kind == theirs.kind && ours.offset == theirs.offset,
                  "register %d at %lx: %d %ld, not %d %ld", followed[i], pc, ours.kind, ours.offset,
                  theirs.kind, theirs.offset);
  }
}

/* Where most functions save what they save: at every fourth byte, and not the same in each. */
static void compare_function(const struct denet_unwind_entry *entry, size_t number,
                             Dwarf_CFI *cfi) {
  for (uint64_t pc = entry->start + number % 4;
       pc < entry->start + entry->bytes && pc < entry->start + 32; pc += 4) {
    struct denet_rules rules;
    Dwarf_Frame *frame;
    ck_assert(denet_unwind_rules_find(entry, pc, &rules));
    ck_assert_int_eq(dwarf_cfi_addrframe(cfi, pc, &frame), 0);
    assert_agrees(&rules, frame, pc);
    free(frame);
  }
}

START_TEST(every_rule_is_as_libdw_reads_it) {
  DENET_CLOSE int fd = open(libraries[_i], O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  elf_version(EV_CURRENT);
  struct denet_elf_file file;
  struct denet_unwind_table *table;
  ck_assert_int_eq(denet_elf_file_open(fd, &file), 0);
  ck_assert_int_eq(denet_unwind_table_new(&file, 64 << 20, &table), 0);
  Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
  Dwarf_CFI *cfi = dwarf_getcfi_elf(elf);
  ck_assert(cfi != NULL);
  size_t functions = 0;
  struct denet_unwind_entry entry;
  for (uint64_t pc = 0x1000; pc < file.bytes; pc++)
    if (denet_unwind_table_find(table, pc, &entry)) {
      compare_function(&entry, functions, cfi);
      pc = entry.start + entry.bytes - 1;
      functions++;
    }
  ck_assert_uint_gt(functions, 100);
  dwarf_cfi_end(cfi);
  elf_end(elf);
  denet_unwind_table_free(table);
  denet_elf_file_done(&file);
}
END_TEST

/* libc's own table with bytes of it broken: whatever it says then, it is said at once. */
START_TEST(a_broken_table_breaks_nothing) {
  DENET_CLOSE int fd = open(libraries[0], O_RDONLY | O_CLOEXEC);
  DENET_CLOSE int copy = memfd_create("broken", MFD_CLOEXEC);
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  if (fd < 0)
    return;
  struct denet_snapshot snapshot = {.registers = {0}};
  static struct denet_walk walk;
  static unsigned char stack[4096];
  snapshot.stack = stack;
  snapshot.stack_bytes = sizeof(stack);
  snapshot.registers[DENET_RSP] = 0x7f0000001000;
  ck_assert_int_eq(denet_elf_file_open(fd, &file), 0);
  const Elf64_Shdr *section = denet_elf_file_section(&file, ".eh_frame");
  ck_assert_ptr_nonnull(section);
  DENET_FREE unsigned char *whole = malloc(file.bytes), *bytes = NULL;
  ck_assert_int_eq(pread(fd, whole, file.bytes, 0), (ssize_t)file.bytes);
  ck_assert_int_eq(pwrite(copy, whole, file.bytes, 0), (ssize_t)file.bytes);
  ck_assert_int_eq(denet_elf_file_read(&file, section, UINT32_MAX, &bytes), 0);
  uint64_t random = 88172645463325252u;
  for (int round = 0; round < 40; round++) {
    for (int change = 0; change < 2000; change++) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      bytes[random % section->sh_size] = (unsigned char)(random >> 40);
    }
    ck_assert_int_eq(pwrite(copy, bytes, section->sh_size, (off_t)section->sh_offset),
                     (ssize_t)section->sh_size);
    DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file broken = {.fd = -1};
    struct denet_unwind_table *table;
    ck_assert_int_eq(denet_elf_file_open(copy, &broken), 0);
    if (denet_unwind_table_new(&broken, 64 << 20, &table))
      continue;
    for (uint64_t pc = 0x26000; pc < 0x180000; pc += 97) {
      struct denet_unwind_entry entry;
      struct denet_rules rules;
      denet_walk_start(&walk, &snapshot);
      if (denet_unwind_table_find(table, pc, &entry) && denet_unwind_rules_find(&entry, pc, &rules))
        denet_unwind_rules_apply(&rules, &walk);
    }
    denet_unwind_table_free(table);
  }
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, every_rule_is_as_libdw_reads_it, libraries);
  ADD_TEST(suite, a_broken_table_breaks_nothing);
}
