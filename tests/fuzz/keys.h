/* Claims about denet_parse_keys(), whatever the text and the keys. */
#pragma once

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#define KEYS_MOST 8
#define UNTOUCHED UINT64_C(0x5eed5eed5eed5eed)

/* keys: NULL-terminated. */
static inline void claim_keys(struct denet_text text, const char *const *keys) {
  uint64_t values[KEYS_MOST], alone;
  unsigned count = 0;
  for (; keys[count]; count++)
    values[count] = UNTOUCHED;
  uint64_t found = denet_parse_keys(text, keys, count, values);
  CLAIM(found >> count == 0);
  for (unsigned i = 0; i < count; i++) {
    bool is_found = found >> i & 1;
    CLAIM(is_found || values[i] == UNTOUCHED);
    CLAIM(!is_found || memmem(text.bytes, text.length, keys[i], strlen(keys[i])));
    CLAIM(denet_parse_keys(text, &keys[i], 1, &alone) == is_found);
    CLAIM(!is_found || alone == values[i]);
  }
}
