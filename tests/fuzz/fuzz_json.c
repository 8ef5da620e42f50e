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

static void close_one(struct script *script) {
  if (script->open[--script->depth] == 'o')
    denet_json_object_close(&script->json);
  else
    denet_json_array_close(&script->json);
}

static void run(struct script *script) {
  struct denet_json *json = &script->json;
  char what = (char)fuzz_take_byte(&script->rest);
  const char *key = script->open[script->depth - 1] == 'o' ? "key" : NULL;
  uint64_t value;
  if (what == 'e') {
    if (script->depth > 1)
      close_one(script);
  } else if (what == 'o' || what == 'a') {
    if (script->depth == DEPTH_MOST)
      return;
    script->open[script->depth++] = what;
    (what == 'o' ? denet_json_object_open : denet_json_array_open)(json, key);
  } else if (what == 'u' || what == 'd') {
    fuzz_take(&script->rest, &value, sizeof(value));
    if (what == 'd')
      denet_json_decimal(json, key, (double)value / 3);
    else
      denet_json_unsigned(json, key, value);
  } else if (what == 't') {
    denet_json_bool(json, key, true);
  } else if (what == 'n') {
    denet_json_null(json, key);
  } else {
    write_string(script, key);
  }
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
