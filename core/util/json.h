/* Writes one JSON object as one line. The first failure is kept and returned by denet_json_text(),
 * so a line is whole and valid, or there is none. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>

struct denet_json; /* owned by the caller of denet_json_new() */

struct denet_json *denet_json_new(void); /* NULL without memory */
void denet_json_free(struct denet_json *json);

/* Begins a new text; keeps the memory. */
void denet_json_clear(struct denet_json *json);

void denet_json_object_open(struct denet_json *json);
void denet_json_object_close(struct denet_json *json);
void denet_json_array_open(struct denet_json *json);
void denet_json_array_close(struct denet_json *json);
void denet_json_key(struct denet_json *json, const char *key);

/* Each byte that is not part of valid UTF-8 (RFC 3629) becomes U+FFFD. */
void denet_json_string(struct denet_json *json, struct denet_text text);
void denet_json_unsigned(struct denet_json *json, uint64_t value);
/* Writes two decimals; value is finite and not negative. */
void denet_json_decimal(struct denet_json *json, double value);
void denet_json_bool(struct denet_json *json, int value);
void denet_json_null(struct denet_json *json);

/* Returns the whole text, borrowed until the next call. 0; -EINVAL if the calls did not follow the
 * grammar; -ENOMEM. */
int denet_json_text(struct denet_json *json, struct denet_text *out_text);
