#include "core/stacks/symbols/line_table.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>

/* libdw may take a hundred bytes of memory for each byte of a unit's lines. */
#define UNIT_BYTES_MOST (1u << 20)
#define UNITS_MOST 512 /* units whose lines are read */
#define UNITS_SEARCHED_MOST 20000
#define SEARCH_NS UINT64_C(1000000000) /* for slow searches in one file, in all */

struct denet_line_table {
  char *content; /* of elf; owned, as are the next two */
  Elf *elf;
  Dwarf *dwarf;
  uint64_t bytes;
  const Elf_Data *table;      /* .debug_line, uncompressed; libelf's */
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
  dwarf_end(lines->dwarf);
  elf_end(lines->elf);
  free(lines->content);
  free(lines);
}

static void free_linesp(struct denet_line_table **lines) { denet_line_table_free(*lines); }

static int find_table(struct denet_line_table *lines) {
  size_t names;
  Elf_Scn *section = NULL;
  if (elf_getshdrstrndx(lines->elf, &names))
    return -ENOENT;
  while (!lines->table && (section = elf_nextscn(lines->elf, section))) {
    GElf_Shdr header;
    const char *name =
        gelf_getshdr(section, &header) ? elf_strptr(lines->elf, names, header.sh_name) : NULL;
    if (name && strcmp(name, ".debug_line") == 0)
      lines->table = elf_getdata(section, NULL);
  }
  return lines->table ? 0 : -ENOENT;
}

static int open_content(struct denet_line_table *lines, size_t bytes) {
  elf_version(EV_CURRENT);
  lines->elf = elf_memory(lines->content, bytes);
  lines->dwarf = lines->elf ? dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL) : NULL;
  return lines->dwarf ? find_table(lines) : -ENOENT;
}

int denet_line_table_new(const struct denet_elf_file *file, uint64_t limit,
                         struct denet_line_table **out_lines) {
  if (!denet_elf_file_section(file, ".debug_line") || !denet_elf_file_section(file, ".debug_info"))
    return -ENOENT;
  DENET_CLEANUP(free_linesp) struct denet_line_table *lines = calloc(1, sizeof(*lines));
  if (!lines)
    return -ENOMEM;
  struct denet_elf_extract extract = {0};
  int error = denet_elf_file_extract(file, sections, DENET_COUNT_OF(sections), limit, &extract);
  if (error)
    return error;
  lines->content = extract.content;
  lines->bytes = sizeof(*lines) + extract.bytes + extract.uncompressed;
  lines->left_bytes = limit / 8;
  error = open_content(lines, extract.bytes);
  if (error)
    return error;
  *out_lines = DENET_TAKE(lines);
  return 0;
}

uint64_t denet_line_table_bytes(const struct denet_line_table *lines) { return lines->bytes; }

/* Asks unit after unit for the address: clang leaves out the table from addresses to units. The
 * time is limited, since a file may be made to take long. */
static bool find_unit_slowly(struct denet_line_table *lines, uint64_t address,
                             Dwarf_Die *out_unit) {
  Dwarf *dwarf = lines->dwarf;
  Dwarf_Off offset = 0, next;
  size_t header_bytes;
  bool is_found = false, has_more = true;
  uint64_t now_ns = denet_clock_monotonic_ns();
  for (int unit = 0; unit < UNITS_SEARCHED_MOST && has_more && !is_found; unit++) {
    if (lines->searched_ns > SEARCH_NS)
      return false;
    has_more = !dwarf_nextcu(dwarf, offset, &next, &header_bytes, NULL, NULL, NULL);
    is_found = has_more && dwarf_offdie(dwarf, offset + header_bytes, out_unit) &&
               dwarf_haspc(out_unit, address) == 1;
    offset = next;
    uint64_t before_ns = now_ns;
    now_ns = denet_clock_monotonic_ns();
    lines->searched_ns += now_ns - before_ns;
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
  if (!dwarf_addrdie(lines->dwarf, address, &unit) && !find_unit_slowly(lines, address, &unit))
    return -ENOENT;
  if (!may_read(lines, &unit))
    return -ENOENT;
  Dwarf_Line *line = dwarf_getsrc_die(&unit, address);
  const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
  int number;
  if (!file || dwarf_lineno(line, &number) || number <= 0)
    return -ENOENT;
  const char *slash = strrchr(file, '/');
  *out_file = slash ? slash + 1 : file;
  *out_line = number;
  return 0;
}
