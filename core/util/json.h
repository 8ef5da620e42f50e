/* One JSON object as one line. The only user of yajl: it remembers the first failure, so that a
 * line is either whole and valid or not there. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>

struct denet_json; /* owned by whoever made it */

struct denet_json *denet_json_new(void); /* NULL when there is no memory */
void denet_json_free(struct denet_json *json);

/* Forgets what was written, keeps the memory. */
void denet_json_clear(struct denet_json *json);

void denet_json_object_open(struct denet_json *json);
void denet_json_object_close(struct denet_json *json);
void denet_json_array_open(struct denet_json *json);
void denet_json_array_close(struct denet_json *json);
void denet_json_key(struct denet_json *json, const char *key);

/* Bytes that are not UTF-8 (RFC 3629) become U+FFFD each. */
void denet_json_string(struct denet_json *json, struct denet_text text);
void denet_json_unsigned(struct denet_json *json, uint64_t value);
/* With two decimals, as nobody measures CPU use finer than that; value is finite and not negative.
 */
void denet_json_decimal(struct denet_json *json, double value);
void denet_json_bool(struct denet_json *json, int value);
void denet_json_null(struct denet_json *json);

/* The whole text, borrowed until the next call. 0; -EINVAL when something did not fit the grammar;
 * -ENOMEM. */
int denet_json_text(struct denet_json *json, struct denet_text *out_text);
