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

/* Returns the failure to open or read the file, with its sentence. */
static int explain_failure(int failure, struct denet_error *error) {
  if (denet_error_is_transient(failure))
    return failure;
  if (failure == -ENOENT)
    return denet_error_set(error, failure, "it does not exist");
  if (failure == -ELOOP)
    return denet_error_set(error, failure, "it is behind a loop of links or a link of /proc");
  if (failure == -EACCES)
    return denet_error_set(error, failure,
                           "it may not be read: collectd needs permission to read it and to "
                           "search its folders, or CAP_DAC_READ_SEARCH");
  return denet_error_set(error, failure, "it cannot be read: %m");
}

/* Opens a regular file. Symbolic links are followed, except those of /proc into the files of
 * another process, which may be in a file system that does not answer; before Linux 5.6, which
 * brought openat2(2), these are followed too. A file in /proc is refused: a read may stall on the
 * process that it is about. The open of a device may have effects, so the type is checked first.
 * Returns a descriptor, or -errno as denet_pid_file_read(). */
static int open_regular(const char *path, struct denet_pid_file *out_file,
                        struct denet_error *error) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  struct stat status;
  struct statfs system;
  DENET_CLOSE int path_fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  if (path_fd < 0 && errno == ENOSYS)
    path_fd = open(path, O_PATH | O_CLOEXEC);
  if (path_fd < 0 || fstat(path_fd, &status) || fstatfs(path_fd, &system))
    return explain_failure(-errno, error);
  if (!S_ISREG(status.st_mode))
    return denet_error_set(error, -EINVAL, "it is a %s, not a regular file",
                           S_ISDIR(status.st_mode)    ? "folder"
                           : S_ISFIFO(status.st_mode) ? "FIFO"
                                                      : "device or socket");
  if (system.f_type == PROC_SUPER_MAGIC)
    return denet_error_set(error, -EINVAL, "it is in /proc, where no pid file is read");
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
  int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return explain_failure(-errno, error);
  out_file->owner = status.st_uid;
  out_file->written_ms =
      (uint64_t)status.st_mtim.tv_sec * 1000 + (uint64_t)status.st_mtim.tv_nsec / 1000000;
  out_file->is_in_memory = system.f_type == TMPFS_MAGIC;
  return fd;
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

int denet_pid_file_read(const char *path, struct denet_pid_file *out_file,
                        struct denet_error *error) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_pid_file file;
  DENET_CLOSE int fd = open_regular(path, &file, error);
  if (fd < 0)
    return fd;
  int failure = denet_buffer_read(&text, fd, TEXT_BYTES);
  if (failure)
    return explain_failure(failure, error);
  file.pid = parse_pid(denet_buffer_text(&text));
  if (!file.pid)
    return denet_error_set(error, -EINVAL,
                           "its first line must be a pid, a number without other words");
  *out_file = file;
  return 0;
}
