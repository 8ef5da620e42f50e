#include "part.h"

#include "cleanup.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define ENDING ".jsonl"
#define NUMBER_MAX 1000000000 /* a name with a greater number is not ours */
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

static void write_stem(const struct denet_part *part, denet_part_name out_name) {
  snprintf(out_name, sizeof(denet_part_name), "%d-%" PRIu64, (int)part->pid, part->t0_ms);
}

static void write_name(const struct denet_part *part, unsigned number, denet_part_name out_name) {
  denet_part_name stem;
  write_stem(part, stem);
  if (number == 1)
    snprintf(out_name, sizeof(denet_part_name), "%.40s" ENDING, stem);
  else
    snprintf(out_name, sizeof(denet_part_name), "%.40s_%04u" ENDING, stem, number);
}

void denet_part_name_of(const struct denet_part *part, denet_part_name out_name) {
  write_name(part, part->number, out_name);
}

/* The number in the name of a part with this stem, 0 when it is no such name. */
static unsigned parse_number(const char *name, const char *stem) {
  if (strncmp(name, stem, strlen(stem)))
    return 0;
  const char *rest = name + strlen(stem);
  if (!strcmp(rest, ENDING))
    return 1;
  if (rest[0] != '_' || rest[1] < '0' || rest[1] > '9')
    return 0;
  char *end;
  unsigned long number = strtoul(rest + 1, &end, 10);
  return number < NUMBER_MAX && !strcmp(end, ENDING) ? (unsigned)number : 0;
}

static void close_entries(DIR **entries) {
  if (*entries)
    closedir(*entries);
}

/* The greatest number in folder, 0 when there is none. */
static int find_latest(const struct denet_part *part, int folder, unsigned *out_number) {
  denet_part_name stem;
  write_stem(part, stem);
  DENET_CLOSE int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DENET_CLEANUP(close_entries) DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (!entries)
    return -errno;
  DENET_TAKE_FD(fd); /* the stream's now */
  unsigned latest = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    unsigned number = parse_number(entry->d_name, stem);
    latest = number > latest ? number : latest;
  }
  *out_number = latest;
  return 0;
}

/* Makes the file of part number, or of the first one after it whose name is free. */
static int create_file(const struct denet_part *part, int folder, unsigned *number) {
  for (;;) {
    denet_part_name name;
    write_name(part, *number, name);
    int fd = open_high(folder, name, WRITE_FLAGS | O_CREAT | O_EXCL);
    if (fd != -EEXIST)
      return fd;
    unsigned latest = 0;
    int error = find_latest(part, folder, &latest);
    if (error)
      return error;
    *number = (latest > *number ? latest : *number) + 1;
  }
}

int denet_part_start(struct denet_part *part, int folder, bool is_continued,
                     struct denet_text head) {
  struct denet_part next = *part;
  if (is_continued) {
    int error = find_latest(part, folder, &next.number);
    if (error)
      return error;
  }
  next.number++;
  DENET_CLOSE int fd = create_file(part, folder, &next.number);
  if (fd < 0)
    return fd;
  struct stat status = {0};
  int error = fstat(fd, &status) ? -errno : 0;
  next.bytes = 0;
  next.device = status.st_dev;
  next.inode = status.st_ino;
  next.fd = fd;
  if (!error)
    error = denet_part_append(&next, head);
  next.head_bytes = next.bytes;
  if (error) {
    denet_part_name name;
    denet_part_name_of(&next, name);
    unlinkat(folder, name, 0);
    return error;
  }
  DENET_TAKE_FD(fd);
  *part = next;
  return 0;
}

static bool is_same_file(const struct denet_part *part, const struct stat *status) {
  return S_ISREG(status->st_mode) && status->st_dev == part->device &&
         status->st_ino == part->inode;
}

int denet_part_reopen(struct denet_part *part, int folder) {
  denet_part_name name;
  denet_part_name_of(part, name);
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

int denet_part_read_head(const struct denet_part *part, struct denet_buffer *out_head) {
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

bool denet_part_is_intact(const struct denet_part *part) {
  struct stat status;
  return !fstat(part->fd, &status) && status.st_nlink > 0 &&
         (uint64_t)status.st_size == part->bytes;
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

int denet_part_append(struct denet_part *part, struct denet_text line) {
  int error = write_once(part->fd, line);
  if (!error) {
    part->bytes += line.length + 1;
    return 0;
  }
  /* Should even this fail, then the length is wrong, which denet_part_is_intact() notices: the next
   * line goes to the next part. */
  (void)!ftruncate(part->fd, (off_t)part->bytes);
  return error;
}

void denet_part_close(struct denet_part *part) { denet_closep(&part->fd); }
