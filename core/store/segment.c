#include "core/store/segment.h"

#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

/* O_NONBLOCK: a FIFO in the file's place must not stop the writer. */
#define WRITE_FLAGS (O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* Opens a file with a descriptor of at least FD_SETSIZE: lower ones are left to code in this
 * process that waits with select(2), which takes no others. If the limit allows none, it is a lower
 * one. */
static int open_high(int dir, const char *name, int flags) {
  DENET_CLOSE int fd = openat(dir, name, flags, 0640);
  if (fd < 0)
    return -errno;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);
  return high < 0 ? DENET_TAKE_FD(fd) : high;
}

void denet_segment_name_of(const struct denet_segment_id *id, denet_segment_name out_name) {
  char number[16] = "";
  if (id->number != 1)
    snprintf(number, sizeof(number), "_%04u", id->number);
  snprintf(out_name, sizeof(denet_segment_name), "%d-%" PRIu64 "%s.jsonl", (int)id->pid, id->t0_ms,
           number);
}

int denet_segment_compare(const struct denet_segment_id *left,
                          const struct denet_segment_id *right) {
  if (left->t0_ms != right->t0_ms)
    return left->t0_ms < right->t0_ms ? -1 : 1;
  return left->pid < right->pid ? -1 : left->pid > right->pid;
}

bool denet_segment_parse(const char *name, struct denet_segment_id *out_id) {
  struct denet_segment_id id = {.number = 1};
  /* No number of these widths overflows; the comparison below refuses all other forms. */
  /* NOLINTNEXTLINE(cert-err34-c): well defined with these widths. */
  if (sscanf(name, "%9d-%19" SCNu64 "_%9u", &id.pid, &id.t0_ms, &id.number) < 2)
    return false;
  denet_segment_name expected;
  denet_segment_name_of(&id, expected);
  if (id.pid <= 0 || !id.number || strcmp(name, expected) != 0)
    return false;
  *out_id = id;
  return true;
}

void denet_segment_dir_of(uint64_t unix_ms, denet_segment_dir out_dir) {
  time_t seconds = (time_t)(unix_ms / 1000);
  struct tm day;
  if (!gmtime_r(&seconds, &day) || !strftime(out_dir, sizeof(denet_segment_dir), "%Y-%m-%d", &day))
    snprintf(out_dir, sizeof(denet_segment_dir), "0000-00-00"); /* after the year 9999 */
}

bool denet_segment_is_dir(const char *name) {
  size_t length = strlen(name);
  if (strspn(name, "0123456789") == length)
    return length >= 6 && length < sizeof(denet_segment_dir);
  return !fnmatch("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", name, 0);
}

static int note_greater(void *context, int dir, const char *name) {
  (void)dir;
  struct denet_segment_id *latest = context, found;
  if (denet_segment_parse(name, &found) && !denet_segment_compare(&found, latest) &&
      found.number > latest->number)
    latest->number = found.number;
  return 0;
}

/* Makes the file of the segment id; if its name is taken, of the next number after all in dir. */
static int create_file(int dir, struct denet_segment_id *id) {
  for (;;) {
    denet_segment_name name;
    denet_segment_name_of(id, name);
    int fd = open_high(dir, name, WRITE_FLAGS | O_CREAT | O_EXCL);
    if (fd != -EEXIST)
      return fd;
    int error = denet_dir_each(dir, note_greater, id);
    if (error)
      return error;
    id->number++;
  }
}

int denet_segment_start(struct denet_segment *segment, int dir, struct denet_text header) {
  struct denet_segment next = *segment;
  next.id.number++;
  DENET_CLOSE int fd = create_file(dir, &next.id);
  if (fd < 0)
    return fd;
  struct stat status = {0};
  int error = fstat(fd, &status) ? -errno : 0;
  next.bytes = 0;
  next.device = status.st_dev;
  next.inode = status.st_ino;
  next.fd = fd;
  if (!error)
    error = denet_segment_append(&next, header);
  next.header_bytes = next.bytes;
  if (error) {
    denet_segment_name name;
    denet_segment_name_of(&next.id, name);
    unlinkat(dir, name, 0);
    return error;
  }
  DENET_TAKE_FD(fd);
  *segment = next;
  return 0;
}

int denet_segment_find(struct denet_segment *segment, int dir) {
  bool is_open = segment->fd >= 0;
  struct stat status;
  denet_segment_name name;
  denet_segment_name_of(&segment->id, name);
  DENET_CLOSE int fd = is_open ? -1 : open_high(dir, name, WRITE_FLAGS);
  int error = 0;
  if (!is_open && fd < 0)
    error = fd;
  else if (is_open ? fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) : fstat(fd, &status))
    error = -errno;
  /* ELOOP: a symbolic link; ENXIO: a FIFO; EISDIR: a folder. */
  if (error == -ENOENT || error == -ELOOP || error == -ENXIO || error == -EISDIR)
    return DENET_GONE;
  if (error)
    return error;
  if (!S_ISREG(status.st_mode) || status.st_dev != segment->device ||
      status.st_ino != segment->inode)
    return DENET_GONE;
  if (!is_open)
    segment->fd = DENET_TAKE_FD(fd);
  return 0;
}

int denet_segment_check(const struct denet_segment *segment, bool *out_may_be_renamed) {
  struct stat status;
  if (fstat(segment->fd, &status))
    return -errno;
  if (!status.st_nlink || (uint64_t)status.st_size != segment->bytes)
    return DENET_GONE;
  /* A write sets both times to one moment, a rename only the second. */
  *out_may_be_renamed = status.st_mtim.tv_sec != status.st_ctim.tv_sec ||
                        status.st_mtim.tv_nsec != status.st_ctim.tv_nsec;
  return 0;
}

/* 0 or -errno. A short write has no errno; of a file only a full disk or a limit causes one. */
static int write_once(int fd, struct denet_text line) {
  struct iovec pieces[] = {{.iov_base = (char *)line.bytes, .iov_len = line.length},
                           {.iov_base = (char *)"\n", .iov_len = 1}};
  ssize_t written;
  do
    written = writev(fd, pieces, DENET_COUNT_OF(pieces));
  while (written < 0 && errno == EINTR);
  if (written < 0)
    return -errno;
  return (size_t)written == line.length + 1 ? 0 : -ENOSPC;
}

int denet_segment_append(struct denet_segment *segment, struct denet_text line) {
  int error = write_once(segment->fd, line);
  if (!error) {
    segment->bytes += line.length + 1;
    return 0;
  }
  /* If this fails too, the length is wrong; denet_segment_check() finds that, and the next line
   * goes to the next segment. */
  (void)!ftruncate(segment->fd, (off_t)segment->bytes);
  return error;
}
