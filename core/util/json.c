#include "core/util/json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void denet_json_done(struct denet_json *json) { denet_buffer_done(&json->text); }

static void append(struct denet_json *json, const char *bytes, size_t length) {
  if (!json->error)
    json->error = denet_buffer_append(&json->text, bytes, length);
}

static void append_string(struct denet_json *json, const char *string) {
  append(json, string, strlen(string));
}

void denet_json_literal(struct denet_json *json, const char *key, const char *value) {
  const struct denet_buffer *text = &json->text;
  if (text->length && !strchr("{[", text->bytes[text->length - 1]))
    append_string(json, ",");
  if (key) {
    append_string(json, "\"");
    append_string(json, key);
    append_string(json, "\":");
  }
  append_string(json, value);
}

void denet_json_begin(struct denet_json *json) {
  denet_buffer_clear(&json->text);
  json->error = 0;
  denet_json_object_open(json, NULL);
}

int denet_json_end(struct denet_json *json, struct denet_text *out_text) {
  denet_json_object_close(json);
  if (!json->error)
    *out_text = denet_buffer_text(&json->text);
  return json->error;
}

void denet_json_object_open(struct denet_json *json, const char *key) {
  denet_json_literal(json, key, "{");
}

void denet_json_object_close(struct denet_json *json) { append_string(json, "}"); }

void denet_json_array_open(struct denet_json *json, const char *key) {
  denet_json_literal(json, key, "[");
}

void denet_json_array_close(struct denet_json *json) { append_string(json, "]"); }

/* Returns the length of the valid UTF-8 sequence (RFC 3629, section 4) at the start of text, 0 if
 * there is none. */
static size_t utf8_length(struct denet_text text) {
  const unsigned char *at = (const unsigned char *)text.bytes;
  unsigned char first = at[0];
  if (first < 0x80)
    return 1;
  size_t length = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : 4;
  if (first < 0xC2 || first > 0xF4 || text.length < length)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xC0) != 0x80)
      return 0;
  bool too_long = (first == 0xE0 && at[1] < 0xA0) || (first == 0xF0 && at[1] < 0x90);
  bool surrogate = first == 0xED && at[1] > 0x9F;
  bool too_large = first == 0xF4 && at[1] > 0x8F;
  return too_long || surrogate || too_large ? 0 : length;
}

/* Returns how many bytes at the start of text stand for themselves in a string. */
static size_t plain_length(struct denet_text text) {
  size_t at = 0, length = 1;
  for (; length && at < text.length; at += length) {
    unsigned char byte = (unsigned char)text.bytes[at];
    bool is_escaped = byte < 0x20 || byte == '"' || byte == '\\';
    length = is_escaped ? 0 : utf8_length((struct denet_text){text.bytes + at, text.length - at});
  }
  return at;
}

/* Appends what stands for a byte that cannot stand for itself. */
static void append_escape(struct denet_json *json, unsigned char byte) {
  static const char letters[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                 ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
  char escape[8] = "\xEF\xBF\xBD"; /* U+FFFD */
  if (byte < sizeof(letters) && letters[byte])
    snprintf(escape, sizeof(escape), "\\%c", letters[byte]);
  else if (byte < 0x20)
    snprintf(escape, sizeof(escape), "\\u%04X", byte);
  append_string(json, escape);
}

void denet_json_string(struct denet_json *json, const char *key, struct denet_text text) {
  denet_json_literal(json, key, "\"");
  for (size_t at = 0; at < text.length;) {
    size_t plain = plain_length((struct denet_text){text.bytes + at, text.length - at});
    append(json, text.bytes + at, plain);
    at += plain;
    if (at < text.length)
      append_escape(json, (unsigned char)text.bytes[at++]);
  }
  append_string(json, "\"");
}

void denet_json_unsigned(struct denet_json *json, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%" PRIu64, value);
  denet_json_literal(json, key, digits);
}

void denet_json_decimal(struct denet_json *json, const char *key, double value) {
  char digits[32];
  /* As whole hundredths, so that no locale writes a decimal comma. */
  uint64_t hundredths = value < 1e15 ? (uint64_t)(value * 100 + 0.5) : UINT64_MAX;
  snprintf(digits, sizeof(digits), "%" PRIu64 ".%02u", hundredths / 100,
           (unsigned)(hundredths % 100));
  denet_json_literal(json, key, digits);
}
