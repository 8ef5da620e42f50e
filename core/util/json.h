/* Writes one JSON object as one line. key is that of the member in an object, NULL for an element
 * of an array. The first failure is kept and returned by denet_json_end(), so a line is whole and
 * valid, or there is none. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* Starts zeroed, ends with denet_json_done(). It keeps its address from the first line on. */
struct denet_json {
  struct yajl_gen_t *generator; /* owned */
  struct denet_buffer text;     /* owned */
  struct denet_buffer scrubbed; /* owned: a string whose bytes were not all valid */
  int error;                    /* the first one */
};

void denet_json_done(struct denet_json *json);

/* Opens the object; keeps the memory of the text before. */
void denet_json_begin(struct denet_json *json);

/* Closes the object. The text is borrowed until the next call. 0; -EINVAL if the calls did not
 * follow the grammar; -ENOMEM. */
int denet_json_end(struct denet_json *json, struct denet_text *out_text);

void denet_json_object_open(struct denet_json *json, const char *key);
void denet_json_object_close(struct denet_json *json);
void denet_json_array_open(struct denet_json *json, const char *key);
void denet_json_array_close(struct denet_json *json);

/* Each byte that is not part of valid UTF-8 (RFC 3629) becomes U+FFFD. */
void denet_json_string(struct denet_json *json, const char *key, struct denet_text text);
void denet_json_unsigned(struct denet_json *json, const char *key, uint64_t value);
/* Writes two decimals; value is finite and not negative. */
void denet_json_decimal(struct denet_json *json, const char *key, double value);
void denet_json_bool(struct denet_json *json, const char *key, bool value);
void denet_json_null(struct denet_json *json, const char *key);
