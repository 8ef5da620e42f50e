#include "budget.h"

#include "buffer.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define RECORD_LEVEL 3 /* <folder>/<host>/<instance>/<name>, as fts(3) counts */
#define ENDING ".jsonl"

int denet_budget_init(struct denet_budget *budget, const char *folder, uint64_t limit_bytes) {
  *budget = (struct denet_budget){.folder = strdup(folder), .limit_bytes = limit_bytes};
  return budget->folder ? 0 : -ENOMEM;
}

void denet_budget_done(struct denet_budget *budget) {
  for (size_t i = 0; i < budget->count; i++)
    free(budget->files[budget->first + i].path);
  free(budget->files);
  free(budget->folder);
  *budget = (struct denet_budget){0};
}

/* Makes room behind the last file. The front is given up only when it is at least half, so that
 * moving costs each file one step. */
static int reserve_file(struct denet_budget *budget) {
  if (budget->first + budget->count < budget->capacity)
    return 0;
  if (budget->first && budget->first >= budget->count) {
    memmove(budget->files, budget->files + budget->first, budget->count * sizeof(*budget->files));
    budget->first = 0;
    return 0;
  }
  size_t capacity = budget->capacity ? 2 * budget->capacity : 64;
  struct denet_budget_file *files = reallocarray(budget->files, capacity, sizeof(*files));
  if (!files)
    return -ENOMEM;
  budget->files = files;
  budget->capacity = capacity;
  return 0;
}

/* Appends file, whose path is made here; total_bytes is the caller's. */
static int append_file(struct denet_budget *budget, const char *host, const char *instance,
                       const char *name, struct denet_budget_file file) {
  int error = reserve_file(budget);
  if (error)
    return error;
  if (asprintf(&file.path, "%s/%s/%s", host, instance, name) < 0)
    return -ENOMEM;
  budget->files[budget->first + budget->count++] = file;
  return 0;
}

static bool is_record(const FTSENT *entry) {
  size_t length = entry->fts_namelen;
  return entry->fts_info == FTS_F && entry->fts_level == RECORD_LEVEL && length > strlen(ENDING) &&
         !strcmp(entry->fts_name + length - strlen(ENDING), ENDING);
}

static int count_found(struct denet_budget *budget, const FTSENT *entry) {
  const struct stat *status = entry->fts_statp;
  struct denet_budget_file file = {
      .bytes = (uint64_t)status->st_size,
      .inode = status->st_ino,
      .changed_ns = status->st_mtim.tv_sec * INT64_C(1000000000) + status->st_mtim.tv_nsec,
  };
  const FTSENT *instance = entry->fts_parent, *host = instance->fts_parent;
  int error = append_file(budget, host->fts_name, instance->fts_name, entry->fts_name, file);
  if (error)
    return error;
  budget->total_bytes += file.bytes;
  uint64_t changed_ms = file.changed_ns > 0 ? (uint64_t)file.changed_ns / 1000000 : 0;
  if (changed_ms > budget->newest_ms)
    budget->newest_ms = changed_ms;
  return 0;
}

static int compare_age(const void *left, const void *right) {
  const struct denet_budget_file *a = left, *b = right;
  if (a->changed_ns != b->changed_ns)
    return a->changed_ns < b->changed_ns ? -1 : 1;
  return strcmp(a->path, b->path);
}

static void close_walk(FTS **walk) {
  if (*walk)
    fts_close(*walk);
}

int denet_budget_scan(struct denet_budget *budget) {
  char *roots[] = {budget->folder, NULL};
  DENET_CLEANUP(close_walk)
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
  if (!walk)
    return -errno;
  int error = 0;
  for (FTSENT *entry; !error && (entry = fts_read(walk));) {
    if (entry->fts_info == FTS_D && entry->fts_level >= RECORD_LEVEL)
      fts_set(walk, entry, FTS_SKIP);
    if (is_record(entry))
      error = count_found(budget, entry);
  }
  if (budget->count)
    qsort(budget->files + budget->first, budget->count, sizeof(*budget->files), compare_age);
  return error;
}

static void forget_bytes(struct denet_budget *budget, uint64_t bytes) {
  budget->total_bytes -= bytes < budget->total_bytes ? bytes : budget->total_bytes;
}

void denet_budget_finish(struct denet_budget *budget, const char *host, const char *instance,
                         const char *name, uint64_t bytes, ino_t inode) {
  struct denet_budget_file file = {.bytes = bytes, .inode = inode};
  if (append_file(budget, host, instance, name, file))
    forget_bytes(budget, bytes);
}

/* Cuts path at its first slash and returns what is behind it. */
static char *cut_first(char *path) {
  char *slash = strchr(path, '/');
  *slash = '\0';
  return slash + 1;
}

static bool is_unchanged(int folder, const char *name, const struct denet_budget_file *file) {
  struct stat status;
  return !fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISREG(status.st_mode) &&
         status.st_ino == file->inode && (uint64_t)status.st_size == file->bytes;
}

/* Descends step by step, so that no symbolic link that was put there since leads elsewhere. A step
 * that fails leaves -1, at which the next ones fail too. file->path is cut to pieces. */
static void remove_file(const char *folder_path, const struct denet_budget_file *file) {
  char *host = file->path;
  char *instance = cut_first(host);
  char *name = cut_first(instance);
  DENET_CLOSE int folder_fd = open(folder_path, FOLDER_FLAGS);
  DENET_CLOSE int host_fd = openat(folder_fd, host, FOLDER_FLAGS | O_NOFOLLOW);
  DENET_CLOSE int instance_fd = openat(host_fd, instance, FOLDER_FLAGS | O_NOFOLLOW);
  if (instance_fd < 0 || !is_unchanged(instance_fd, name, file))
    return;
  unlinkat(instance_fd, name, 0);
  /* Fails as long as there is anything in it, which is what is wanted. */
  unlinkat(host_fd, instance, AT_REMOVEDIR);
}

static void remove_oldest(struct denet_budget *budget) {
  struct denet_budget_file oldest = budget->files[budget->first++];
  budget->count--;
  forget_bytes(budget, oldest.bytes);
  remove_file(budget->folder, &oldest);
  free(oldest.path);
}

void denet_budget_make_room(struct denet_budget *budget, uint64_t extra_bytes) {
  while (budget->count && budget->total_bytes + extra_bytes > budget->limit_bytes)
    remove_oldest(budget);
}
