#include "pid_file.h"

#include "cleanup.h"
#include "rule.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Symbolic links are followed, but for those of /proc that lead into another process's files: these
 * may be in a file system that never answers. Linux 5.6; before there is no telling them apart. */
static int open_place(const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  return fd < 0 && errno == ENOSYS ? open(path, O_PATH | O_CLOEXEC) : fd;
}

pid_t denet_pid_file_read(const char *path, uid_t *out_owner) {
  char text[64];
  struct stat status;
  /* What is not a regular file is not even opened for reading: opening a device may do things. */
  DENET_CLOSE int place = open_place(path);
  if (place < 0 || fstat(place, &status) || !S_ISREG(status.st_mode))
    return 0;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
  DENET_CLOSE int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  ssize_t length = read(fd, text, sizeof(text));
  if (length <= 0)
    return 0;
  *out_owner = status.st_uid;
  return denet_rule_parse_pid((struct denet_text){text, (size_t)length});
}
