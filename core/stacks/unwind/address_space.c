#include "core/stacks/unwind/address_space.h"

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"
#include "core/util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MAPS_MOST (4u << 20) /* some 40,000 mappings */
#define DSOS_MOST 2048       /* a browser has 200 */
#define STAT_MOST 4096
#define AGAIN_NS UINT64_C(1000000000)

static void release_maps(struct denet_address_space *space) {
  for (size_t i = 0; i < space->maps.count; i++)
    if (space->maps.all[i].dso)
      denet_dsos_release(space->dsos, space->maps.all[i].dso);
  denet_maps_done(&space->maps);
}

void denet_address_space_done(struct denet_address_space *space) {
  release_maps(space);
  denet_perf_map_done(&space->perf_map);
  *space = (struct denet_address_space){
      .pid = space->pid, .dsos = space->dsos, .proc_path = space->proc_path};
}

/* Opens the directory of the process in /proc. Files in it can be opened only while that process is
 * there, even if its pid is used again. Returns a descriptor; -ESRCH if it has exited; another
 * -errno. */
static int open_process(struct denet_address_space *space) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_stat stat;
  char path[PATH_MAX];
  if (snprintf(path, sizeof(path), "%s/%d", space->proc_path, (int)space->pid) >= (int)sizeof(path))
    return -ENAMETOOLONG;
  DENET_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  int error = denet_buffer_read_path(&text, fd, "stat", STAT_MOST);
  if (!error)
    error = denet_parse_stat(denet_buffer_text(&text), &stat);
  if (error)
    return error;
  uint64_t ticks = stat.field[DENET_STAT_START_TICKS];
  if (space->start_ticks && space->start_ticks != ticks)
    return -ESRCH;
  space->start_ticks = ticks;
  return DENET_TAKE_FD(fd);
}

/* Opens a file to read if it is a regular one, since to open a device may have an effect, and the
 * mapped one (NULL: any). Returns a descriptor or -errno. */
static int open_regular(const char *proc_path, int dir_fd, const char *path,
                        const struct denet_mapping *mapping) {
  struct stat status;
  char again[PATH_MAX];
  DENET_CLOSE int fd = openat(dir_fd, path, O_PATH | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  uint64_t device = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev);
  if (!S_ISREG(status.st_mode) ||
      (mapping && (status.st_ino != mapping->inode || device != mapping->device)))
    return -EINVAL;
  if (snprintf(again, sizeof(again), "%s/self/fd/%d", proc_path, fd) >= (int)sizeof(again))
    return -ENAMETOOLONG;
  int readable = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return readable < 0 ? -errno : readable;
}

/* Finds or opens the file of a mapping, with one user more. map_files leads to the file itself,
 * even if it is deleted or in another mount namespace, but needs a capability (proc(5)). NULL:
 * there is none to read. */
static struct denet_dso *find_dso(const struct denet_address_space *space, int process_fd,
                                  const struct denet_maps *maps,
                                  const struct denet_mapping *mapping) {
  const char *file_path = denet_mapping_path(maps, mapping);
  char path[PATH_MAX];
  if (mapping->inode == 0)
    return NULL;
  struct denet_dso *dso = denet_dsos_find(space->dsos, mapping->device, mapping->inode);
  if (dso)
    return dso;
  snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
  int fd = open_regular(space->proc_path, process_fd, path, NULL);
  if (fd < 0)
    fd = open_regular(space->proc_path, process_fd, "exe", mapping);
  if (fd < 0 && file_path[0] == '/' &&
      snprintf(path, sizeof(path), "root%s", file_path) < (int)sizeof(path))
    fd = open_regular(space->proc_path, process_fd, path, mapping);
  return fd < 0 || denet_dsos_open(space->dsos, fd, mapping->device, &dso) ? NULL : dso;
}

int denet_address_space_read(struct denet_address_space *space) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  DENET_CLOSE int process_fd = open_process(space);
  int error =
      process_fd < 0 ? process_fd : denet_buffer_read_path(&text, process_fd, "maps", MAPS_MOST);
  if (!error)
    error = denet_maps_parse(denet_buffer_text(&text), &maps);
  /* A zombie has none left. */
  if (error || maps.count == 0)
    return error == -ENOENT || !error ? -ESRCH : error;
  for (size_t i = 0; i < maps.count && i < DSOS_MOST; i++)
    maps.all[i].dso = find_dso(space, process_fd, &maps, &maps.all[i]);
  release_maps(space);
  space->maps = DENET_EXCHANGE(maps, (struct denet_maps){0});
  space->read_ns = denet_clock_monotonic_ns();
  return 0;
}

int denet_address_space_copy(const struct denet_address_space *from,
                             struct denet_address_space *space) {
  int error = denet_maps_copy(&from->maps, &space->maps);
  for (size_t i = 0; i < space->maps.count; i++)
    if (space->maps.all[i].dso)
      space->maps.all[i].dso->users++;
  return error;
}

uint64_t denet_address_space_bytes(const struct denet_address_space *space) {
  const struct denet_perf_map *map = &space->perf_map;
  return space->maps.capacity * sizeof(*space->maps.all) + space->maps.texts.capacity +
         map->capacity * sizeof(*map->entries) + map->names.capacity;
}

bool denet_address_space_find(struct denet_address_space *space, uint64_t address,
                              struct denet_dso **out_dso, uint64_t *out_address) {
  const struct denet_mapping *mapping = denet_maps_find(&space->maps, address);
  if (!mapping)
    return false;
  struct denet_dso *dso = mapping->dso, *reopened = NULL;
  /* More of a file can be read only while it is open. It is opened again if it is the same. */
  if (dso && dso->fd < 0 && dso->is_elf && !(dso->table_tried && dso->symbols_tried)) {
    DENET_CLOSE int process_fd = open_process(space);
    if (process_fd >= 0)
      reopened = find_dso(space, process_fd, &space->maps, mapping);
  }
  if (reopened)
    denet_dsos_release(space->dsos, reopened);
  uint64_t offset = address - mapping->start + mapping->offset;
  *out_dso = dso;
  if (!dso || !denet_dso_address(dso, offset, out_address))
    *out_address = offset;
  return true;
}

/* Finds the name that the just-in-time compiler gives to an address. Its file is read again at most
 * once a second. */
static const char *find_in_perf_map(struct denet_address_space *space, uint64_t address) {
  const char *name = denet_perf_map_find(&space->perf_map, address);
  uint64_t now_ns = denet_clock_monotonic_ns();
  if (name || (space->perf_map_read_ns && now_ns - space->perf_map_read_ns < AGAIN_NS))
    return name;
  space->perf_map_read_ns = now_ns;
  DENET_CLOSE int process_fd = open_process(space);
  if (process_fd < 0 || denet_perf_map_read(&space->perf_map, process_fd))
    return NULL;
  return denet_perf_map_find(&space->perf_map, address);
}

int denet_address_space_append_name(struct denet_address_space *space, uint64_t address,
                                    struct denet_buffer *out, bool *out_certain) {
  const struct denet_mapping *mapping = denet_maps_find(&space->maps, address);
  char text[DENET_MAPPING_NAME_MOST + 32], file[DENET_MAPPING_NAME_MOST + 1];
  struct denet_dso *dso = NULL;
  uint64_t file_address = 0;
  *out_certain = true;
  if (mapping && strcmp(denet_mapping_path(&space->maps, mapping), "[vdso]") == 0)
    return denet_buffer_append_string(out, "[vdso]");
  denet_address_space_find(space, address, &dso, &file_address);
  if (dso && dso->is_elf) {
    int error = denet_dsos_append_name(space->dsos, dso, file_address, out);
    if (error != -ENOENT)
      return error;
  } else {
    const char *name = find_in_perf_map(space, address);
    *out_certain = name != NULL;
    if (name)
      return denet_buffer_append_string(out, name);
  }
  snprintf(text, sizeof(text), "0x%" PRIx64, address);
  if (mapping && mapping->inode) {
    denet_mapping_name(&space->maps, mapping, file);
    snprintf(text, sizeof(text), "%s+0x%" PRIx64, file, file_address);
  }
  return denet_buffer_append_string(out, text);
}
