#include "core/util/arguments.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HALF (DENET_ARGUMENTS_MAX / 2)
#define MARKER_BYTES 40 /* room for "[... N bytes ...]" and the NULs around it */

void denet_arguments_shorten(struct denet_buffer *arguments) {
  char *bytes = arguments->bytes;
  size_t length = arguments->length;
  if (length > DENET_ARGUMENTS_MAX) {
    const char *front = memrchr(bytes, '\0', HALF);
    size_t from = front ? (size_t)(front - bytes) + 1 : 0; /* from here to `to` is left out */
    size_t to = length - (DENET_ARGUMENTS_MAX - MARKER_BYTES - from);
    const char *back = memchr(bytes + to - 1, '\0', length - to + 1);
    bool has_whole = front || back;
    if (has_whole) {
      to = back ? (size_t)(back - bytes) + 1 : length;
    } else {
      from = HALF;
      to = length - (HALF - MARKER_BYTES);
    }
    size_t at = from;
    if (!has_whole)
      bytes[at++] = '\0';
    at += (size_t)snprintf(bytes + at, MARKER_BYTES, "[... %zu bytes ...]", to - from);
    if (to < length)
      bytes[at++] = '\0';
    memmove(bytes + at, bytes + to, length - to);
    arguments->length = length + at - to;
  }
  denet_buffer_trim(arguments);
}
