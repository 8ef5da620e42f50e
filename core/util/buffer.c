#include "core/util/buffer.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 4096

void denet_buffer_done(struct denet_buffer *buffer) {
  if (!buffer)
    return;
  free(buffer->bytes);
  *buffer = (struct denet_buffer){0};
}

void denet_buffer_clear(struct denet_buffer *buffer) {
  buffer->length = 0;
  if (buffer->bytes)
    buffer->bytes[0] = '\0';
}

int denet_buffer_reserve(struct denet_buffer *buffer, size_t extra) {
  size_t needed = buffer->length + extra + 1;
  if (needed <= extra)
    return -ENOMEM;
  if (needed <= buffer->capacity)
    return 0;
  size_t capacity = needed > 2 * buffer->capacity ? needed : 2 * buffer->capacity;
  char *bytes = realloc(buffer->bytes, capacity);
  if (!bytes)
    return -ENOMEM;
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  buffer->bytes[buffer->length] = '\0';
  return 0;
}

void denet_buffer_trim(struct denet_buffer *buffer) {
  if (!buffer->bytes)
    return;
  buffer->bytes[buffer->length] = '\0';
  char *bytes = realloc(buffer->bytes, buffer->length + 1);
  if (bytes)
    *buffer = (struct denet_buffer){bytes, buffer->length, buffer->length + 1};
}

int denet_buffer_append(struct denet_buffer *buffer, const void *bytes, size_t length) {
  int error = denet_buffer_reserve(buffer, length);
  if (error)
    return error;
  if (length)
    memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
  buffer->bytes[buffer->length] = '\0';
  return 0;
}

int denet_buffer_append_string(struct denet_buffer *buffer, const char *string) {
  return denet_buffer_append(buffer, string, strlen(string));
}

int denet_buffer_read(struct denet_buffer *buffer, int fd, size_t limit) {
  denet_buffer_clear(buffer);
  while (buffer->length < limit) {
    size_t left = limit - buffer->length;
    int error = denet_buffer_reserve(buffer, left < CHUNK_BYTES ? left : CHUNK_BYTES);
    if (error)
      return error;
    size_t room = buffer->capacity - buffer->length - 1;
    ssize_t got = read(fd, buffer->bytes + buffer->length, room < left ? room : left);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return -errno;
    if (got == 0)
      break;
    buffer->length += (size_t)got;
    buffer->bytes[buffer->length] = '\0';
  }
  return 0;
}

int denet_buffer_read_path(struct denet_buffer *buffer, int dir, const char *path, size_t limit) {
  denet_buffer_clear(buffer); /* of another file's content, which a failure would leave */
  DENET_CLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0)
    return denet_buffer_read(buffer, fd, limit);
  if (errno != ELOOP)
    return -errno;
  size_t most = limit < PATH_MAX ? limit : PATH_MAX;
  int error = denet_buffer_reserve(buffer, most);
  if (error)
    return error;
  ssize_t length = readlinkat(dir, path, buffer->bytes, most);
  if (length < 0)
    return -errno;
  buffer->length = (size_t)length;
  buffer->bytes[length] = '\0';
  return 0;
}

struct denet_text denet_buffer_text(const struct denet_buffer *buffer) {
  return (struct denet_text){buffer->bytes ? buffer->bytes : "", buffer->length};
}

struct denet_text denet_text_of(const char *string) {
  return (struct denet_text){string, string ? strlen(string) : 0};
}
