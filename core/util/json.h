/* Writes one JSON object as one line. The caller follows the grammar: it closes what it opens, in
 * order. key is that of the member in an object, without a byte that needs an escape; NULL for an
 * element of an array. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>

/* Starts zeroed, ends with denet_json_done(). */
struct denet_json {
  struct denet_buffer text; /* owned */
  int error;                /* 0, or -ENOMEM of the text */
};

void denet_json_done(struct denet_json *json);

/* Opens the object; keeps the memory of the text before. */
void denet_json_begin(struct denet_json *json);

/* Closes the object. The text is borrowed until the next call. 0 or -ENOMEM. */
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
/* Writes a value as it stands: true, false, null. */
void denet_json_literal(struct denet_json *json, const char *key, const char *value);
