#include "core/match/pid_file.h"

#include "core/util/buffer.h"
#include "core/util/cleanup.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define TEXT_BYTES 64

/* Opens a regular file. Symbolic links are followed, except those of /proc into the files of
 * another process, which may be in a file system that does not answer; before Linux 5.6, which
 * brought openat2(2), these are followed too. A file in /proc is refused: a read may stall on the
 * process that it is about. The open of a device may have effects, so the type is checked first.
 * Returns a descriptor or -errno. */
static int open_regular(const char *path, uid_t *out_owner) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  struct stat status;
  struct statfs system;
  DENET_CLOSE int path_fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  if (path_fd < 0 && errno == ENOSYS)
    path_fd = open(path, O_PATH | O_CLOEXEC);
  if (path_fd < 0 || fstat(path_fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode) || fstatfs(path_fd, &system) || system.f_type == PROC_SUPER_MAGIC)
    return -ENOENT;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
  int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  *out_owner = status.st_uid;
  return fd < 0 ? -errno : fd;
}

/* Returns the number in the first line, white space around it allowed. Further lines are ignored:
 * PostgreSQL's postmaster.pid has some. 0 if there is none or it is out of range. */
static pid_t parse_pid(struct denet_text text) {
  static const char space[] = " \t\r\n\v\f";
  const char *digits = text.bytes + strspn(text.bytes, space);
  const char *end = digits + strspn(digits, "0123456789"), *rest = end + strspn(end, space);
  bool line_ends = rest == text.bytes + text.length || memchr(end, '\n', (size_t)(rest - end));
  long pid = line_ends ? strtol(digits, NULL, 10) : 0;
  return pid <= INT_MAX ? (pid_t)pid : 0;
}

int denet_pid_file_read(const char *path, pid_t *out_pid, uid_t *out_owner) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  uid_t owner = 0;
  DENET_CLOSE int fd = open_regular(path, &owner);
  int error = fd < 0 ? fd : denet_buffer_read(&text, fd, TEXT_BYTES);
  if (denet_error_is_transient(error))
    return error;
  *out_pid = error ? 0 : parse_pid(denet_buffer_text(&text));
  if (*out_pid)
    *out_owner = owner;
  return 0;
}
