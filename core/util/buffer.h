/* A growing array of bytes. It is cleared and filled again at each use, so that a tick allocates
 * only when a content is longer than all before. Any byte may be inside; a NUL follows the last. */
#pragma once

#include <stddef.h>

struct denet_buffer {
  char *bytes; /* NULL until the first byte; owned */
  size_t length;
  size_t capacity;
};

/* A view of bytes that another object owns. bytes is NULL if the text is absent; length is 0 if it
 * is empty. */
struct denet_text {
  const char *bytes;
  size_t length;
};

/* Frees the bytes. The buffer may be used again. */
void denet_buffer_done(struct denet_buffer *buffer);

/* Removes the content, keeps the memory. */
void denet_buffer_clear(struct denet_buffer *buffer);

/* Makes room for extra more bytes and the NUL. 0 or -ENOMEM; on failure nothing has changed. */
int denet_buffer_reserve(struct denet_buffer *buffer, size_t extra);

/* Frees the memory behind length, which the caller may have reduced. */
void denet_buffer_trim(struct denet_buffer *buffer);

/* Appends bytes. 0 or -ENOMEM; on failure nothing has changed. */
int denet_buffer_append(struct denet_buffer *buffer, const void *bytes, size_t length);
int denet_buffer_append_string(struct denet_buffer *buffer, const char *string);

/* Replaces the content by the bytes read from fd, up to its end or limit bytes. Repeats short and
 * interrupted reads. 0 or -errno; then the content is what was read before the failure. */
int denet_buffer_read(struct denet_buffer *buffer, int fd, size_t limit);

/* Replaces the content by up to limit bytes of the file at path below the directory dir. Of a
 * symbolic link it reads the target's name, and does not follow it. 0 or -errno. */
int denet_buffer_read_path(struct denet_buffer *buffer, int dir, const char *path, size_t limit);

/* Views, borrowed; of an empty buffer the text is "". */
struct denet_text denet_buffer_text(const struct denet_buffer *buffer);
struct denet_text denet_text_of(const char *string);
