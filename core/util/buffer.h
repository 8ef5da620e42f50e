/* Bytes that grow: cleared and filled again at every use, so that a tick allocates only when
 * something is longer than ever before. Any byte may be inside; a NUL always follows the last. */
#pragma once

#include <stddef.h>

struct denet_buffer {
  char *bytes; /* NULL until the first byte; owned */
  size_t length;
  size_t capacity;
};

/* A view of somebody else's bytes. bytes == NULL means absent; length 0 means empty. */
struct denet_text {
  const char *bytes;
  size_t length;
};

/* Frees the bytes; the buffer may be used again. */
void denet_buffer_done(struct denet_buffer *buffer);

/* Forgets the content, keeps the memory. */
void denet_buffer_clear(struct denet_buffer *buffer);

/* Makes room for extra more bytes (and the NUL). 0 or -ENOMEM, then nothing has changed. */
int denet_buffer_reserve(struct denet_buffer *buffer, size_t extra);

/* Gives back the memory behind length, which may have been made less. */
void denet_buffer_trim(struct denet_buffer *buffer);

/* Appends. 0 or -ENOMEM, then nothing has changed. */
int denet_buffer_append(struct denet_buffer *buffer, const void *bytes, size_t length);
int denet_buffer_append_string(struct denet_buffer *buffer, const char *string);

/* Replaces the content by what is read from fd until its end or until limit bytes; short reads and
 * EINTR are dealt with. 0 or -errno, then the content is what was read before the failure. */
int denet_buffer_read(struct denet_buffer *buffer, int fd, size_t limit);

/* Replaces the content by up to limit bytes of the file at path below folder, or of what it says if
 * it is a symbolic link, which is not followed. 0 or -errno. */
int denet_buffer_read_path(struct denet_buffer *buffer, int folder, const char *path, size_t limit);

struct denet_text denet_buffer_text(const struct denet_buffer *buffer);
struct denet_text denet_text_of(const char *string);
