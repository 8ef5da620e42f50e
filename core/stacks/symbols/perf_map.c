#include "core/stacks/symbols/perf_map.h"

#include "core/stacks/symbols/maps.h"
#include "core/util/array.h"
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

/* Takes a number, maybe behind "0x", and the spaces that follow it. */
static bool take_number(struct denet_text *text, uint64_t *out_number) {
  if (text->length > 2 && !memcmp(text->bytes, "0x", 2))
    *text = (struct denet_text){text->bytes + 2, text->length - 2};
  return denet_maps_take_number(text, 16, ' ', out_number);
}

static int append_name(struct denet_perf_map *map, struct denet_text name) {
  size_t start = map->names.length;
  size_t length = name.length < DENET_PERF_NAME_MOST ? name.length : DENET_PERF_NAME_MOST;
  int error = denet_buffer_append(&map->names, name.bytes, length);
  if (error)
    return error;
  denet_maps_make_safe(map->names.bytes + start, length);
  return denet_buffer_append(&map->names, "", 1);
}

static int compare_entries(const void *left, const void *right) {
  const struct denet_perf_entry *a = left, *b = right;
  return a->start < b->start ? -1 : a->start > b->start;
}

int denet_perf_map_parse(struct denet_text text, struct denet_perf_map *map) {
  struct denet_text line;
  uint64_t reach = 0;
  map->count = 0;
  denet_buffer_clear(&map->names);
  while (map->count < ENTRIES_MOST && denet_maps_take_line(&text, &line)) {
    uint64_t start, bytes;
    if (!take_number(&line, &start) || !take_number(&line, &bytes) || bytes == 0 ||
        start + bytes < start || line.length == 0)
      continue;
    if (denet_array_reserve(&map->entries, &map->capacity, map->count + 1, sizeof(*map->entries)))
      return -ENOMEM;
    map->entries[map->count++] =
        (struct denet_perf_entry){start, start + bytes, 0, (uint32_t)map->names.length};
    if (append_name(map, line))
      return -ENOMEM;
  }
  if (map->count)
    qsort(map->entries, map->count, sizeof(*map->entries), compare_entries);
  for (size_t i = 0; i < map->count; i++) {
    reach = map->entries[i].end > reach ? map->entries[i].end : reach;
    map->entries[i].reach = reach;
  }
  return 0;
}

const char *denet_perf_map_find(const struct denet_perf_map *map, uint64_t address) {
  size_t behind = denet_array_upper_bound(map->entries, map->count, sizeof(*map->entries), address);
  size_t first = behind > DENET_PERF_BEFORE_MOST ? behind - DENET_PERF_BEFORE_MOST : 0;
  const struct denet_perf_entry *found = NULL;
  for (; behind > first && map->entries[behind - 1].reach > address; behind--) {
    const struct denet_perf_entry *entry = &map->entries[behind - 1];
    /* Names are in the order of their lines. */
    if (entry->end > address && (!found || entry->name > found->name))
      found = entry;
  }
  return found ? map->names.bytes + found->name : NULL;
}

/* Reads the process's user, and its pid in its own namespace, which is in the name of its file:
 * the last of those in the line. */
static int read_status(int process_fd, uint64_t *out_pid, uint64_t *out_uid) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer status = {0};
  int error = denet_buffer_read_path(&status, process_fd, "status", STATUS_MOST);
  if (error)
    return error;
  const char *text = denet_buffer_text(&status).bytes;
  const char *uid = strstr(text, "\nUid:\t"), *pids = strstr(text, "\nNSpid:\t");
  if (!uid || !pids)
    return -ENOENT;
  const char *end = strchrnul(pids + 1, '\n');
  *out_uid = strtoull(uid + strlen("\nUid:\t"), NULL, 10);
  *out_pid = strtoull((const char *)memrchr(pids, '\t', (size_t)(end - pids)) + 1, NULL, 10);
  return 0;
}

int denet_perf_map_read(struct denet_perf_map *map, int process_fd) {
  uint64_t pid = 0, uid = 0;
  char path[64];
  int error = read_status(process_fd, &pid, &uid);
  if (error)
    return error;
  snprintf(path, sizeof(path), "root/tmp/perf-%lu.map", pid);
  DENET_CLOSE int fd =
      openat(process_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  /* A user in a mount namespace of its own can put any file in its place, also one that only other
   * users may read. */
  if (!S_ISREG(status.st_mode) || status.st_uid != uid || status.st_size > FILE_MOST)
    return -EACCES;
  uint64_t modified_ns =
      (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec;
  if (map->bytes == (uint64_t)status.st_size && map->modified_ns == modified_ns &&
      map->inode == status.st_ino)
    return 0;
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  error = denet_buffer_read(&text, fd, FILE_MOST);
  if (!error)
    error = denet_perf_map_parse(denet_buffer_text(&text), map);
  if (error)
    return error;
  map->bytes = (uint64_t)status.st_size;
  map->modified_ns = modified_ns;
  map->inode = status.st_ino;
  return 0;
}
