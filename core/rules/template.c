#include "core/rules/template.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* An error shows at most so many bytes of an unknown placeholder. */
#define NAME_SHOWN 40

/* A part of a template: literal text, or a placeholder with the name between %{ and }. */
struct piece {
  enum { LITERAL, UNCLOSED, UNKNOWN, CAPTURE, RULE, FIELD, PID, SLOT } kind;
  struct denet_text text;
  unsigned index; /* CAPTURE: in struct denet_captures; FIELD: enum denet_field */
  unsigned use;   /* bit in the uses of the template */
};

#define FIELD_PIECE(field)                                                                         \
  { .kind = FIELD, .index = field, .use = 1u << field }

static const struct {
  const char *name;
  struct piece piece;
} placeholders[] = {
    {"rule", {.kind = RULE}},
    {"comm", FIELD_PIECE(DENET_FIELD_COMM)},
    {"exe", FIELD_PIECE(DENET_FIELD_EXECUTABLE)},
    {"user", FIELD_PIECE(DENET_FIELD_USER)},
    {"unit", FIELD_PIECE(DENET_FIELD_UNIT)},
    {"user_unit", FIELD_PIECE(DENET_FIELD_USER_UNIT)},
    {"container", FIELD_PIECE(DENET_FIELD_CONTAINER)},
    {"pod", FIELD_PIECE(DENET_FIELD_POD)},
    {"cgroup", FIELD_PIECE(DENET_FIELD_CGROUP)},
    {"pid", {.kind = PID, .use = DENET_USES_PID}},
    {"slot", {.kind = SLOT, .use = DENET_USES_SLOT}},
};

static struct piece find_placeholder(struct denet_text name) {
  struct piece piece = {.kind = UNKNOWN};
  if (name.length == 1 && name.bytes[0] >= '1' && name.bytes[0] <= '0' + DENET_CAPTURES)
    piece = (struct piece){
        .kind = CAPTURE, .index = (unsigned)(name.bytes[0] - '1'), .use = DENET_USES_CAPTURE};
  for (size_t i = 0; i < DENET_COUNT_OF(placeholders); i++)
    if (strlen(placeholders[i].name) == name.length &&
        memcmp(placeholders[i].name, name.bytes, name.length) == 0)
      piece = placeholders[i].piece;
  piece.text = name;
  return piece;
}

/* Reads the piece at cursor, which is not the end. Returns where the next one starts. */
static const char *read_piece(const char *cursor, struct piece *out_piece) {
  if (cursor[0] != '%' || cursor[1] != '{') {
    size_t length = cursor[0] == '%' ? 1 : strcspn(cursor, "%");
    *out_piece = (struct piece){.kind = LITERAL, .text = {cursor, length}};
    return cursor + length + (cursor[0] == '%' && cursor[1] == '%');
  }
  struct denet_text name = {cursor + 2, strcspn(cursor + 2, "}")};
  const char *end = name.bytes + name.length;
  *out_piece = *end ? find_placeholder(name) : (struct piece){.kind = UNCLOSED};
  return *end ? end + 1 : end;
}

int denet_template_check(const char *template, size_t groups, struct denet_error *error,
                         unsigned *out_uses) {
  unsigned uses = 0;
  const char *next;
  for (const char *cursor = template; *cursor != '\0'; cursor = next) {
    struct piece piece;
    next = read_piece(cursor, &piece);
    size_t position = (size_t)(cursor - template) + 1, capture = piece.index + 1;
    int shown = piece.text.length > NAME_SHOWN ? NAME_SHOWN : (int)piece.text.length;
    if (piece.kind == UNCLOSED)
      return denet_error_set(error, -EINVAL, "unclosed %%{ at character %zu", position);
    if (piece.kind == UNKNOWN)
      return denet_error_set(error, -EINVAL, "unknown placeholder %%{%.*s} at character %zu", shown,
                             piece.text.bytes, position);
    if (piece.kind == CAPTURE && capture > groups)
      return denet_error_set(error, -EINVAL,
                             "%%{%zu} at character %zu: the regular expressions have no group %zu",
                             capture, position, capture);
    uses |= piece.use;
  }
  *out_uses = uses;
  return 0;
}

/* Returns the text of a field: of several names the first; for the executable, the base name of its
 * path. */
static struct denet_text show_field(const struct denet_attributes *attributes, unsigned field) {
  struct denet_text text = attributes->field[field];
  if (field != DENET_FIELD_EXECUTABLE)
    return (struct denet_text){text.bytes, text.bytes ? strnlen(text.bytes, text.length) : 0};
  if (!text.bytes)
    return attributes->field[DENET_FIELD_COMM];
  const char *slash = memrchr(text.bytes, '/', text.length);
  size_t start = slash ? (size_t)(slash + 1 - text.bytes) : 0;
  return (struct denet_text){text.bytes + start, text.length - start};
}

int denet_template_expand(const struct denet_rule *rule, const struct denet_attributes *attributes,
                          const struct denet_captures *captures, unsigned slot,
                          struct denet_buffer *out) {
  int error = 0;
  for (const char *cursor = rule->instance; *cursor != '\0' && !error;) {
    struct piece piece;
    char digits[16];
    cursor = read_piece(cursor, &piece);
    if (piece.kind == RULE)
      piece.text = denet_text_of(rule->name);
    if (piece.kind == CAPTURE)
      piece.text = captures->group[piece.index];
    if (piece.kind == FIELD)
      piece.text = show_field(attributes, piece.index);
    if (piece.kind == PID || piece.kind == SLOT) {
      snprintf(digits, sizeof(digits), "%u", piece.kind == PID ? (unsigned)attributes->pid : slot);
      piece.text = denet_text_of(digits);
    }
    bool is_unit = piece.use & (1u << DENET_FIELD_UNIT | 1u << DENET_FIELD_USER_UNIT);
    error = is_unit ? denet_cgroup_path_unescape(piece.text, out)
                    : denet_buffer_append(out, piece.text.bytes, piece.text.length);
  }
  return error;
}
