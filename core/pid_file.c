#include "pid_file.h"

#include "cleanup.h"
#include "rule.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define TEXT_BYTES 64

/* A descriptor or -errno. What is not a regular file is not even opened for reading: opening a
 * device may do things. */
static int open_regular(const char *path) {
  struct stat status;
  DENET_CLOSE int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0 || fstat(place, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -ENOENT;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
  int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int denet_pid_file_read(const char *path, pid_t *out_pid) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  DENET_CLOSE int fd = open_regular(path);
  int error = fd < 0 ? fd : denet_buffer_read(&text, fd, TEXT_BYTES);
  if (denet_source_is_passing(error))
    return error;
  *out_pid = error ? 0 : denet_rule_parse_pid(denet_buffer_text(&text));
  return 0;
}
