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

#define NS_PER_SECOND INT64_C(1000000000)

/* A process in an instance that has finished files. */
struct process {
  const char *host, *instance; /* in texts, except in the key of a search */
  struct denet_segment_id id;  /* with the greatest number that a file has had */
  size_t file_count;
  char texts[];
};

struct denet_finished_file {
  struct process *process;
  denet_segment_dir dir;
  struct denet_segment_id id;
  uint64_t bytes;
  ino_t inode;
  int64_t changed_ns; /* Unix time; only a scan sets it */
  STAILQ_ENTRY(denet_finished_file) next_by_age;
};

uint64_t denet_retention_space(const struct denet_retention *retention, uint64_t bytes) {
  return (bytes + retention->block_bytes - 1) / retention->block_bytes * retention->block_bytes;
}

static int compare_processes(const void *left, const void *right) {
  const struct process *a = left, *b = right;
  int order = denet_segment_compare(&a->id, &b->id);
  order = order ? order : strcmp(a->instance, b->instance);
  return order ? order : strcmp(a->host, b->host);
}

static struct process *find_process(const struct denet_retention *retention,
                                    const struct process *key) {
  struct process **found = tfind(key, &retention->processes, compare_processes);
  return found ? *found : NULL;
}

/* Returns the process, added if there was none like key; NULL if there is no memory. */
static struct process *get_process(struct denet_retention *retention, const struct process *key) {
  struct process *process = find_process(retention, key);
  if (process)
    return process;
  size_t host_bytes = strlen(key->host) + 1, instance_bytes = strlen(key->instance) + 1;
  process = malloc(sizeof(*process) + host_bytes + instance_bytes);
  if (!process)
    return NULL;
  *process = (struct process){.id = key->id};
  process->host = memcpy(process->texts, key->host, host_bytes);
  process->instance = memcpy(process->texts + host_bytes, key->instance, instance_bytes);
  if (tsearch(process, &retention->processes, compare_processes))
    return process;
  free(process);
  return NULL;
}

static void release_process(struct denet_retention *retention, struct process *process) {
  if (process->file_count > 0)
    return;
  tdelete(process, &retention->processes, compare_processes);
  free(process);
}

/* Adds a copy of file as the last one to be removed. 0 or -ENOMEM. */
static int add_file(struct denet_retention *retention, const char *host, const char *instance,
                    const struct denet_finished_file *file) {
  struct process key = {.host = host, .instance = instance, .id = file->id};
  struct process *process = get_process(retention, &key);
  struct denet_finished_file *added = process ? malloc(sizeof(*added)) : NULL;
  if (!added) {
    if (process)
      release_process(retention, process);
    return -ENOMEM;
  }
  *added = *file;
  added->process = process;
  process->file_count++;
  if (process->id.number < file->id.number)
    process->id.number = file->id.number;
  STAILQ_INSERT_TAIL(&retention->files, added, next_by_age);
  retention->file_count++;
  return 0;
}

/* Forgets the oldest file. */
static void drop_oldest(struct denet_retention *retention) {
  struct denet_finished_file *file = STAILQ_FIRST(&retention->files);
  STAILQ_REMOVE_HEAD(&retention->files, next_by_age);
  retention->file_count--;
  retention->total_bytes -= denet_retention_space(retention, file->bytes);
  file->process->file_count--;
  release_process(retention, file->process);
  free(file);
}

void denet_retention_done(struct denet_retention *retention) {
  while (retention->file_count)
    drop_oldest(retention);
}

void denet_retention_finish(struct denet_retention *retention, const char *instance,
                            const struct denet_segment *segment) {
  struct denet_finished_file file = {
      .id = segment->id, .bytes = segment->bytes, .inode = segment->inode};
  memcpy(file.dir, segment->dir, sizeof(file.dir));
  if (add_file(retention, retention->host, instance, &file))
    retention->total_bytes -= denet_retention_space(retention, segment->bytes);
}

unsigned denet_retention_latest(const struct denet_retention *retention, const char *instance,
                                const struct denet_segment_id *id) {
  struct process key = {.host = retention->host, .instance = instance, .id = *id};
  const struct process *process = find_process(retention, &key);
  return process ? process->id.number : 0;
}

/* Removes the file's name if it still leads to the unchanged file. 0; DENET_GONE if not; -errno. */
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
  const struct process *process = file->process;
  DENET_CLOSE int top = denet_dir_open(retention->path, false);
  DENET_CLOSE int host = denet_dir_open_below(top, process->host, false);
  DENET_CLOSE int instance = denet_dir_open_below(host, process->instance, false);
  DENET_CLOSE int dir = denet_dir_open_below(instance, *file->dir ? file->dir : ".", false);
  int outcome = dir < 0 ? dir : unlink_unchanged(dir, file);
  if (instance < 0)
    return outcome;
  if (*file->dir)
    unlinkat(instance, file->dir, AT_REMOVEDIR);
  bool is_removed = !unlinkat(host, process->instance, AT_REMOVEDIR);
  /* The lock of a store is on the folder of its host. */
  if (is_removed && strcmp(process->host, retention->host) != 0 && !flock(host, LOCK_EX | LOCK_NB))
    unlinkat(top, process->host, AT_REMOVEDIR);
  return outcome;
}

uint64_t denet_retention_make_room(struct denet_retention *retention, uint64_t bytes,
                                   uint64_t more_bytes) {
  uint64_t growth = denet_retention_space(retention, bytes + more_bytes) -
                    denet_retention_space(retention, bytes);
  while (retention->file_count && retention->total_bytes + growth > retention->limit_bytes) {
    int outcome = remove_file(retention, STAILQ_FIRST(&retention->files));
    /* This process or host is short of something, whatever the file is. EIO does not count: it may
     * last, and then one file would keep all younger ones. */
    if (outcome == -EMFILE || outcome == -ENFILE || outcome == -ENOMEM || outcome == -EINTR)
      break;
    drop_oldest(retention);
  }
  return growth;
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
  if (scan->repairs && !strcmp(scan->name[LEVEL_HOSTS], retention->host) &&
      denet_repair_file(dir, name, &bytes) == DENET_GONE)
    return 0;
  struct denet_finished_file file = {.id = *id,
                                     .bytes = bytes,
                                     .inode = status.st_ino,
                                     .changed_ns = status.st_mtim.tv_sec * NS_PER_SECOND +
                                                   status.st_mtim.tv_nsec};
  if (scan->level == LEVEL_DIR)
    snprintf(file.dir, sizeof(file.dir), "%s", scan->name[LEVEL_INSTANCE]);
  int error = add_file(retention, scan->name[LEVEL_HOSTS], scan->name[LEVEL_INSTANCES], &file);
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
  int order = denet_segment_compare(&a->id, &b->id);
  return order ? order : a->id.number < b->id.number ? -1 : a->id.number > b->id.number;
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
  DENET_CLOSE int top = denet_dir_open(retention->path, false);
  int error = top < 0 ? top : denet_dir_each(top, scan_entry, &scan);
  return error ? error : sort_by_age(retention);
}
