#include "core/stacks/symbols/perf_map.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MOST (16u << 20)
#define ENTRIES_MOST 500000
#define STATUS_MOST 16384

void denet_perf_map_done(struct denet_perf_map *map) {
  free(map->entries);
  denet_buffer_done(&map->names);
  *map = (struct denet_perf_map){0};
}

static int digit_of(char byte) {
  if (byte >= '0' && byte <= '9')
    return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* A number, maybe behind "0x", and the spaces that follow it. */
static bool take_number(struct denet_text *text, uint64_t *out_number) {
  size_t at = text->length > 2 && !memcmp(text->bytes, "0x", 2) ? 2 : 0, first = at;
  uint64_t number = 0;
  for (; at < text->length && digit_of(text->bytes[at]) >= 0; at++) {
    if (number >> 60)
      return false;
    number = number << 4 | (uint64_t)digit_of(text->bytes[at]);
  }
  if (at == first || at == text->length || text->bytes[at] != ' ')
    return false;
  while (at < text->length && text->bytes[at] == ' ')
    at++;
  *text = (struct denet_text){text->bytes + at, text->length - at};
  *out_number = number;
  return true;
}

static int add_name(struct denet_perf_map *map, struct denet_text name) {
  size_t start = map->names.length;
  if (name.length > DENET_PERF_NAME_MOST)
    name.length = DENET_PERF_NAME_MOST;
  int error = denet_buffer_append(&map->names, name.bytes, name.length);
  if (!error)
    error = denet_buffer_append(&map->names, "", 1);
  for (size_t i = start; i + 1 < map->names.length && !error; i++)
    if ((unsigned char)map->names.bytes[i] < ' ' || map->names.bytes[i] == 0x7f)
      map->names.bytes[i] = '?';
  return error;
}

static int add(struct denet_perf_map *map, uint64_t start, uint64_t bytes, struct denet_text name) {
  if (map->count == map->capacity) {
    size_t capacity = map->capacity ? 2 * map->capacity : 256;
    struct denet_perf_entry *entries = reallocarray(map->entries, capacity, sizeof(*entries));
    if (!entries)
      return -ENOMEM;
    map->entries = entries;
    map->capacity = capacity;
  }
  map->entries[map->count++] =
      (struct denet_perf_entry){start, start + bytes, 0, (uint32_t)map->names.length};
  return add_name(map, name);
}

static int compare_entries(const void *left, const void *right) {
  const struct denet_perf_entry *a = left, *b = right;
  return a->start < b->start ? -1 : a->start > b->start;
}

static void sort(struct denet_perf_map *map) {
  uint64_t reach = 0;
  if (map->count)
    qsort(map->entries, map->count, sizeof(*map->entries), compare_entries);
  for (size_t i = 0; i < map->count; i++) {
    reach = map->entries[i].end > reach ? map->entries[i].end : reach;
    map->entries[i].reach = reach;
  }
}

int denet_perf_map_parse(struct denet_text text, struct denet_perf_map *map) {
  map->count = 0;
  denet_buffer_clear(&map->names);
  while (text.length) {
    const char *newline = memchr(text.bytes, '\n', text.length);
    struct denet_text line = {text.bytes, newline ? (size_t)(newline - text.bytes) : text.length};
    size_t taken = line.length + (newline ? 1 : 0);
    uint64_t start, bytes;
    text = (struct denet_text){text.bytes + taken, text.length - taken};
    if (!take_number(&line, &start) || !take_number(&line, &bytes) || bytes == 0 ||
        start + bytes < start || line.length == 0 || map->count == ENTRIES_MOST)
      continue;
    int error = add(map, start, bytes, line);
    if (error)
      return error;
  }
  sort(map);
  return 0;
}

const char *denet_perf_map_find(const struct denet_perf_map *map, uint64_t address) {
  size_t low = 0, high = map->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (map->entries[middle].start <= address)
      low = middle + 1;
    else
      high = middle;
  }
  /* Of those that begin before it. Names lie in the order of their lines. */
  const struct denet_perf_entry *found = NULL;
  size_t last = low > DENET_PERF_BEFORE_MOST ? low - DENET_PERF_BEFORE_MOST : 0;
  for (; low > last && map->entries[low - 1].reach > address; low--) {
    const struct denet_perf_entry *entry = &map->entries[low - 1];
    if (entry->end > address && (!found || entry->name > found->name))
      found = entry;
  }
  return found ? map->names.bytes + found->name : NULL;
}

/* Of the line of the status that begins so: the first number behind it, or the last. */
static bool find_number(const char *status, const char *key, bool is_last, uint64_t *out_number) {
  const char *line = strstr(status, key);
  if (!line)
    return false;
  char *at = (char *)line + strlen(key), *end;
  for (;;) {
    while (*at == ' ' || *at == '\t')
      at++;
    uint64_t number = strtoull(at, &end, 10);
    if (*at < '0' || *at > '9')
      return is_last && end == at && at > line + strlen(key) + 1;
    *out_number = number;
    at = end;
    if (!is_last)
      return true;
  }
}

/* The process's pid in its own namespace, which its file is named by, and its user. */
static int read_status(int process_fd, uint64_t *out_pid, uint64_t *out_uid) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer status = {0};
  DENET_CLOSE int fd = openat(process_fd, "status", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  int error = denet_buffer_read(&status, fd, STATUS_MOST);
  if (error)
    return error;
  bool is_whole = status.length && find_number(status.bytes, "\nUid:", false, out_uid) &&
                  find_number(status.bytes, "\nNSpid:", true, out_pid);
  return is_whole ? 0 : -ENOENT;
}

/* Whose mount namespace it is may have put any file in the place: one that its user could not read
 * would be told in our lines. */
static bool may_count(const struct stat *status, uint64_t uid) {
  return S_ISREG(status->st_mode) && status->st_uid == uid && status->st_size <= FILE_MOST;
}

int denet_perf_map_read(struct denet_perf_map *map, int process_fd, bool *out_new) {
  uint64_t pid = 0, uid = 0;
  char path[64];
  int error = read_status(process_fd, &pid, &uid);
  if (error)
    return error;
  snprintf(path, sizeof(path), "root/tmp/perf-%lu.map", pid);
  DENET_CLOSE int fd =
      openat(process_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  struct stat status;
  if (fstat(fd, &status))
    return -errno;
  if (!may_count(&status, uid))
    return -EACCES;
  uint64_t modified_ns =
      (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec;
  bool is_new = map->bytes != (uint64_t)status.st_size || map->modified_ns != modified_ns ||
                map->inode != status.st_ino;
  if (is_new) {
    DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
    error = denet_buffer_read(&text, fd, FILE_MOST);
    if (!error)
      error = denet_perf_map_parse(denet_buffer_text(&text), map);
    if (error)
      return error;
    map->bytes = (uint64_t)status.st_size;
    map->modified_ns = modified_ns;
    map->inode = status.st_ino;
  }
  *out_new = is_new;
  return 0;
}
