#include "core/store/retention.h"

#include "core/store/repair.h"
#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define NS_PER_SECOND INT64_C(1000000000)

/* A file with what decides when it goes. */
struct found {
  struct denet_shelf_file file;
  int64_t changed_ns; /* Unix time */
};

/* Where the scan is, and what it has found so far. */
struct scan {
  struct denet_retention *budget;
  const char *own_host; /* NULL: none */
  const char *host;
  const char *instance;
  unsigned folder; /* the number, 0: in the instance's folder itself */
  struct found *found;
  size_t count;
  size_t capacity;
};

static void free_found(struct scan *scan) { free(scan->found); }

static int append_found(struct scan *scan, struct found found) {
  found.file.shelf = denet_retention_shelf(scan->budget, scan->host, scan->instance);
  if (!found.file.shelf)
    return -ENOMEM;
  if (scan->count == scan->capacity) {
    size_t capacity = scan->capacity ? 2 * scan->capacity : 64;
    struct found *grown = reallocarray(scan->found, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    scan->found = grown;
    scan->capacity = capacity;
  }
  scan->found[scan->count++] = found;
  return 0;
}

static bool is_own(const struct scan *scan) {
  return scan->own_host && !strcmp(scan->host, scan->own_host);
}

static int scan_file(struct scan *scan, int folder, const char *name,
                     const struct denet_segment_id *id) {
  struct stat status;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
    return 0;
  uint64_t bytes = (uint64_t)status.st_size;
  if (is_own(scan) && denet_repair_file(folder, name, &bytes) == DENET_GONE)
    return 0;
  return append_found(
      scan, (struct found){
                .file = {.id = *id, .bytes = bytes, .inode = status.st_ino, .folder = scan->folder},
                .changed_ns = status.st_mtim.tv_sec * NS_PER_SECOND + status.st_mtim.tv_nsec});
}

static int scan_moved(void *context, int folder, const char *name) {
  struct denet_segment_id id;
  return denet_segment_parse(name, &id) ? scan_file(context, folder, name, &id) : 0;
}

/* Passes over what is no folder, or cannot be read. */
static int scan_below(struct scan *scan, int folder, const char *name,
                      int (*each)(void *context, int folder, const char *name)) {
  DENET_CLOSE int below = denet_dir_open_below(folder, name, false);
  int outcome = below < 0 ? 0 : denet_dir_each(below, each, scan);
  return outcome == -ENOMEM ? outcome : 0;
}

static int scan_in_instance(void *context, int folder, const char *name) {
  struct scan *scan = context;
  struct denet_segment_id id;
  if (denet_segment_parse(name, &id))
    return scan_file(scan, folder, name, &id);
  scan->folder = denet_shelf_number(name);
  int outcome = scan->folder ? scan_below(scan, folder, name, scan_moved) : 0;
  scan->folder = 0;
  return outcome;
}

static int scan_instance(void *context, int folder, const char *name) {
  struct scan *scan = context;
  scan->instance = name;
  return scan_below(scan, folder, name, scan_in_instance);
}

static int scan_host(void *context, int folder, const char *name) {
  struct scan *scan = context;
  scan->host = name;
  return scan_below(scan, folder, name, scan_instance);
}

static int compare_numbers(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

/* Files that were moved are older than those of their instance that were not. */
static unsigned folder_rank(const struct denet_shelf_file *file) {
  return file->folder ? file->folder : ~0U;
}

static int compare_age(const void *left, const void *right) {
  const struct found *a = left, *b = right;
  int order = compare_numbers(a->changed_ns ^ (1ULL << 63), b->changed_ns ^ (1ULL << 63));
  if (!order)
    order = compare_numbers(folder_rank(&a->file), folder_rank(&b->file));
  if (!order)
    order = compare_numbers(a->file.id.t0_ms, b->file.id.t0_ms);
  if (!order)
    order = compare_numbers((uint64_t)a->file.id.pid, (uint64_t)b->file.id.pid);
  return order ? order : compare_numbers(a->file.id.number, b->file.id.number);
}

static int add_found(struct denet_retention *budget, const struct found *found) {
  int error = denet_retention_add(budget, found->file.shelf, &found->file);
  if (!error)
    budget->total_bytes += denet_retention_space(budget, found->file.bytes);
  return error;
}

int denet_retention_scan(struct denet_retention *budget, const char *own_host) {
  DENET_CLEANUP(free_found) struct scan scan = {.budget = budget, .own_host = own_host};
  DENET_CLOSE int folder = denet_dir_open(budget->folder);
  if (folder < 0)
    return folder;
  int error = denet_dir_each(folder, scan_host, &scan);
  if (!error && scan.count)
    qsort(scan.found, scan.count, sizeof(*scan.found), compare_age);
  for (size_t i = 0; !error && i < scan.count; i++)
    error = add_found(budget, &scan.found[i]);
  return error;
}
