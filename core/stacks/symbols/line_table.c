#include "core/stacks/symbols/line_table.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

/* libdw may take a hundred bytes of memory for each byte of a unit's lines. */
#define UNIT_BYTES_MOST (1u << 20)
#define UNITS_MOST 512 /* units whose lines are read */
#define UNITS_SEARCHED_MOST 20000
#define SEARCH_NS UINT64_C(1000000000) /* for slow searches in one file, in all */

struct denet_line_table {
  struct denet_elf_copy copy; /* owned */
  const Elf_Data *table;      /* .debug_line; the copy's */
  uint64_t units[UNITS_MOST]; /* offsets in the table of the lines that were read */
  size_t unit_count;
  uint64_t left_bytes;  /* of the table that may still be read */
  uint64_t searched_ns; /* so far */
};

/* The sections that lead from an address to its unit, and from there to its line. */
static const char *const sections[] = {
    ".debug_info", ".debug_abbrev", ".debug_aranges",  ".debug_line", ".debug_line_str",
    ".debug_str",  ".debug_ranges", ".debug_rnglists", ".debug_addr", ".debug_str_offsets",
};

void denet_line_table_free(struct denet_line_table *lines) {
  if (!lines)
    return;
  denet_elf_copy_done(&lines->copy);
  free(lines);
}

static void free_linesp(struct denet_line_table **lines) { denet_line_table_free(*lines); }

int denet_line_table_new(const struct denet_elf_file *file, uint64_t limit,
                         struct denet_line_table **out_lines) {
  DENET_CLEANUP(free_linesp) struct denet_line_table *lines = calloc(1, sizeof(*lines));
  if (!lines)
    return -ENOMEM;
  int error = denet_elf_file_copy(file, sections, DENET_COUNT_OF(sections), limit, &lines->copy);
  if (error)
    return error;
  lines->table = elf_rawdata(denet_elf_copy_section(&lines->copy, ".debug_line"), NULL);
  if (!lines->copy.dwarf || !lines->table)
    return -ENOENT;
  lines->left_bytes = limit / 8;
  *out_lines = DENET_TAKE(lines);
  return 0;
}

uint64_t denet_line_table_bytes(const struct denet_line_table *lines) {
  return sizeof(*lines) + lines->copy.bytes;
}

/* Asks unit after unit for the address: clang leaves out the table from addresses to units. The
 * time is limited, since a file may be made to take long. */
static bool find_unit_slowly(struct denet_line_table *lines, uint64_t address,
                             Dwarf_Die *out_unit) {
  uint64_t start_ns = denet_clock_monotonic_ns() - lines->searched_ns;
  Dwarf_CU *unit = NULL;
  bool is_found = false;
  for (int i = 0; i < UNITS_SEARCHED_MOST && lines->searched_ns <= SEARCH_NS && !is_found; i++) {
    if (dwarf_get_units(lines->copy.dwarf, unit, &unit, NULL, NULL, out_unit, NULL))
      return false;
    is_found = dwarf_haspc(out_unit, address) == 1;
    lines->searched_ns = denet_clock_monotonic_ns() - start_ns;
  }
  return is_found;
}

/* Returns whether the unit's lines have been read, or may be. */
static bool may_read(struct denet_line_table *lines, Dwarf_Die *unit) {
  Dwarf_Attribute attribute;
  Dwarf_Word offset;
  uint32_t bytes;
  if (dwarf_formudata(dwarf_attr(unit, DW_AT_stmt_list, &attribute), &offset) ||
      lines->table->d_size < sizeof(bytes) || offset > lines->table->d_size - sizeof(bytes))
    return false;
  for (size_t i = 0; i < lines->unit_count; i++)
    if (lines->units[i] == offset)
      return true;
  memcpy(&bytes, (const char *)lines->table->d_buf + offset, sizeof(bytes));
  if (bytes > UNIT_BYTES_MOST || bytes > lines->left_bytes || lines->unit_count == UNITS_MOST)
    return false;
  lines->left_bytes -= bytes;
  lines->units[lines->unit_count++] = offset;
  return true;
}

int denet_line_table_find(struct denet_line_table *lines, uint64_t address, const char **out_file,
                          int *out_line) {
  Dwarf_Die unit;
  bool is_found =
      dwarf_addrdie(lines->copy.dwarf, address, &unit) || find_unit_slowly(lines, address, &unit);
  if (!is_found || !may_read(lines, &unit))
    return -ENOENT;
  Dwarf_Line *line = dwarf_getsrc_die(&unit, address);
  const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
  int number;
  if (!file || dwarf_lineno(line, &number) || number <= 0)
    return -ENOENT;
  *out_file = basename(file);
  *out_line = number;
  return 0;
}
