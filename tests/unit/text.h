/* Texts that may hold NULs, as initializers and in claims. */
#pragma once

#include "core/util/buffer.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES(literal)                                                                             \
  { literal, sizeof(literal) - 1 }

/* Claims that a text is this one; NULL: that it is absent. */
static inline void expect_text(struct denet_text text, const char *expected) {
  ck_assert_int_eq(text.bytes == NULL, expected == NULL);
  ck_assert_uint_eq(text.length, expected ? strlen(expected) : 0);
  if (expected)
    ck_assert_mem_eq(text.bytes, expected, text.length);
}
