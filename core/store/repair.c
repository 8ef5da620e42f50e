#include "core/store/repair.h"

#include "core/util/cleanup.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Most files end with a shorter line, so that one read is enough; else GROWTH times it is read. */
#define FIRST_BYTES 4096
#define GROWTH 16
#define END_MOST (UINT64_C(64) << 20) /* is read into memory */
/* O_NONBLOCK: a FIFO in the file's place must not stop the scan. */
#define REPAIR_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

size_t denet_repair_whole_bytes(struct denet_text end, bool is_all) {
  const char *newline = memrchr(end.bytes, '\n', end.length), *before;
  for (; newline; newline = before) {
    before = memrchr(end.bytes, '\n', (size_t)(newline - end.bytes));
    if (!before && !is_all)
      return 0;
    const char *line = before ? before + 1 : end.bytes;
    size_t length = (size_t)(newline - line);
    if (length >= 2 && line[0] == '{' && line[length - 1] == '}' && !memchr(line, '\0', length))
      return (size_t)(newline - end.bytes) + 1;
  }
  return 0;
}

int denet_repair_file(int dir, const char *name, uint64_t *out_bytes) {
  DENET_CLOSE int fd = openat(dir, name, REPAIR_FLAGS);
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer end = {0};
  struct stat status;
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  uint64_t size = (uint64_t)status.st_size, from = size, whole_bytes = 0;
  for (uint64_t length = FIRST_BYTES; from && !whole_bytes; length *= GROWTH) {
    if (length > END_MOST)
      return -EFBIG;
    from = length < size ? size - length : 0;
    if (lseek(fd, (off_t)from, SEEK_SET) < 0)
      return -errno;
    int error = denet_buffer_read(&end, fd, size - from);
    if (error || end.length < size - from)
      return error ? error : -EIO; /* it has become shorter */
    size_t whole = denet_repair_whole_bytes(denet_buffer_text(&end), !from);
    whole_bytes = whole ? from + whole : 0;
  }
  if (!whole_bytes)
    return unlinkat(dir, name, 0) ? -errno : DENET_GONE;
  /* The time of change stays, since retention removes files in its order. */
  const struct timespec times[] = {status.st_atim, status.st_mtim};
  if (whole_bytes < size && (ftruncate(fd, (off_t)whole_bytes) || futimens(fd, times)))
    return -errno;
  *out_bytes = whole_bytes;
  return 0;
}
