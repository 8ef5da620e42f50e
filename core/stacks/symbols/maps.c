#include "core/stacks/symbols/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void denet_maps_done(struct denet_maps *mappings) {
  free(mappings->all);
  denet_buffer_done(&mappings->texts);
  *mappings = (struct denet_maps){0};
}

static int digit_of(char byte, unsigned base) {
  int digit = byte >= '0' && byte <= '9'   ? byte - '0'
              : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                                           : -1;
  return digit < (int)base ? digit : -1;
}

/* A number and the one byte behind it; false if it is not that, or above 64 bits. */
static bool take_number(struct denet_text *text, unsigned base, char end, uint64_t *out_number) {
  uint64_t number = 0;
  size_t length = 0;
  for (; length < text->length; length++) {
    int digit = digit_of(text->bytes[length], base);
    if (digit < 0)
      break;
    if (number > (UINT64_MAX - (uint64_t)digit) / base)
      return false;
    number = number * base + (uint64_t)digit;
  }
  if (length == 0 || length == text->length || text->bytes[length] != end)
    return false;
  *text = (struct denet_text){text->bytes + length + 1, text->length - length - 1};
  *out_number = number;
  return true;
}

/* "START-END rwxp OFFSET MAJOR:MINOR INODE" and maybe spaces and a path, which *line is then. */
static bool parse_line(struct denet_text *line, struct denet_mapping *out, bool *out_executes) {
  uint64_t major, minor;
  if (!take_number(line, 16, '-', &out->start) || !take_number(line, 16, ' ', &out->end) ||
      out->start >= out->end || line->length < 5 || line->bytes[4] != ' ')
    return false;
  *out_executes = line->bytes[2] == 'x';
  *line = (struct denet_text){line->bytes + 5, line->length - 5};
  if (!take_number(line, 16, ' ', &out->offset) || !take_number(line, 16, ':', &major) ||
      !take_number(line, 16, ' ', &minor) || major > UINT32_MAX || minor > UINT32_MAX ||
      !take_number(line, 10, ' ', &out->inode))
    return false;
  out->device = major << 32 | minor;
  while (line->length && line->bytes[0] == ' ')
    *line = (struct denet_text){line->bytes + 1, line->length - 1};
  return true;
}

/* The kernel escapes a newline, and nothing else. */
static int add_path(struct denet_maps *mappings, struct denet_text path) {
  struct denet_buffer *texts = &mappings->texts;
  int error = denet_buffer_reserve(texts, path.length + 1);
  for (size_t i = 0; i < path.length && !error; i++) {
    bool is_newline = path.length - i >= 4 && memcmp(path.bytes + i, "\\012", 4) == 0;
    error = denet_buffer_append(texts, is_newline ? "\n" : path.bytes + i, 1);
    i += is_newline ? 3 : 0;
  }
  return error ? error : denet_buffer_append(texts, "", 1);
}

static int add(struct denet_maps *mappings, struct denet_mapping mapping, struct denet_text path) {
  if (mappings->count == mappings->capacity) {
    size_t capacity = mappings->capacity ? 2 * mappings->capacity : 32;
    struct denet_mapping *all = reallocarray(mappings->all, capacity, sizeof(*all));
    if (!all)
      return -ENOMEM;
    mappings->all = all;
    mappings->capacity = capacity;
  }
  mapping.path = mappings->texts.length;
  mappings->all[mappings->count++] = mapping;
  return add_path(mappings, path);
}

int denet_maps_parse(struct denet_text text, struct denet_maps *mappings) {
  mappings->count = 0;
  denet_buffer_clear(&mappings->texts);
  while (text.length && mappings->count < DENET_MAPS_MOST) {
    const char *newline = memchr(text.bytes, '\n', text.length);
    size_t length = newline ? (size_t)(newline - text.bytes) : text.length;
    struct denet_text line = {text.bytes, length};
    struct denet_mapping mapping;
    bool executes;
    length += newline ? 1 : 0;
    text = (struct denet_text){text.bytes + length, text.length - length};
    uint64_t before = mappings->count ? mappings->all[mappings->count - 1].end : 0;
    /* They come in order, which is what the search builds upon. */
    if (!parse_line(&line, &mapping, &executes) || !executes || mapping.start < before)
      continue;
    int error = add(mappings, mapping, line);
    if (error)
      return error;
  }
  return 0;
}

int denet_maps_copy(const struct denet_maps *from, struct denet_maps *mappings) {
  denet_maps_done(mappings);
  struct denet_mapping *all = reallocarray(NULL, from->count + 1, sizeof(*all));
  if (!all || denet_buffer_append(&mappings->texts, from->texts.bytes, from->texts.length)) {
    free(all);
    return -ENOMEM;
  }
  if (from->count)
    memcpy(all, from->all, from->count * sizeof(*all));
  mappings->all = all;
  mappings->count = from->count;
  mappings->capacity = from->count + 1;
  return 0;
}

const struct denet_mapping *denet_maps_find(const struct denet_maps *mappings, uint64_t address) {
  size_t low = 0, high = mappings->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (mappings->all[middle].end <= address)
      low = middle + 1;
    else
      high = middle;
  }
  bool is_found = low < mappings->count && mappings->all[low].start <= address;
  return is_found ? &mappings->all[low] : NULL;
}

const char *denet_mapping_path(const struct denet_maps *mappings,
                               const struct denet_mapping *mapping) {
  return mappings->texts.bytes + mapping->path;
}

void denet_mapping_name(const struct denet_maps *mappings, const struct denet_mapping *mapping,
                        char out[DENET_MAPPING_NAME_MOST + 1]) {
  const char *path = denet_mapping_path(mappings, mapping), *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  size_t length = strlen(name), suffix = strlen(" (deleted)");
  if (length > suffix && strcmp(name + length - suffix, " (deleted)") == 0)
    length -= suffix;
  if (length > DENET_MAPPING_NAME_MOST)
    length = DENET_MAPPING_NAME_MOST;
  memcpy(out, name, length);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
      out[i] = '?';
  out[length] = '\0';
}
