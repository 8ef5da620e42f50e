/* In the place of a read aside (the linker's --wrap), whose thread is waited for no longer than so
 * many milliseconds: on a busy machine they are soon over, and a test that tells lines to the byte
 * wants the text. */
#include "core/aside.h"

#include "core/cleanup.h"

#include <errno.h>
#include <fcntl.h>

int __wrap_denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                            const char *path, size_t limit, struct denet_buffer *out);
int __wrap_denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                            const char *path, size_t limit, struct denet_buffer *out) {
  (void)aside;
  (void)key;
  DENET_CLOSE int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : denet_buffer_read(out, fd, limit);
}
