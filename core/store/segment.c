#include "core/store/segment.h"

#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define ENDING ".jsonl"
/* Read, too: the head. O_NONBLOCK: whoever puts a FIFO in the file's place must not stop the
 * writer. */
#define WRITE_FLAGS (O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* Others of this process may know no way to wait but select(2), which takes descriptors below
 * FD_SETSIZE only: those are left to them. Where the limit allows none above, it is a low one. */
static int open_high(int folder, const char *name, int flags) {
  DENET_CLOSE int fd = openat(folder, name, flags, 0640);
  if (fd < 0)
    return -errno;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);
  return high < 0 ? DENET_TAKE_FD(fd) : high;
}

void denet_segment_name_of(const struct denet_segment_id *id, denet_segment_name out_name) {
  int length =
      snprintf(out_name, sizeof(denet_segment_name), "%d-%" PRIu64, (int)id->pid, id->t0_ms);
  char *rest = out_name + length;
  size_t room = sizeof(denet_segment_name) - (size_t)length;
  if (id->number == 1)
    snprintf(rest, room, ENDING);
  else
    snprintf(rest, room, "_%04u" ENDING, id->number);
}

bool denet_segment_parse(const char *name, struct denet_segment_id *out_id) {
  int pid;
  struct denet_segment_id id = {.number = 1};
  /* Widths that no number overflows; what else could be read is not what the name would be. */
  /* NOLINTNEXTLINE(cert-err34-c): with those it is well defined. */
  if (sscanf(name, "%9d-%19" SCNu64 "_%9u", &pid, &id.t0_ms, &id.number) < 2)
    return false;
  id.pid = pid;
  denet_segment_name expected;
  denet_segment_name_of(&id, expected);
  if (pid <= 0 || !id.number || strcmp(name, expected) != 0)
    return false;
  *out_id = id;
  return true;
}

static int note_later(void *context, int folder, const char *name) {
  (void)folder;
  struct denet_segment_id *latest = context, found;
  if (denet_segment_parse(name, &found) && found.pid == latest->pid &&
      found.t0_ms == latest->t0_ms && found.number > latest->number)
    latest->number = found.number;
  return 0;
}

/* Makes the file of part id, or of the one behind the latest in folder when that name is taken. */
static int create_file(int folder, struct denet_segment_id *id) {
  for (;;) {
    denet_segment_name name;
    denet_segment_name_of(id, name);
    int fd = open_high(folder, name, WRITE_FLAGS | O_CREAT | O_EXCL);
    if (fd != -EEXIST)
      return fd;
    int error = denet_dir_each(folder, note_later, id);
    if (error)
      return error;
    id->number++;
  }
}

int denet_segment_start(struct denet_segment *part, int folder, struct denet_text head) {
  struct denet_segment next = *part;
  next.id.number++;
  DENET_CLOSE int fd = create_file(folder, &next.id);
  if (fd < 0)
    return fd;
  struct stat status = {0};
  int error = fstat(fd, &status) ? -errno : 0;
  next.bytes = 0;
  next.device = status.st_dev;
  next.inode = status.st_ino;
  next.fd = fd;
  if (!error)
    error = denet_segment_append(&next, head);
  next.head_bytes = next.bytes;
  if (error) {
    denet_segment_name name;
    denet_segment_name_of(&next.id, name);
    unlinkat(folder, name, 0);
    return error;
  }
  DENET_TAKE_FD(fd);
  *part = next;
  return 0;
}

static bool is_same_file(const struct denet_segment *part, const struct stat *status) {
  return S_ISREG(status->st_mode) && status->st_dev == part->device &&
         status->st_ino == part->inode;
}

int denet_segment_find(const struct denet_segment *part, int folder) {
  struct stat status;
  denet_segment_name name;
  denet_segment_name_of(&part->id, name);
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
    return errno == ENOENT ? DENET_GONE : -errno;
  return is_same_file(part, &status) ? 0 : DENET_GONE;
}

int denet_segment_reopen(struct denet_segment *part, int folder) {
  denet_segment_name name;
  denet_segment_name_of(&part->id, name);
  DENET_CLOSE int fd = open_high(folder, name, WRITE_FLAGS);
  /* ELOOP: a symbolic link; ENXIO: a FIFO; EISDIR: a folder. */
  if (fd == -ENOENT || fd == -ELOOP || fd == -ENXIO || fd == -EISDIR)
    return DENET_GONE;
  if (fd < 0)
    return fd;
  struct stat status;
  if (fstat(fd, &status))
    return -errno;
  if (!is_same_file(part, &status))
    return DENET_GONE;
  part->fd = DENET_TAKE_FD(fd);
  return 0;
}

/* No JSON text has a newline inside; a file that was cut and has grown again has zeros there. */
static bool is_one_line(const struct denet_buffer *line) {
  const char *newline = memchr(line->bytes, '\n', line->length);
  return line->bytes[0] == '{' && newline == line->bytes + line->length - 1;
}

int denet_segment_read_head(const struct denet_segment *part, struct denet_buffer *out_head) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer head = {0};
  /* Writes go to the end wherever this leaves the offset (O_APPEND). */
  int error = lseek(part->fd, 0, SEEK_SET) < 0 ? -errno : 0;
  if (!error)
    error = denet_buffer_reserve(&head, part->head_bytes);
  if (!error)
    error = denet_buffer_read(&head, part->fd, part->head_bytes);
  if (error)
    return error;
  if (head.length != part->head_bytes || !is_one_line(&head))
    return DENET_GONE;
  head.bytes[--head.length] = '\0';
  *out_head = head;
  head = (struct denet_buffer){0};
  return 0;
}

int denet_segment_check(const struct denet_segment *part) {
  struct stat status;
  if (fstat(part->fd, &status))
    return -errno;
  return status.st_nlink > 0 && (uint64_t)status.st_size == part->bytes ? 0 : DENET_GONE;
}

/* 0 or -errno. A short write has no errno; only a full disk or a limit makes one for a file. */
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

int denet_segment_append(struct denet_segment *part, struct denet_text line) {
  int error = write_once(part->fd, line);
  if (!error) {
    part->bytes += line.length + 1;
    return 0;
  }
  /* Should even this fail, then the length is wrong, which denet_segment_check() notices: the next
   * line goes to the next part. */
  (void)!ftruncate(part->fd, (off_t)part->bytes);
  return error;
}

void denet_segment_close(struct denet_segment *part) { denet_closep(&part->fd); }
