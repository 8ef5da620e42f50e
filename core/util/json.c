#include "core/util/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

struct denet_json {
  yajl_gen generator;
  struct denet_buffer text; /* yajl's own buffer fails badly without memory */
  struct denet_buffer scrubbed;
  int error; /* the first one */
  int depth; /* objects and arrays that are open */
};

static void print(void *context, const char *bytes, size_t length) {
  struct denet_json *json = context;
  if (!json->error)
    json->error = denet_buffer_append(&json->text, bytes, length);
}

struct denet_json *denet_json_new(void) {
  struct denet_json *json = calloc(1, sizeof(*json));
  if (!json)
    return NULL;
  json->generator = yajl_gen_alloc(NULL);
  if (json->generator) {
    yajl_gen_config(json->generator, yajl_gen_print_callback, print, json);
    return json;
  }
  free(json);
  return NULL;
}

void denet_json_free(struct denet_json *json) {
  if (!json)
    return;
  yajl_gen_free(json->generator);
  denet_buffer_done(&json->text);
  denet_buffer_done(&json->scrubbed);
  free(json);
}

void denet_json_clear(struct denet_json *json) {
  yajl_gen_reset(json->generator, NULL);
  denet_buffer_clear(&json->text);
  json->error = 0;
  json->depth = 0;
}

static void check(struct denet_json *json, yajl_gen_status status) {
  if (status != yajl_gen_status_ok && !json->error)
    json->error = -EINVAL;
}

void denet_json_object_open(struct denet_json *json) {
  json->depth++;
  check(json, yajl_gen_map_open(json->generator));
}

void denet_json_object_close(struct denet_json *json) {
  json->depth--;
  check(json, yajl_gen_map_close(json->generator));
}

void denet_json_array_open(struct denet_json *json) {
  json->depth++;
  check(json, yajl_gen_array_open(json->generator));
}

void denet_json_array_close(struct denet_json *json) {
  json->depth--;
  check(json, yajl_gen_array_close(json->generator));
}

static void write_string(struct denet_json *json, struct denet_text text) {
  check(json, yajl_gen_string(json->generator, (const unsigned char *)text.bytes, text.length));
}

void denet_json_key(struct denet_json *json, const char *key) {
  write_string(json, denet_text_of(key));
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

void denet_json_string(struct denet_json *json, struct denet_text text) {
  size_t prefix = utf8_prefix(text);
  if (prefix == text.length) {
    write_string(json, text.bytes ? text : denet_text_of(""));
    return;
  }
  denet_buffer_clear(&json->scrubbed);
  int error = 0;
  while (!error && text.length) {
    error = denet_buffer_append(&json->scrubbed, text.bytes, prefix);
    text = (struct denet_text){text.bytes + prefix, text.length - prefix};
    if (!error && text.length) {
      error = denet_buffer_append_string(&json->scrubbed, "\xEF\xBF\xBD");
      text = (struct denet_text){text.bytes + 1, text.length - 1};
    }
    prefix = utf8_prefix(text);
  }
  if (error && !json->error)
    json->error = error;
  write_string(json, denet_buffer_text(&json->scrubbed));
}

static void write_number(struct denet_json *json, const char *digits) {
  check(json, yajl_gen_number(json->generator, digits, strlen(digits)));
}

void denet_json_unsigned(struct denet_json *json, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%" PRIu64, value);
  write_number(json, digits);
}

void denet_json_decimal(struct denet_json *json, double value) {
  char digits[32];
  /* As whole hundredths, so that no locale writes a decimal comma. */
  uint64_t hundredths = value < 1e15 ? (uint64_t)(value * 100 + 0.5) : UINT64_MAX;
  snprintf(digits, sizeof(digits), "%" PRIu64 ".%02u", hundredths / 100,
           (unsigned)(hundredths % 100));
  write_number(json, digits);
}

void denet_json_bool(struct denet_json *json, int value) {
  check(json, yajl_gen_bool(json->generator, value));
}

void denet_json_null(struct denet_json *json) { check(json, yajl_gen_null(json->generator)); }

int denet_json_text(struct denet_json *json, struct denet_text *out_text) {
  if (!json->error && json->depth)
    return -EINVAL;
  if (json->error)
    return json->error;
  *out_text = denet_buffer_text(&json->text);
  return 0;
}
