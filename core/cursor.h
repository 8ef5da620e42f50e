/* Bytes of a file that nobody vouches for, read from front to back: reading past the end gives 0
 * and marks the cursor, so that a caller checks once, behind a whole structure. Little-endian. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct denet_cursor {
  const unsigned char *at, *end; /* borrowed */
  bool failed;                   /* something was read that is not there; it stays so */
};

/* The next so many bytes (1 to 8) as a number, without or with its sign. */
uint64_t denet_cursor_number(struct denet_cursor *cursor, size_t bytes);
int64_t denet_cursor_signed(struct denet_cursor *cursor, size_t bytes);

/* DWARF's numbers of any length; what is above 64 bits is lost. */
uint64_t denet_cursor_uleb(struct denet_cursor *cursor);
int64_t denet_cursor_sleb(struct denet_cursor *cursor);

/* The next so many bytes as a cursor of their own; empty and failed if they are not there. */
struct denet_cursor denet_cursor_take(struct denet_cursor *cursor, uint64_t bytes);

/* The text up to the next NUL, which is passed over; "" where there is none. */
const char *denet_cursor_string(struct denet_cursor *cursor);
