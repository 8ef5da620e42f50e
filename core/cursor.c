#include "cursor.h"

#include <string.h>

static size_t left_of(const struct denet_cursor *cursor) {
  return (size_t)(cursor->end - cursor->at);
}

static void fail(struct denet_cursor *cursor) {
  cursor->failed = true;
  cursor->at = cursor->end;
}

uint64_t denet_cursor_number(struct denet_cursor *cursor, size_t bytes) {
  if (left_of(cursor) < bytes) {
    fail(cursor);
    return 0;
  }
  uint64_t value = 0;
  memcpy(&value, cursor->at, bytes);
  cursor->at += bytes;
  return value;
}

int64_t denet_cursor_signed(struct denet_cursor *cursor, size_t bytes) {
  uint64_t value = denet_cursor_number(cursor, bytes);
  uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
  return (int64_t)((value ^ sign) - sign);
}

/* The bits, and in *out_shift how many there were. */
static uint64_t read_leb(struct denet_cursor *cursor, unsigned *out_shift, unsigned *out_last) {
  uint64_t value = 0;
  unsigned shift = 0, byte;
  do {
    byte = (unsigned)denet_cursor_number(cursor, 1);
    if (shift < 64)
      value |= (uint64_t)(byte & 0x7f) << shift;
    shift = shift < 64 ? shift + 7 : shift;
  } while (byte & 0x80);
  *out_shift = shift;
  *out_last = byte;
  return value;
}

uint64_t denet_cursor_uleb(struct denet_cursor *cursor) {
  unsigned shift, last;
  return read_leb(cursor, &shift, &last);
}

int64_t denet_cursor_sleb(struct denet_cursor *cursor) {
  unsigned shift, last;
  uint64_t value = read_leb(cursor, &shift, &last);
  if ((last & 0x40) && shift < 64)
    value |= ~UINT64_C(0) << shift;
  return (int64_t)value;
}

struct denet_cursor denet_cursor_take(struct denet_cursor *cursor, uint64_t bytes) {
  if (left_of(cursor) < bytes) {
    fail(cursor);
    return (struct denet_cursor){cursor->at, cursor->at, true};
  }
  struct denet_cursor taken = {cursor->at, cursor->at + bytes, false};
  cursor->at += bytes;
  return taken;
}

const char *denet_cursor_string(struct denet_cursor *cursor) {
  const char *text = (const char *)cursor->at;
  const unsigned char *end = memchr(cursor->at, '\0', left_of(cursor));
  if (!end) {
    fail(cursor);
    return "";
  }
  cursor->at = end + 1;
  return text;
}
