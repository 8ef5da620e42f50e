#include "core/stacks/symbols/maps.h"

#include "core/util/array.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void denet_maps_done(struct denet_maps *maps) {
  free(maps->all);
  denet_buffer_done(&maps->texts);
  *maps = (struct denet_maps){0};
}

bool denet_maps_take_line(struct denet_text *text, struct denet_text *out_line) {
  const char *newline = text->length ? memchr(text->bytes, '\n', text->length) : NULL;
  size_t length = newline ? (size_t)(newline - text->bytes) : text->length;
  size_t taken = length + (newline ? 1 : 0);
  *out_line = (struct denet_text){text->bytes, length};
  *text = (struct denet_text){text->bytes + taken, text->length - taken};
  return taken > 0;
}

bool denet_maps_take_number(struct denet_text *text, unsigned base, char end,
                            uint64_t *out_number) {
  uint64_t number = 0;
  size_t length = 0;
  for (; length < text->length; length++) {
    unsigned byte = (unsigned char)text->bytes[length];
    unsigned digit = isdigit((int)byte) ? byte - '0' : (byte | 0x20) - 'a' + 10;
    if (!isxdigit((int)byte) || digit >= base)
      break;
    if (__builtin_mul_overflow(number, base, &number) ||
        __builtin_add_overflow(number, digit, &number))
      return false;
  }
  if (length == 0 || length == text->length || text->bytes[length] != end)
    return false;
  for (length++; length < text->length && text->bytes[length] == ' ';)
    length++;
  *text = (struct denet_text){text->bytes + length, text->length - length};
  *out_number = number;
  return true;
}

void denet_maps_make_safe(char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f)
      bytes[i] = '?';
}

/* Parses "START-END rwxp OFFSET MAJOR:MINOR INODE" and leaves the path, if any, in *line. */
static bool parse_line(struct denet_text *line, struct denet_mapping *out, bool *out_executes) {
  uint64_t major, minor;
  if (!denet_maps_take_number(line, 16, '-', &out->start) ||
      !denet_maps_take_number(line, 16, ' ', &out->end) || out->start >= out->end ||
      line->length < 5 || line->bytes[4] != ' ')
    return false;
  *out_executes = line->bytes[2] == 'x';
  *line = (struct denet_text){line->bytes + 5, line->length - 5};
  if (!denet_maps_take_number(line, 16, ' ', &out->offset) ||
      !denet_maps_take_number(line, 16, ':', &major) ||
      !denet_maps_take_number(line, 16, ' ', &minor) || major > UINT32_MAX || minor > UINT32_MAX ||
      !denet_maps_take_number(line, 10, ' ', &out->inode))
    return false;
  out->device = major << 32 | minor;
  return true;
}

/* Appends a path. The kernel escapes a newline, and nothing else. */
static int append_path(struct denet_maps *maps, struct denet_text path) {
  struct denet_buffer *texts = &maps->texts;
  int error = denet_buffer_reserve(texts, path.length + 1);
  for (size_t i = 0; i < path.length && !error; i++) {
    bool is_newline = path.length - i >= 4 && memcmp(path.bytes + i, "\\012", 4) == 0;
    error = denet_buffer_append(texts, is_newline ? "\n" : path.bytes + i, 1);
    i += is_newline ? 3 : 0;
  }
  return error ? error : denet_buffer_append(texts, "", 1);
}

int denet_maps_parse(struct denet_text text, struct denet_maps *maps) {
  struct denet_text line;
  maps->count = 0;
  denet_buffer_clear(&maps->texts);
  while (maps->count < DENET_MAPS_MOST && denet_maps_take_line(&text, &line)) {
    struct denet_mapping mapping = {.path = maps->texts.length};
    bool executes;
    uint64_t before = maps->count ? maps->all[maps->count - 1].end : 0;
    if (!parse_line(&line, &mapping, &executes) || !executes || mapping.start < before)
      continue;
    if (denet_array_reserve(&maps->all, &maps->capacity, maps->count + 1, sizeof(*maps->all)))
      return -ENOMEM;
    maps->all[maps->count++] = mapping;
    if (append_path(maps, line))
      return -ENOMEM;
  }
  return 0;
}

int denet_maps_copy(const struct denet_maps *from, struct denet_maps *maps) {
  if (denet_array_reserve(&maps->all, &maps->capacity, from->count, sizeof(*maps->all)) ||
      denet_buffer_append(&maps->texts, from->texts.bytes, from->texts.length)) {
    denet_maps_done(maps);
    return -ENOMEM;
  }
  if (from->count)
    memcpy(maps->all, from->all, from->count * sizeof(*maps->all));
  maps->count = from->count;
  return 0;
}

const struct denet_mapping *denet_maps_find(const struct denet_maps *maps, uint64_t address) {
  size_t behind = denet_array_upper_bound(maps->all, maps->count, sizeof(*maps->all), address);
  return behind && maps->all[behind - 1].end > address ? &maps->all[behind - 1] : NULL;
}

const char *denet_mapping_path(const struct denet_maps *maps, const struct denet_mapping *mapping) {
  return maps->texts.bytes + mapping->path;
}

void denet_mapping_name(const struct denet_maps *maps, const struct denet_mapping *mapping,
                        char out[DENET_MAPPING_NAME_MOST + 1]) {
  const char *name = basename(denet_mapping_path(maps, mapping));
  size_t length = strlen(name), suffix = strlen(" (deleted)");
  if (length > suffix && strcmp(name + length - suffix, " (deleted)") == 0)
    length -= suffix;
  if (length > DENET_MAPPING_NAME_MOST)
    length = DENET_MAPPING_NAME_MOST;
  memcpy(out, name, length);
  denet_maps_make_safe(out, length);
  out[length] = '\0';
}
