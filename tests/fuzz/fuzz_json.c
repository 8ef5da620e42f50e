/* The JSON writer: any bytes in, one line of valid UTF-8 out. An input is a script of what to
 * write: one byte that says what, and what that needs. */
#include "core/util/json.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* As many as an input may have open: the parser (yajl) can do with 128. */
#define DEPTH_MOST 100

/* What is open: 'o' an object, 'a' an array. */
struct script {
  struct denet_json json;
  struct denet_text rest;
  char open[DEPTH_MOST + 2];
  size_t depth;
};

static void write_string(struct script *script, const char *key) {
  uint8_t length = fuzz_take_byte(&script->rest);
  size_t taken = length < script->rest.length ? length : script->rest.length;
  struct denet_text text = fuzz_copy((const uint8_t *)script->rest.bytes, taken);
  script->rest = (struct denet_text){script->rest.bytes + taken, script->rest.length - taken};
  denet_json_string(&script->json, key, text);
  free((char *)text.bytes);
}

static void open_one(struct script *script, const char *key, char kind) {
  if (kind == 'o')
    denet_json_object_open(&script->json, key);
  else
    denet_json_array_open(&script->json, key);
  script->open[script->depth++] = kind;
}

static void close_one(struct script *script) {
  if (script->open[--script->depth] == 'o')
    denet_json_object_close(&script->json);
  else
    denet_json_array_close(&script->json);
}

static void write_number(struct script *script, const char *key, bool is_decimal) {
  uint64_t value;
  fuzz_take(&script->rest, &value, sizeof(value));
  if (is_decimal)
    denet_json_decimal(&script->json, key, (double)value / 3);
  else
    denet_json_unsigned(&script->json, key, value);
}

static void write_value(struct script *script, const char *key, char what) {
  switch (what) {
  case 'u':
  case 'd':
    write_number(script, key, what == 'd');
    return;
  case 't':
    denet_json_bool(&script->json, key, true);
    return;
  case 'n':
    denet_json_null(&script->json, key);
    return;
  default:
    write_string(script, key);
  }
}

static void run(struct script *script) {
  char what = (char)fuzz_take_byte(&script->rest);
  bool is_end = what == 'e', is_opening = what == 'o' || what == 'a';
  if (is_end && script->depth > 1)
    close_one(script);
  if (is_end || (is_opening && script->depth == DEPTH_MOST))
    return;
  const char *key = script->open[script->depth - 1] == 'o' ? "key" : NULL;
  if (is_opening)
    open_one(script, key, what);
  else
    write_value(script, key, what);
}

void fuzz_one(struct denet_text text) {
  struct script script = {.rest = text, .open = "o", .depth = 1};
  struct denet_text line;
  denet_json_begin(&script.json);
  while (script.rest.length)
    run(&script);
  while (script.depth > 1)
    close_one(&script);
  CLAIM(denet_json_end(&script.json, &line) == 0);
  CLAIM(fuzz_is_json_line(line));
  denet_json_done(&script.json);
}
