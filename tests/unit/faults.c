#include "tests/unit/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <search.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <yajl/yajl_gen.h>

static struct fault fault;
static atomic_bool is_armed, is_paused;
static atomic_uint made; /* calls of fault.calls since it began */

void faults_begin(struct fault asked) {
  fault = asked;
  atomic_store(&made, 0);
  atomic_store(&is_paused, false);
  atomic_store(&is_armed, true);
}

bool faults_end(void) {
  bool was_armed = atomic_exchange(&is_armed, false);
  return was_armed && atomic_load(&made) >= fault.first;
}

void faults_pause(bool pauses) { atomic_store(&is_paused, pauses); }

/* Counts a call. Returns whether it is one of those that fail. */
static bool is_struck(unsigned call) {
  if (!atomic_load(&is_armed) || atomic_load(&is_paused) || !(fault.calls & call))
    return false;
  unsigned number = atomic_fetch_add(&made, 1) + 1;
  if (number == fault.first && fault.error == FAULT_VANISH)
    fault.happens();
  return number >= fault.first && number - fault.first < fault.count;
}

/* Counts a call. Returns whether it fails, with errno. */
static bool fails(unsigned call) {
  if (!is_struck(call) || fault.error < 0)
    return false;
  errno = call == FAULT_ALLOCATE ? ENOMEM : fault.error;
  return true;
}

/* Returns whether the file is one of the process that has vanished. */
static bool is_gone(int fd) {
  char link[64], path[4096];
  if (!atomic_load(&is_armed) || fault.error != FAULT_VANISH || atomic_load(&made) < fault.first)
    return false;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof(path) - 1);
  path[length > 0 ? length : 0] = '\0';
  return strstr(path, fault.gone) != NULL;
}

/* Defines a function that fails with a value or calls the real one. */
#define WRAP(call, failure, type, name, parameters, arguments)                                     \
  type __real_##name parameters;                                                                   \
  type __wrap_##name parameters;                                                                   \
  type __wrap_##name parameters { return fails(call) ? (failure) : __real_##name arguments; }

WRAP(FAULT_ALLOCATE, NULL, void *, malloc, (size_t size), (size))
WRAP(FAULT_ALLOCATE, NULL, void *, calloc, (size_t count, size_t size), (count, size))
WRAP(FAULT_ALLOCATE, NULL, void *, realloc, (void *old, size_t size), (old, size))
WRAP(FAULT_ALLOCATE, NULL, void *, reallocarray, (void *old, size_t count, size_t size),
     (old, count, size))
WRAP(FAULT_ALLOCATE, NULL, char *, strdup, (const char *text), (text))
WRAP(FAULT_ALLOCATE, NULL, char *, strndup, (const char *text, size_t most), (text, most))
WRAP(FAULT_ALLOCATE, NULL, void *, tsearch, (const void *key, void **root, comparison_fn_t compare),
     (key, root, compare))
WRAP(FAULT_ALLOCATE, REG_ESPACE, int, regcomp, (regex_t * regex, const char *text, int flags),
     (regex, text, flags))
WRAP(FAULT_ALLOCATE, NULL, yajl_gen, yajl_gen_alloc, (const yajl_alloc_funcs *functions),
     (functions))
WRAP(FAULT_OPEN, NULL, DIR *, opendir, (const char *path), (path))
WRAP(FAULT_OPEN, NULL, DIR *, fdopendir, (int fd), (fd))
WRAP(FAULT_LIST, NULL, struct dirent *, readdir, (DIR * folder), (folder))
WRAP(FAULT_LINK, -1, ssize_t, readlinkat, (int folder, const char *path, char *out, size_t size),
     (folder, path, out, size))
WRAP(FAULT_STATUS, -1, int, fstat, (int fd, struct stat *out), (fd, out))
WRAP(FAULT_STATUS, -1, int, fstatat, (int folder, const char *path, struct stat *out, int flags),
     (folder, path, out, flags))
WRAP(FAULT_MAKE, -1, int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(FAULT_MAKE, -1, int, mkdirat, (int folder, const char *path, mode_t mode),
     (folder, path, mode))
WRAP(FAULT_REMOVE, -1, int, unlinkat, (int folder, const char *path, int flags),
     (folder, path, flags))
WRAP(FAULT_CUT, -1, int, ftruncate, (int fd, off_t length), (fd, length))
WRAP(FAULT_SEEK, -1, off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))

/* Declares mode, which is given with O_CREAT only. */
#define TAKE_MODE(flags)                                                                           \
  mode_t mode = 0;                                                                                 \
  if ((flags)&O_CREAT) {                                                                           \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    mode = va_arg(arguments, mode_t);                                                              \
    va_end(arguments);                                                                             \
  }

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
  TAKE_MODE(flags)
  return fails(FAULT_OPEN) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...) {
  TAKE_MODE(flags)
  return fails(FAULT_OPEN) ? -1 : __real_openat(folder, path, flags, mode);
}

/* Returns the outcome of a read: -1 it fails, 0 it is done, 1 it is short. */
static int judge_read(int fd) {
  bool struck = is_struck(FAULT_READ);
  if (is_gone(fd)) {
    errno = ESRCH;
    return -1;
  }
  if (!struck || fault.error == FAULT_VANISH)
    return 0;
  errno = fault.error;
  return fault.error == FAULT_SHORT ? 1 : -1;
}

ssize_t __real_read(int fd, void *out, size_t size);
ssize_t __wrap_read(int fd, void *out, size_t size);
ssize_t __wrap_read(int fd, void *out, size_t size) {
  int verdict = judge_read(fd);
  return verdict < 0 ? -1 : __real_read(fd, out, verdict && size ? 1 : size);
}

ssize_t __real_pread(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *out, size_t size, off_t offset) {
  int verdict = judge_read(fd);
  return verdict < 0 ? -1 : __real_pread(fd, out, verdict && size ? 1 : size, offset);
}

ssize_t __real_writev(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count) {
  if (!is_struck(FAULT_WRITE))
    return __real_writev(fd, pieces, count);
  if (fault.error == FAULT_SHORT)
    return write(fd, pieces[0].iov_base, (pieces[0].iov_len + 1) / 2);
  errno = fault.error;
  return -1;
}
