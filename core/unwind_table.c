#include "unwind_table.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>

#define LETTERS_MOST 16
#define NOWHERE UINT64_MAX

/* How addresses are written (Linux Standard Base, DWARF extensions). */
enum {
  POINTER_ABSOLUTE = 0x00,
  POINTER_U2 = 0x02,
  POINTER_U4 = 0x03,
  POINTER_U8 = 0x04,
  POINTER_S2 = 0x0a,
  POINTER_S4 = 0x0b,
  POINTER_S8 = 0x0c,
  POINTER_RELATIVE = 0x10, /* to where it is written */
  POINTER_OMITTED = 0xff,
};

struct index_entry {
  uint64_t start;
  uint32_t bytes;  /* of the function */
  uint32_t offset; /* of its entry in the table */
};

/* One section. */
struct frame_section {
  unsigned char *bytes;
  uint64_t size, address;
  bool is_debug; /* .debug_frame: a common part is told and found otherwise */
  struct index_entry *entries;
  size_t count, capacity;
};

/* A program may have both: the functions of the runtime in the one, its own in the other. */
struct denet_unwind_table {
  struct frame_section sections[2];
};

/* What several functions have in common (CIE). */
struct common_part {
  uint64_t offset; /* in the section; NOWHERE: none has been read */
  uint64_t code_unit;
  int64_t data_unit;
  unsigned encoding;
  bool has_data; /* its entries have bytes of an augmentation, with their length before them */
  bool is_signal;
  struct denet_cursor program;
};

static struct denet_cursor cursor_at(const struct frame_section *section, uint64_t offset) {
  struct denet_cursor cursor = {section->bytes, section->bytes + section->size, false};
  denet_cursor_take(&cursor, offset);
  return cursor;
}

static uint64_t read_pointer(const struct frame_section *section, unsigned encoding,
                             struct denet_cursor *cursor) {
  uint64_t place = section->address + (uint64_t)(cursor->at - section->bytes), value = 0;
  switch (encoding & 0x0f) {
  case POINTER_ABSOLUTE:
  case POINTER_U8:
  case POINTER_S8:
    value = denet_cursor_number(cursor, 8);
    break;
  case POINTER_U2:
    value = denet_cursor_number(cursor, 2);
    break;
  case POINTER_U4:
    value = denet_cursor_number(cursor, 4);
    break;
  case POINTER_S2:
    value = (uint64_t)denet_cursor_signed(cursor, 2);
    break;
  case POINTER_S4:
    value = (uint64_t)denet_cursor_signed(cursor, 4);
    break;
  default:
    cursor->failed = true;
  }
  return (encoding & 0x70) == POINTER_RELATIVE ? value + place : value;
}

/* The letters behind the 'z', each of which has something in the data. */
static void read_augmentation(const struct frame_section *section, const char *letters,
                              struct denet_cursor *data, struct common_part *common) {
  for (; *letters; letters++) {
    if (*letters == 'R')
      common->encoding = (unsigned)denet_cursor_number(data, 1);
    else if (*letters == 'L')
      denet_cursor_number(data, 1);
    else if (*letters == 'P')
      read_pointer(section, (unsigned)denet_cursor_number(data, 1), data);
    else if (*letters == 'S')
      common->is_signal = true;
    else if (*letters != 'B')
      return; /* unknown, and so is how long the rest is; the addresses' encoding comes early */
  }
}

/* At most a few letters, so that nobody has us look for the end of a long text for each entry. */
static const char *read_letters(struct denet_cursor *body) {
  struct denet_cursor letters = *body;
  if (letters.end - letters.at > LETTERS_MOST)
    letters.end = letters.at + LETTERS_MOST;
  const char *text = denet_cursor_string(&letters);
  body->at = letters.at;
  body->failed |= letters.failed;
  return text;
}

static bool read_common(const struct frame_section *section, uint64_t offset,
                        struct common_part *out_common) {
  struct denet_cursor cursor = cursor_at(section, offset);
  uint64_t length = denet_cursor_number(&cursor, 4);
  struct denet_cursor body = denet_cursor_take(&cursor, length);
  uint64_t id = denet_cursor_number(&body, 4);
  if (length >= 0xfffffff0 || id != (section->is_debug ? 0xffffffff : 0))
    return false;
  struct common_part common = {.offset = offset};
  uint64_t version = denet_cursor_number(&body, 1);
  const char *augmentation = read_letters(&body);
  if (version == 4)
    denet_cursor_number(&body, 2); /* sizes of an address and of a segment */
  common.code_unit = denet_cursor_uleb(&body);
  common.data_unit = denet_cursor_sleb(&body);
  uint64_t return_register =
      version == 1 ? denet_cursor_number(&body, 1) : denet_cursor_uleb(&body);
  if (augmentation[0] == 'z') {
    common.has_data = true;
    struct denet_cursor data = denet_cursor_take(&body, denet_cursor_uleb(&body));
    read_augmentation(section, augmentation + 1, &data, &common);
  }
  common.program = body;
  unsigned base = common.encoding & 0xf0; /* what addresses are relative to, in the file or not */
  if (body.failed || (version != 1 && version != 3 && version != 4) ||
      (augmentation[0] != 'z' && augmentation[0] != '\0') || return_register != DENET_RIP ||
      (base != 0 && base != POINTER_RELATIVE))
    return false;
  *out_common = common;
  return true;
}

/* The entry at offset; *out_next is behind it in any case, 0 at the end. False if it is none of a
 * function. The common part of the last call may be the same again. */
static bool read_entry(const struct frame_section *section, uint64_t offset,
                       struct common_part *common, uint64_t *out_next,
                       struct denet_unwind_entry *out_entry) {
  struct denet_cursor cursor = cursor_at(section, offset);
  uint64_t length = denet_cursor_number(&cursor, 4);
  struct denet_cursor body = denet_cursor_take(&cursor, length);
  *out_next = cursor.failed ? 0 : offset + 4 + length;
  uint64_t id = denet_cursor_number(&body, 4);
  if (body.failed || id == (section->is_debug ? 0xffffffff : 0))
    return false;
  uint64_t wanted = section->is_debug ? id : offset + 4 - id;
  if (wanted != common->offset) {
    common->offset = NOWHERE;
    if (wanted >= section->size || !read_common(section, wanted, common))
      return false;
  }
  struct denet_unwind_entry entry = {
      .code_unit = common->code_unit,
      .data_unit = common->data_unit,
      .is_signal = common->is_signal,
      .common = common->program,
  };
  entry.start = read_pointer(section, common->encoding, &body);
  entry.bytes = read_pointer(section, common->encoding & 0x0f, &body);
  if (common->has_data)
    denet_cursor_take(&body, denet_cursor_uleb(&body));
  entry.own = body;
  *out_entry = entry;
  return !body.failed && entry.start && entry.bytes && entry.bytes <= UINT32_MAX;
}

static int add(struct frame_section *section, uint64_t limit, struct index_entry entry) {
  if (section->count == section->capacity) {
    size_t capacity = section->capacity ? 2 * section->capacity : 256;
    if (capacity * sizeof(*section->entries) > limit)
      return -EFBIG;
    struct index_entry *entries = reallocarray(section->entries, capacity, sizeof(*entries));
    if (!entries)
      return -ENOMEM;
    section->entries = entries;
    section->capacity = capacity;
  }
  section->entries[section->count++] = entry;
  return 0;
}

static int compare_entries(const void *left, const void *right) {
  const struct index_entry *a = left, *b = right;
  return a->start < b->start ? -1 : a->start > b->start;
}

static int make_index(struct frame_section *section, uint64_t limit) {
  uint64_t next;
  struct common_part common = {.offset = NOWHERE};
  struct denet_unwind_entry entry;
  bool is_sorted = true;
  for (uint64_t offset = 0; offset < section->size; offset = next) {
    if (read_entry(section, offset, &common, &next, &entry)) {
      size_t last = section->count - 1;
      is_sorted &= section->count == 0 || section->entries[last].start <= entry.start;
      int error = add(section, limit,
                      (struct index_entry){entry.start, (uint32_t)entry.bytes, (uint32_t)offset});
      if (error)
        return error;
    }
    if (next == 0)
      break;
  }
  if (!is_sorted)
    qsort(section->entries, section->count, sizeof(*section->entries), compare_entries);
  struct index_entry *entries =
      reallocarray(section->entries, section->count + 1, sizeof(*entries));
  if (entries) {
    section->entries = entries;
    section->capacity = section->count + 1;
  }
  return 0;
}

static int read_section(const struct denet_elf_file *file, const char *name, uint64_t limit,
                        struct frame_section *section) {
  const Elf64_Shdr *header = denet_elf_file_section(file, name);
  if (!header || header->sh_flags & SHF_COMPRESSED || header->sh_size > UINT32_MAX)
    return 0;
  int error = denet_elf_file_read(file, header, limit, &section->bytes);
  if (error)
    return error;
  section->address = header->sh_addr;
  section->size = header->sh_size;
  return make_index(section, limit - header->sh_size);
}

static void free_tablep(struct denet_unwind_table **table) { denet_unwind_table_free(*table); }

int denet_unwind_table_new(const struct denet_elf_file *file, uint64_t limit,
                           struct denet_unwind_table **out_table) {
  DENET_CLEANUP(free_tablep) struct denet_unwind_table *table = calloc(1, sizeof(*table));
  if (!table)
    return -ENOMEM;
  table->sections[1].is_debug = true;
  int error = read_section(file, ".eh_frame", limit, &table->sections[0]);
  if (!error)
    error = read_section(file, ".debug_frame", limit, &table->sections[1]);
  if (error)
    return error;
  if (denet_unwind_table_count(table) == 0)
    return -ENOENT;
  *out_table = DENET_TAKE(table);
  return 0;
}

void denet_unwind_table_free(struct denet_unwind_table *table) {
  if (!table)
    return;
  for (size_t i = 0; i < DENET_COUNT_OF(table->sections); i++) {
    free(table->sections[i].bytes);
    free(table->sections[i].entries);
  }
  free(table);
}

uint64_t denet_unwind_table_bytes(const struct denet_unwind_table *table) {
  uint64_t bytes = sizeof(*table);
  for (size_t i = 0; i < DENET_COUNT_OF(table->sections); i++)
    bytes +=
        table->sections[i].size + table->sections[i].capacity * sizeof(*table->sections[i].entries);
  return bytes;
}

size_t denet_unwind_table_count(const struct denet_unwind_table *table) {
  return table->sections[0].count + table->sections[1].count;
}

static bool find_in_section(const struct frame_section *section, uint64_t address,
                            struct denet_unwind_entry *out_entry) {
  size_t low = 0, high = section->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (section->entries[middle].start <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0)
    return false;
  const struct index_entry *entry = &section->entries[low - 1];
  if (address - entry->start >= entry->bytes)
    return false;
  uint64_t next;
  struct common_part common = {.offset = NOWHERE};
  return read_entry(section, entry->offset, &common, &next, out_entry);
}

bool denet_unwind_table_find(const struct denet_unwind_table *table, uint64_t address,
                             struct denet_unwind_entry *out_entry) {
  return find_in_section(&table->sections[0], address, out_entry) ||
         find_in_section(&table->sections[1], address, out_entry);
}
