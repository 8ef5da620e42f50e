#include "core/stacks/unwind/address_space.h"

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define MAPS_MOST (4u << 20) /* some 40,000 mappings */
#define IMAGES_MOST 2048     /* a browser has 200 */
#define STAT_MOST 4096
#define AGAIN_NS UINT64_C(1000000000)

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void release_images(struct denet_address_space *space) {
  for (size_t i = 0; i < space->mapped_count; i++)
    if (space->mapped[i])
      denet_dsos_release(space->images, space->mapped[i]);
  free(space->mapped);
}

void denet_address_space_done(struct denet_address_space *space) {
  release_images(space);
  denet_maps_done(&space->mappings);
  denet_perf_map_done(&space->perf_map);
  *space = (struct denet_address_space){
      .pid = space->pid, .images = space->images, .proc_path = space->proc_path};
}

static int read_start_ticks(int process_fd, uint64_t *out_ticks) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_stat stat;
  DENET_CLOSE int fd = openat(process_fd, "stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  int error = denet_buffer_read(&text, fd, STAT_MOST);
  if (!error)
    error = denet_parse_stat(denet_buffer_text(&text), &stat);
  if (!error)
    *out_ticks = stat.field[DENET_STAT_START_TICKS];
  return error;
}

/* The folder of the process in /proc, and of that one alone: what is opened in it later fails when
 * the process has exited, even if its pid is used again. A descriptor or -errno. */
static int open_process(const struct denet_address_space *space, uint64_t *out_ticks) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof(path), "%s/%d", space->proc_path, (int)space->pid) >= (int)sizeof(path))
    return -ENAMETOOLONG;
  DENET_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  int error = read_start_ticks(fd, out_ticks);
  if (error)
    return error;
  if (space->start_ticks && space->start_ticks != *out_ticks)
    return -ESRCH;
  return DENET_TAKE_FD(fd);
}

/* Opens a regular file to read, and nothing else: to open a device may be to do something. */
static int open_regular(const char *proc_path, int folder_fd, const char *path) {
  struct stat status;
  char again[PATH_MAX];
  DENET_CLOSE int fd = openat(folder_fd, path, O_PATH | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  if (snprintf(again, sizeof(again), "%s/self/fd/%d", proc_path, fd) >= (int)sizeof(again))
    return -ENAMETOOLONG;
  int readable = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return readable < 0 ? -errno : readable;
}

static bool is_mapped_file(int fd, const struct denet_mapping *mapping) {
  struct stat status;
  return fstat(fd, &status) == 0 && status.st_ino == mapping->inode &&
         ((uint64_t)major(status.st_dev) << 32 | minor(status.st_dev)) == mapping->device;
}

/* A path that may lead to the mapped file, or to another one. */
static int open_if_same(const char *proc_path, int process_fd, const char *path,
                        const struct denet_mapping *mapping) {
  DENET_CLOSE int fd = open_regular(proc_path, process_fd, path);
  return fd >= 0 && is_mapped_file(fd, mapping) ? DENET_TAKE_FD(fd) : -ESTALE;
}

/* The first of these leads to the file itself, even if it is deleted or in another mount namespace,
 * but may need a capability that we lack. */
static int open_mapped(const char *proc_path, int process_fd, const struct denet_mapping *mapping,
                       const char *file_path) {
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
  int fd = open_regular(proc_path, process_fd, path);
  if (fd < 0)
    fd = open_if_same(proc_path, process_fd, "exe", mapping);
  if (fd < 0 && file_path[0] == '/' &&
      snprintf(path, sizeof(path), "root%s", file_path) < (int)sizeof(path))
    fd = open_if_same(proc_path, process_fd, path, mapping);
  return fd;
}

static struct denet_dso *find_image(const struct denet_address_space *space, int process_fd,
                                    const struct denet_maps *mappings,
                                    const struct denet_mapping *mapping) {
  if (mapping->inode == 0)
    return NULL;
  struct denet_dso *image = denet_dsos_find(space->images, mapping->device, mapping->inode);
  if (image)
    return image;
  char name[DENET_MAPPING_NAME_MOST + 1];
  denet_mapping_name(mappings, mapping, name);
  int fd =
      open_mapped(space->proc_path, process_fd, mapping, denet_mapping_path(mappings, mapping));
  if (fd < 0 || denet_dsos_take(space->images, fd, mapping->device, name, &image))
    return NULL;
  return image;
}

static int read_mappings(int process_fd, struct denet_maps *mappings) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  DENET_CLOSE int fd = openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  int error = denet_buffer_read(&text, fd, MAPS_MOST);
  if (!error)
    error = denet_maps_parse(denet_buffer_text(&text), mappings);
  /* A zombie has none left. */
  return !error && mappings->count == 0 ? -ESRCH : error;
}

int denet_address_space_read(struct denet_address_space *space) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps mappings = {0};
  uint64_t ticks = 0;
  DENET_CLOSE int process_fd = open_process(space, &ticks);
  if (process_fd < 0)
    return process_fd;
  int error = read_mappings(process_fd, &mappings);
  if (error)
    return error;
  struct denet_dso **mapped = calloc(mappings.count + 1, sizeof(struct denet_dso *));
  if (!mapped)
    return -ENOMEM;
  for (size_t i = 0; i < mappings.count && i < IMAGES_MOST; i++)
    mapped[i] = find_image(space, process_fd, &mappings, &mappings.all[i]);
  release_images(space);
  denet_maps_done(&space->mappings);
  space->mapped = mapped;
  space->mapped_count = mappings.count;
  space->mappings = mappings;
  mappings = (struct denet_maps){0};
  space->start_ticks = ticks;
  space->read_ns = now_ns();
  return 0;
}

int denet_address_space_copy(const struct denet_address_space *from,
                             struct denet_address_space *space) {
  struct denet_dso **mapped = calloc(from->mapped_count + 1, sizeof(struct denet_dso *));
  if (!mapped || denet_maps_copy(&from->mappings, &space->mappings)) {
    free(mapped);
    return -ENOMEM;
  }
  for (size_t i = 0; i < from->mapped_count; i++) {
    mapped[i] = from->mapped[i];
    if (mapped[i])
      denet_dso_hold(mapped[i]);
  }
  space->mapped = mapped;
  space->mapped_count = from->mapped_count;
  return 0;
}

uint64_t denet_address_space_bytes(const struct denet_address_space *space) {
  const struct denet_perf_map *map = &space->perf_map;
  return space->mappings.capacity * sizeof(*space->mappings.all) + space->mappings.texts.capacity +
         space->mapped_count * sizeof(struct denet_dso *) + map->capacity * sizeof(*map->entries) +
         map->names.capacity;
}

static void reopen(const struct denet_address_space *space, const struct denet_mapping *mapping,
                   struct denet_dso *image) {
  uint64_t ticks = 0;
  DENET_CLOSE int process_fd = open_process(space, &ticks);
  if (process_fd < 0)
    return;
  int fd = open_mapped(space->proc_path, process_fd, mapping,
                       denet_mapping_path(&space->mappings, mapping));
  if (fd >= 0)
    denet_dsos_reopen(space->images, image, fd);
}

bool denet_address_space_find(struct denet_address_space *space, uint64_t address,
                              struct denet_dso **out_image, uint64_t *out_address) {
  const struct denet_mapping *mapping = denet_maps_find(&space->mappings, address);
  if (!mapping)
    return false;
  struct denet_dso *image = space->mapped[mapping - space->mappings.all];
  if (image && denet_dso_wants_file(image))
    reopen(space, mapping, image);
  uint64_t offset = address - mapping->start + mapping->offset;
  *out_image = image;
  if (!image || !denet_dso_address(image, offset, out_address))
    *out_address = offset;
  return true;
}

/* What the just-in-time compiler calls it. The file is read again at most once a second. */
static const char *find_in_perf_map(struct denet_address_space *space, uint64_t address) {
  const char *name = denet_perf_map_find(&space->perf_map, address);
  uint64_t now = now_ns(), ticks = 0;
  bool is_new = false;
  if (name || (space->perf_map_read_ns && now - space->perf_map_read_ns < AGAIN_NS))
    return name;
  space->perf_map_read_ns = now;
  DENET_CLOSE int process_fd = open_process(space, &ticks);
  if (process_fd < 0 || denet_perf_map_read(&space->perf_map, process_fd, &is_new) || !is_new)
    return NULL;
  return denet_perf_map_find(&space->perf_map, address);
}

/* "module+0x1f", or the bare address where it is of no file. */
static int tell_place(const struct denet_address_space *space, uint64_t address,
                      struct denet_buffer *out) {
  const struct denet_mapping *mapping = denet_maps_find(&space->mappings, address);
  char text[DENET_MAPPING_NAME_MOST + 32], file[DENET_MAPPING_NAME_MOST + 1];
  snprintf(text, sizeof(text), "0x%" PRIx64, address);
  if (mapping && mapping->inode) {
    denet_mapping_name(&space->mappings, mapping, file);
    snprintf(text, sizeof(text), "%s+0x%" PRIx64, file, address - mapping->start + mapping->offset);
  }
  return denet_buffer_append_string(out, text);
}

static bool is_vdso(const struct denet_address_space *space, uint64_t address) {
  const struct denet_mapping *mapping = denet_maps_find(&space->mappings, address);
  return mapping && strcmp(denet_mapping_path(&space->mappings, mapping), "[vdso]") == 0;
}

int denet_address_space_tell(struct denet_address_space *space, uint64_t address,
                             struct denet_buffer *out, bool *out_certain) {
  struct denet_dso *image = NULL;
  uint64_t file_address;
  *out_certain = true;
  if (is_vdso(space, address))
    return denet_buffer_append_string(out, "[vdso]");
  if (denet_address_space_find(space, address, &image, &file_address) && image && image->is_elf)
    return denet_dsos_tell(space->images, image, file_address, out);
  const char *name = find_in_perf_map(space, address);
  *out_certain = name != NULL;
  return name ? denet_buffer_append_string(out, name) : tell_place(space, address, out);
}
