#include "core/store/repair.h"

#include "core/util/cleanup.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Most files end with a shorter line, so that one read is enough. */
#define BLOCK_BYTES 4096
/* O_NONBLOCK: a FIFO in the file's place must not stop the scan. */
#define REPAIR_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* Returns whether the byte searched last is the first one of a whole line. */
static bool is_found(const struct denet_repair *repair) {
  return repair->may_be_whole && repair->latest == '{';
}

bool denet_repair_scan(struct denet_repair *repair, struct denet_text block) {
  for (size_t left = block.length; left > 0; left--) {
    char byte = block.bytes[left - 1];
    if (byte == '\n' && is_found(repair))
      return true; /* the newline of the line before */
    if (byte == '\n') {
      repair->behind_bytes = repair->seen_bytes;
      repair->may_be_whole = true;
    }
    bool is_last = repair->latest == '\n';
    if (byte == '\0' || (is_last && byte != '\n' && byte != '}'))
      repair->may_be_whole = false;
    repair->latest = byte;
    repair->seen_bytes++;
  }
  return false;
}

uint64_t denet_repair_torn_bytes(const struct denet_repair *repair) {
  return is_found(repair) ? repair->behind_bytes : repair->seen_bytes;
}

/* Searches a file of size bytes until a whole line is found. 0 or -errno; -EIO if the file has
 * become shorter. */
static int search_file(int fd, uint64_t size, struct denet_repair *repair) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer block = {0};
  bool is_done = false;
  for (uint64_t left = size; left && !is_done;) {
    size_t length = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
    left -= length;
    if (lseek(fd, (off_t)left, SEEK_SET) < 0)
      return -errno;
    int error = denet_buffer_read(&block, fd, length);
    if (error || block.length < length)
      return error ? error : -EIO;
    is_done = denet_repair_scan(repair, denet_buffer_text(&block));
  }
  return 0;
}

int denet_repair_file(int dir, const char *name, uint64_t *out_bytes) {
  DENET_CLOSE int fd = openat(dir, name, REPAIR_FLAGS);
  struct stat status;
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  struct denet_repair repair = {0};
  uint64_t size = (uint64_t)status.st_size;
  int error = search_file(fd, size, &repair);
  if (error)
    return error;
  uint64_t whole_bytes = size - denet_repair_torn_bytes(&repair);
  if (!whole_bytes)
    return unlinkat(dir, name, 0) ? -errno : DENET_GONE;
  /* The time of change stays, since retention removes files in its order. */
  const struct timespec times[] = {status.st_atim, status.st_mtim};
  if (whole_bytes < size && (ftruncate(fd, (off_t)whole_bytes) || futimens(fd, times)))
    return -errno;
  *out_bytes = whole_bytes;
  return 0;
}
