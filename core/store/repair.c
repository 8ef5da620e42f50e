#include "core/store/repair.h"

#include "core/util/cleanup.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Most files end in a shorter line, so that one look is enough. */
#define BLOCK_BYTES 4096
/* O_NONBLOCK: whoever puts a FIFO in the file's place must not stop us. */
#define MEND_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static bool is_found(const struct denet_repair *tail) {
  return tail->may_be_whole && tail->latest == '{';
}

/* Returns whether the byte, a newline, stands before a whole line. */
static bool look_at_newline(struct denet_repair *tail) {
  if (is_found(tail))
    return true;
  tail->behind_bytes = tail->seen_bytes;
  tail->may_be_whole = true;
  return false;
}

bool denet_repair_scan(struct denet_repair *tail, struct denet_text block) {
  for (size_t left = block.length; left > 0; left--) {
    char byte = block.bytes[left - 1];
    if (byte == '\n' && look_at_newline(tail))
      return true;
    bool is_last = tail->latest == '\n';
    if (byte == '\0' || (is_last && byte != '\n' && byte != '}'))
      tail->may_be_whole = false;
    tail->latest = byte;
    tail->seen_bytes++;
  }
  return false;
}

uint64_t denet_repair_torn_bytes(const struct denet_repair *tail) {
  return is_found(tail) ? tail->behind_bytes : tail->seen_bytes;
}

/* Fills bytes with the length bytes at offset. 0; -errno; -EIO when the file has become shorter. */
static int read_block(int fd, char *bytes, size_t length, off_t offset) {
  size_t filled = 0;
  while (filled < length) {
    ssize_t got = pread(fd, bytes + filled, length - filled, offset + (off_t)filled);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got < 0 ? -errno : -EIO;
    filled += (size_t)got;
  }
  return 0;
}

/* Looks at a file of size bytes until a whole line is found. */
static int look_at_file(int fd, uint64_t size, struct denet_repair *tail) {
  char block[BLOCK_BYTES];
  bool is_over = false;
  for (uint64_t left = size; left && !is_over;) {
    size_t length = left < sizeof(block) ? (size_t)left : sizeof(block);
    left -= length;
    int error = read_block(fd, block, length, (off_t)left);
    if (error)
      return error;
    is_over = denet_repair_scan(tail, (struct denet_text){block, length});
  }
  return 0;
}

/* The order in which files go is that of their last change, which this is none of. */
static int cut_file(int fd, const struct stat *status, uint64_t size) {
  const struct timespec times[] = {status->st_atim, status->st_mtim};
  return ftruncate(fd, (off_t)size) || futimens(fd, times) ? -errno : 0;
}

int denet_repair_file(int folder, const char *name, uint64_t *out_bytes) {
  DENET_CLOSE int fd = openat(folder, name, MEND_FLAGS);
  struct stat status;
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  struct denet_repair tail = {0};
  uint64_t size = (uint64_t)status.st_size;
  int error = look_at_file(fd, size, &tail);
  if (error)
    return error;
  uint64_t whole_bytes = size - denet_repair_torn_bytes(&tail);
  if (!whole_bytes)
    return unlinkat(folder, name, 0) ? -errno : DENET_GONE;
  if (whole_bytes < size)
    error = cut_file(fd, &status, whole_bytes);
  if (!error)
    *out_bytes = whole_bytes;
  return error;
}
