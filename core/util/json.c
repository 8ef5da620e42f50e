#include "core/util/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_gen.h>

/* In place of yajl's own buffer, which fails badly without memory. */
static void print(void *context, const char *bytes, size_t length) {
  struct denet_json *json = context;
  if (!json->error)
    json->error = denet_buffer_append(&json->text, bytes, length);
}

void denet_json_done(struct denet_json *json) {
  if (json->generator)
    yajl_gen_free(json->generator);
  json->generator = NULL;
  denet_buffer_done(&json->text);
  denet_buffer_done(&json->scrubbed);
}

static void check(struct denet_json *json, yajl_gen_status status) {
  if (status != yajl_gen_status_ok && !json->error)
    json->error = -EINVAL;
}

static void write_string(struct denet_json *json, struct denet_text text) {
  check(json, yajl_gen_string(json->generator, (const unsigned char *)text.bytes, text.length));
}

/* Writes the key, if there is one. Returns false after a failure: nothing more is written then. */
static bool start(struct denet_json *json, const char *key) {
  if (!json->error && key)
    write_string(json, denet_text_of(key));
  return !json->error;
}

/* The first line makes the generator. */
void denet_json_begin(struct denet_json *json) {
  denet_buffer_clear(&json->text);
  if (json->generator) {
    yajl_gen_reset(json->generator, NULL);
  } else {
    json->generator = yajl_gen_alloc(NULL);
    if (json->generator)
      yajl_gen_config(json->generator, yajl_gen_print_callback, print, json);
  }
  json->error = json->generator ? 0 : -ENOMEM;
  denet_json_object_open(json, NULL);
}

int denet_json_end(struct denet_json *json, struct denet_text *out_text) {
  denet_json_object_close(json);
  /* The text is whole if yajl takes nothing more. */
  if (!json->error && yajl_gen_null(json->generator) != yajl_gen_generation_complete)
    json->error = -EINVAL;
  if (!json->error)
    *out_text = denet_buffer_text(&json->text);
  return json->error;
}

void denet_json_object_open(struct denet_json *json, const char *key) {
  if (start(json, key))
    check(json, yajl_gen_map_open(json->generator));
}

void denet_json_object_close(struct denet_json *json) {
  if (start(json, NULL))
    check(json, yajl_gen_map_close(json->generator));
}

void denet_json_array_open(struct denet_json *json, const char *key) {
  if (start(json, key))
    check(json, yajl_gen_array_open(json->generator));
}

void denet_json_array_close(struct denet_json *json) {
  if (start(json, NULL))
    check(json, yajl_gen_array_close(json->generator));
}

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

/* Returns the length of the valid start of text. */
static size_t utf8_prefix(struct denet_text text) {
  size_t prefix = 0;
  while (prefix < text.length) {
    struct denet_text rest = {text.bytes + prefix, text.length - prefix};
    size_t length = utf8_length(rest);
    if (!length)
      return prefix;
    prefix += length;
  }
  return prefix;
}

/* Replaces the content of json->scrubbed by text with U+FFFD for each byte that is not valid. */
static int scrub(struct denet_json *json, struct denet_text text) {
  int error = 0;
  denet_buffer_clear(&json->scrubbed);
  while (!error && text.length) {
    size_t prefix = utf8_prefix(text);
    error = denet_buffer_append(&json->scrubbed, text.bytes, prefix);
    if (!error && prefix < text.length)
      error = denet_buffer_append_string(&json->scrubbed, "\xEF\xBF\xBD");
    prefix += prefix < text.length;
    text = (struct denet_text){text.bytes + prefix, text.length - prefix};
  }
  return error;
}

void denet_json_string(struct denet_json *json, const char *key, struct denet_text text) {
  if (!text.length)
    text = denet_text_of("");
  bool is_valid = utf8_prefix(text) == text.length;
  if (!start(json, key))
    return;
  if (!is_valid)
    json->error = scrub(json, text);
  if (!json->error)
    write_string(json, is_valid ? text : denet_buffer_text(&json->scrubbed));
}

static void write_number(struct denet_json *json, const char *key, const char *digits) {
  if (start(json, key))
    check(json, yajl_gen_number(json->generator, digits, strlen(digits)));
}

void denet_json_unsigned(struct denet_json *json, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%" PRIu64, value);
  write_number(json, key, digits);
}

void denet_json_decimal(struct denet_json *json, const char *key, double value) {
  char digits[32];
  /* As whole hundredths, so that no locale writes a decimal comma. */
  uint64_t hundredths = value < 1e15 ? (uint64_t)(value * 100 + 0.5) : UINT64_MAX;
  snprintf(digits, sizeof(digits), "%" PRIu64 ".%02u", hundredths / 100,
           (unsigned)(hundredths % 100));
  write_number(json, key, digits);
}

void denet_json_bool(struct denet_json *json, const char *key, bool value) {
  if (start(json, key))
    check(json, yajl_gen_bool(json->generator, value));
}

void denet_json_null(struct denet_json *json, const char *key) {
  if (start(json, key))
    check(json, yajl_gen_null(json->generator));
}
