#include "core/rules/template.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* An error shows at most so many bytes of an unknown placeholder. */
#define NAME_SHOWN 40

enum piece_kind { PIECE_LITERAL, PIECE_PLACEHOLDER, PIECE_UNCLOSED };

/* A part of a template: literal text or the name between %{ and }. */
struct piece {
  enum piece_kind kind;
  struct denet_text text;
};

enum placeholder_type { PLACEHOLDER_TEXT, PLACEHOLDER_PATH, PLACEHOLDER_NUMBER };

struct placeholder {
  const char *name;
  enum placeholder_type type;
  size_t value_offset; /* in struct denet_template_values */
  size_t use_offset;   /* in struct denet_template_uses; NO_USE: none */
};

#define NO_USE SIZE_MAX
#define VALUE(field) offsetof(struct denet_template_values, field)
#define USE(field) offsetof(struct denet_template_uses, field)

static const struct placeholder placeholders[] = {
    {"rule", PLACEHOLDER_TEXT, VALUE(rule), NO_USE},
    {"comm", PLACEHOLDER_TEXT, VALUE(comm), USE(comm)},
    {"exe", PLACEHOLDER_PATH, VALUE(exe), USE(exe)},
    {"user", PLACEHOLDER_TEXT, VALUE(user), USE(user)},
    {"unit", PLACEHOLDER_TEXT, VALUE(unit), USE(unit)},
    {"cgroup", PLACEHOLDER_TEXT, VALUE(cgroup), USE(cgroup)},
    {"pid", PLACEHOLDER_NUMBER, VALUE(pid), USE(pid)},
    {"slot", PLACEHOLDER_NUMBER, VALUE(slot), USE(slot)},
};

/* Reads the piece at cursor, which is not the end. Returns where the next one starts. */
static const char *read_piece(const char *cursor, struct piece *out_piece) {
  if (cursor[0] != '%') {
    size_t length = strcspn(cursor, "%");
    *out_piece = (struct piece){PIECE_LITERAL, {cursor, length}};
    return cursor + length;
  }
  if (cursor[1] != '{') {
    *out_piece = (struct piece){PIECE_LITERAL, {cursor, 1}};
    return cursor + (cursor[1] == '%' ? 2 : 1);
  }
  const char *name = cursor + 2;
  size_t length = strcspn(name, "}");
  bool closed = name[length] == '}';
  *out_piece = (struct piece){closed ? PIECE_PLACEHOLDER : PIECE_UNCLOSED, {name, length}};
  return name + length + (closed ? 1 : 0);
}

static const struct placeholder *find_placeholder(struct denet_text name) {
  for (size_t i = 0; i < DENET_COUNT_OF(placeholders); i++)
    if (strlen(placeholders[i].name) == name.length &&
        memcmp(placeholders[i].name, name.bytes, name.length) == 0)
      return &placeholders[i];
  return NULL;
}

/* Returns the number of the capture that name stands for, from 1; 0 for none. */
static size_t find_capture(struct denet_text name) {
  if (name.length != 1 || name.bytes[0] < '1' || name.bytes[0] > '0' + DENET_CAPTURES)
    return 0;
  return (size_t)(name.bytes[0] - '0');
}

static int check_piece(const struct piece *piece, size_t position, size_t groups,
                       struct denet_error *error, struct denet_template_uses *uses) {
  if (piece->kind == PIECE_UNCLOSED)
    return denet_error_set(error, -EINVAL, "unclosed %%{ at character %zu", position);
  if (piece->kind == PIECE_LITERAL)
    return 0;
  size_t capture = find_capture(piece->text);
  if (capture > groups)
    return denet_error_set(error, -EINVAL,
                           "%%{%zu} at character %zu: the regular expressions have no group %zu",
                           capture, position, capture);
  if (capture > 0)
    return 0;
  const struct placeholder *placeholder = find_placeholder(piece->text);
  if (!placeholder) {
    int shown = piece->text.length > NAME_SHOWN ? NAME_SHOWN : (int)piece->text.length;
    return denet_error_set(error, -EINVAL, "unknown placeholder %%{%.*s} at character %zu", shown,
                           piece->text.bytes, position);
  }
  if (placeholder->use_offset != NO_USE)
    *(bool *)((char *)uses + placeholder->use_offset) = true;
  return 0;
}

int denet_template_check(const char *template, size_t groups, struct denet_error *error,
                         struct denet_template_uses *out_uses) {
  struct denet_template_uses uses = {0};
  const char *next;
  for (const char *cursor = template; *cursor != '\0'; cursor = next) {
    struct piece piece;
    next = read_piece(cursor, &piece);
    int rc = check_piece(&piece, (size_t)(cursor - template) + 1, groups, error, &uses);
    if (rc < 0)
      return rc;
  }
  if (out_uses)
    *out_uses = uses;
  return 0;
}

static struct denet_text base_name(struct denet_text path) {
  const char *slash = path.bytes ? memrchr(path.bytes, '/', path.length) : NULL;
  if (!slash)
    return path;
  return (struct denet_text){slash + 1, path.length - (size_t)(slash + 1 - path.bytes)};
}

static int append_text(struct denet_buffer *out, struct denet_text text) {
  return denet_buffer_append(out, text.bytes, text.length);
}

static int append_value(struct denet_buffer *out, struct denet_text name,
                        const struct denet_template_values *values) {
  size_t capture = find_capture(name);
  if (capture > 0)
    return append_text(out, values->captures.group[capture - 1]);
  const struct placeholder *placeholder = find_placeholder(name);
  if (!placeholder)
    return 0;
  const void *value = (const char *)values + placeholder->value_offset;
  switch (placeholder->type) {
  case PLACEHOLDER_NUMBER: {
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRIu64, *(const uint64_t *)value);
    return denet_buffer_append_string(out, digits);
  }
  case PLACEHOLDER_PATH: {
    struct denet_text path = *(const struct denet_text *)value;
    return append_text(out, path.bytes ? base_name(path) : values->comm);
  }
  case PLACEHOLDER_TEXT:
    return append_text(out, *(const struct denet_text *)value);
  }
  return 0;
}

int denet_template_expand(const char *template, const struct denet_template_values *values,
                          struct denet_buffer *out) {
  for (const char *cursor = template; *cursor != '\0';) {
    struct piece piece;
    cursor = read_piece(cursor, &piece);
    int rc = piece.kind == PIECE_LITERAL ? append_text(out, piece.text)
                                         : append_value(out, piece.text, values);
    if (rc < 0)
      return rc;
  }
  return 0;
}
