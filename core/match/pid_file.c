#include "core/match/pid_file.h"

#include "core/rules/rule.h"
#include "core/source/source.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define TEXT_BYTES 64

/* Symbolic links are followed, but for those of /proc that lead into another process's files: these
 * may be in a file system that never answers. Linux 5.6; before there is no telling them apart. */
static int open_place(const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  return fd < 0 && errno == ENOSYS ? open(path, O_PATH | O_CLOEXEC) : fd;
}

/* Files of /proc pass for regular ones, but whoever reads one can be held up by its process. */
static bool is_of_proc(int fd) {
  struct statfs system;
  return fstatfs(fd, &system) || system.f_type == PROC_SUPER_MAGIC;
}

/* A descriptor or -errno. What is not a regular file is not even opened for reading: opening a
 * device may do things. */
static int open_regular(const char *path, uid_t *out_owner) {
  struct stat status;
  DENET_CLOSE int place = open_place(path);
  if (place < 0 || fstat(place, &status))
    return -errno;
  if (!S_ISREG(status.st_mode) || is_of_proc(place))
    return -ENOENT;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
  int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  *out_owner = status.st_uid;
  return fd < 0 ? -errno : fd;
}

int denet_pid_file_read(const char *path, pid_t *out_pid, uid_t *out_owner) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  uid_t owner = 0;
  DENET_CLOSE int fd = open_regular(path, &owner);
  int error = fd < 0 ? fd : denet_buffer_read(&text, fd, TEXT_BYTES);
  if (denet_error_is_transient(error))
    return error;
  *out_pid = error ? 0 : denet_rule_parse_pid(denet_buffer_text(&text));
  if (*out_pid)
    *out_owner = owner;
  return 0;
}
