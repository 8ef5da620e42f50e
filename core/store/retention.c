#include "core/store/retention.h"

#include "core/store/repair.h"
#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FIRST_BUCKETS 64
#define NS_PER_SECOND INT64_C(1000000000)

/* The folder of an instance that has finished files. */
struct instance {
  size_t file_count;
  const char *name; /* owned, as the host, by the one allocation */
  char host[];
};

struct denet_finished_file {
  struct instance *instance;
  struct denet_segment_id id;
  denet_segment_dir dir;
  uint64_t bytes;
  ino_t inode;
  int64_t changed_ns; /* Unix time; only a scan sets it */
  STAILQ_ENTRY(denet_finished_file) next_by_age;
  struct denet_finished_file *next_in_bucket;
};

uint64_t denet_retention_space(const struct denet_retention *retention, uint64_t bytes) {
  return (bytes + retention->block_bytes - 1) / retention->block_bytes * retention->block_bytes;
}

static void subtract_space(struct denet_retention *retention, uint64_t bytes) {
  uint64_t space = denet_retention_space(retention, bytes);
  retention->total_bytes -= space < retention->total_bytes ? space : retention->total_bytes;
}

static int compare_instances(const void *left, const void *right) {
  const struct instance *a = left, *b = right;
  int order = strcmp(a->name, b->name);
  return order ? order : strcmp(a->host, b->host);
}

static struct instance *new_instance(const char *host, const char *name) {
  size_t host_bytes = strlen(host) + 1, name_bytes = strlen(name) + 1;
  struct instance *instance = calloc(1, sizeof(*instance) + host_bytes + name_bytes);
  if (!instance)
    return NULL;
  memcpy(instance->host, host, host_bytes);
  instance->name = memcpy(instance->host + host_bytes, name, name_bytes);
  return instance;
}

/* Returns the instance, made if there is none; NULL without memory. */
static struct instance *get_instance(struct denet_retention *retention, const char *host,
                                     const char *name) {
  struct instance *instance = new_instance(host, name);
  struct instance **found =
      instance ? tsearch(instance, &retention->instances, compare_instances) : NULL;
  if (!found || *found != instance)
    free(instance);
  return found ? *found : NULL;
}

static void drop_instance(struct denet_retention *retention, struct instance *instance) {
  tdelete(instance, &retention->instances, compare_instances);
  free(instance);
}

/* Returns the chain of the files of a process. bucket_count is not 0. */
static struct denet_finished_file **find_bucket(const struct denet_retention *retention,
                                                const struct instance *instance,
                                                const struct denet_segment_id *id) {
  /* 2^64 divided by the golden ratio mixes the bits upwards. */
  uint64_t hash = ((uintptr_t)instance ^ id->t0_ms ^ ((uint64_t)id->pid << 32));
  hash *= UINT64_C(0x9e3779b97f4a7c15);
  return &retention->buckets[(hash >> 32) & (retention->bucket_count - 1)];
}

static void link_to_bucket(struct denet_retention *retention, struct denet_finished_file *file) {
  struct denet_finished_file **bucket = find_bucket(retention, file->instance, &file->id);
  file->next_in_bucket = *bucket;
  *bucket = file;
}

/* Keeps at most one file a bucket on average, as long as there is memory. 0 or -ENOMEM. */
static int reserve_buckets(struct denet_retention *retention) {
  if (retention->file_count < retention->bucket_count)
    return 0;
  size_t count = retention->bucket_count ? 2 * retention->bucket_count : FIRST_BUCKETS;
  struct denet_finished_file **buckets = calloc(count, sizeof(struct denet_finished_file *));
  if (!buckets)
    return retention->bucket_count ? 0 : -ENOMEM;
  free(retention->buckets);
  retention->buckets = buckets;
  retention->bucket_count = count;
  struct denet_finished_file *file;
  STAILQ_FOREACH(file, &retention->files, next_by_age) link_to_bucket(retention, file);
  return 0;
}

/* Adds a copy of file as the last one to be removed. 0 or -ENOMEM. */
static int add_file(struct denet_retention *retention, const char *host, const char *instance,
                    const struct denet_finished_file *file) {
  struct denet_finished_file *added = reserve_buckets(retention) ? NULL : malloc(sizeof(*added));
  if (!added)
    return -ENOMEM;
  *added = *file;
  added->instance = get_instance(retention, host, instance);
  if (!added->instance) {
    free(added);
    return -ENOMEM;
  }
  added->instance->file_count++;
  STAILQ_INSERT_TAIL(&retention->files, added, next_by_age);
  link_to_bucket(retention, added);
  retention->file_count++;
  return 0;
}

/* Forgets the oldest file. */
static void drop_oldest(struct denet_retention *retention) {
  struct denet_finished_file *file = STAILQ_FIRST(&retention->files);
  STAILQ_REMOVE_HEAD(&retention->files, next_by_age);
  retention->file_count--;
  struct denet_finished_file **link = find_bucket(retention, file->instance, &file->id);
  while (*link != file)
    link = &(*link)->next_in_bucket;
  *link = file->next_in_bucket;
  subtract_space(retention, file->bytes);
  if (!--file->instance->file_count)
    drop_instance(retention, file->instance);
  free(file);
}

void denet_retention_done(struct denet_retention *retention) {
  while (retention->file_count)
    drop_oldest(retention);
  free(retention->buckets);
  retention->buckets = NULL;
  retention->bucket_count = 0;
}

void denet_retention_finish(struct denet_retention *retention, const char *instance,
                            const struct denet_segment *segment) {
  struct denet_finished_file file = {
      .id = segment->id, .bytes = segment->bytes, .inode = segment->inode};
  memcpy(file.dir, segment->dir, sizeof(file.dir));
  if (add_file(retention, retention->host, instance, &file))
    subtract_space(retention, segment->bytes);
}

unsigned denet_retention_latest(const struct denet_retention *retention, const char *instance,
                                const struct denet_segment_id *id) {
  DENET_FREE struct instance *key = new_instance(retention->host, instance);
  struct instance **found = key ? tfind(key, &retention->instances, compare_instances) : NULL;
  const struct denet_finished_file *file = found ? *find_bucket(retention, *found, id) : NULL;
  unsigned latest = 0;
  for (; file; file = file->next_in_bucket)
    if (file->instance == *found && file->id.pid == id->pid && file->id.t0_ms == id->t0_ms &&
        file->id.number > latest)
      latest = file->id.number;
  return latest;
}

/* Removes the file's name if it still leads to the file, unchanged. 0; DENET_GONE if not; -errno.
 */
static int unlink_unchanged(int dir, const struct denet_finished_file *file) {
  struct stat status;
  denet_segment_name name;
  denet_segment_name_of(&file->id, name);
  if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW))
    return -errno;
  if (!S_ISREG(status.st_mode) || status.st_ino != file->inode ||
      (uint64_t)status.st_size != file->bytes)
    return DENET_GONE;
  return unlinkat(dir, name, 0) ? -errno : 0;
}

/* Removes a file, and folders above it that are empty then: rmdir(2) refuses all others. */
static int remove_file(const struct denet_retention *retention,
                       const struct denet_finished_file *file) {
  const struct instance *at = file->instance;
  DENET_CLOSE int top = denet_dir_open(retention->path);
  DENET_CLOSE int host = denet_dir_open_below(top, at->host, false);
  DENET_CLOSE int instance = denet_dir_open_below(host, at->name, false);
  DENET_CLOSE int dir = denet_dir_open_below(instance, *file->dir ? file->dir : ".", false);
  int outcome = dir < 0 ? dir : unlink_unchanged(dir, file);
  if (instance < 0)
    return outcome;
  if (*file->dir)
    unlinkat(instance, file->dir, AT_REMOVEDIR);
  bool is_removed = !unlinkat(host, at->name, AT_REMOVEDIR);
  /* The lock of a store is on the folder of its host. */
  if (is_removed && strcmp(at->host, retention->host) != 0 && !flock(host, LOCK_EX | LOCK_NB))
    unlinkat(top, at->host, AT_REMOVEDIR);
  return outcome;
}

/* Returns whether this process or host is short of something, whatever the file is. EIO does not
 * count: it may last, and then one file would keep all younger ones. */
static bool is_shortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EINTR;
}

void denet_retention_make_room(struct denet_retention *retention, uint64_t extra_bytes) {
  while (retention->file_count && retention->total_bytes + extra_bytes > retention->limit_bytes) {
    if (is_shortage(remove_file(retention, STAILQ_FIRST(&retention->files))))
      return;
    drop_oldest(retention);
  }
}

enum level { LEVEL_HOSTS, LEVEL_INSTANCES, LEVEL_INSTANCE, LEVEL_DIR };

/* The folder that a scan is in. */
struct scan {
  struct denet_retention *retention;
  bool repairs;
  enum level level;
  const char *name[LEVEL_DIR]; /* the host, the instance and the folder in it */
};

static int scan_file(const struct scan *scan, int dir, const char *name,
                     const struct denet_segment_id *id) {
  struct denet_retention *retention = scan->retention;
  struct stat status;
  if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
    return 0;
  uint64_t bytes = (uint64_t)status.st_size;
  if (scan->repairs && !strcmp(scan->name[0], retention->host) &&
      denet_repair_file(dir, name, &bytes) == DENET_GONE)
    return 0;
  struct denet_finished_file file = {.id = *id,
                                     .bytes = bytes,
                                     .inode = status.st_ino,
                                     .changed_ns = status.st_mtim.tv_sec * NS_PER_SECOND +
                                                   status.st_mtim.tv_nsec};
  if (scan->level == LEVEL_DIR)
    snprintf(file.dir, sizeof(file.dir), "%s", scan->name[LEVEL_INSTANCE]);
  int error = add_file(retention, scan->name[0], scan->name[1], &file);
  if (!error)
    retention->total_bytes += denet_retention_space(retention, bytes);
  return error;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVEL_DIR deep. */
static int scan_entry(void *context, int dir, const char *name) {
  struct scan *scan = context;
  struct denet_segment_id id;
  if (scan->level >= LEVEL_INSTANCE && denet_segment_parse(name, &id))
    return scan_file(scan, dir, name, &id);
  if (scan->level == LEVEL_DIR || (scan->level == LEVEL_INSTANCE && !denet_segment_is_dir(name)))
    return 0;
  DENET_CLOSE int below = denet_dir_open_below(dir, name, false);
  if (below < 0)
    return 0; /* no folder, or not readable */
  scan->name[scan->level++] = name;
  int outcome = denet_dir_each(below, scan_entry, scan);
  scan->level--;
  return outcome == -ENOMEM ? outcome : 0;
}

static int compare_age(const void *left, const void *right) {
  const struct denet_finished_file *a = *(struct denet_finished_file *const *)left;
  const struct denet_finished_file *b = *(struct denet_finished_file *const *)right;
  if (a->changed_ns != b->changed_ns)
    return a->changed_ns < b->changed_ns ? -1 : 1;
  if (a->id.t0_ms != b->id.t0_ms)
    return a->id.t0_ms < b->id.t0_ms ? -1 : 1;
  return a->id.number < b->id.number ? -1 : a->id.number > b->id.number;
}

/* 0 or -ENOMEM. */
static int sort_by_age(struct denet_retention *retention) {
  size_t count = 0;
  DENET_FREE struct denet_finished_file **files =
      calloc(retention->file_count + 1, sizeof(struct denet_finished_file *));
  if (!files)
    return -ENOMEM;
  struct denet_finished_file *file;
  STAILQ_FOREACH(file, &retention->files, next_by_age) files[count++] = file;
  qsort(files, count, sizeof(struct denet_finished_file *), compare_age);
  STAILQ_INIT(&retention->files);
  for (size_t i = 0; i < count; i++)
    STAILQ_INSERT_TAIL(&retention->files, files[i], next_by_age);
  return 0;
}

int denet_retention_scan(struct denet_retention *retention, bool repairs) {
  struct scan scan = {.retention = retention, .repairs = repairs};
  STAILQ_INIT(&retention->files);
  DENET_CLOSE int top = denet_dir_open(retention->path);
  int error = top < 0 ? top : denet_dir_each(top, scan_entry, &scan);
  return error ? error : sort_by_age(retention);
}
