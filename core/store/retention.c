#include "core/store/retention.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#define FIRST_BUCKETS 64

int denet_retention_init(struct denet_retention *budget, const char *folder) {
  STAILQ_INIT(&budget->files);
  budget->folder = strdup(folder);
  return budget->folder ? 0 : -ENOMEM;
}

uint64_t denet_retention_space(const struct denet_retention *budget, uint64_t bytes) {
  return (bytes + budget->block_bytes - 1) / budget->block_bytes * budget->block_bytes;
}

static int compare_shelves(const void *left, const void *right) {
  const struct denet_shelf *a = left, *b = right;
  int order = strcmp(a->instance, b->instance);
  return order ? order : strcmp(a->host, b->host);
}

static void drop_shelf(struct denet_retention *budget, struct denet_shelf *shelf) {
  tdelete(shelf, &budget->shelves, compare_shelves);
  denet_shelf_free(shelf);
}

void denet_retention_done(struct denet_retention *budget) {
  for (struct denet_shelf_file *file; (file = STAILQ_FIRST(&budget->files));) {
    STAILQ_REMOVE_HEAD(&budget->files, next_by_age);
    free(file);
  }
  /* A node of the tree begins with the pointer to its shelf. */
  while (budget->shelves)
    drop_shelf(budget, *(struct denet_shelf **)budget->shelves);
  free(budget->buckets);
  free(budget->folder);
  *budget = (struct denet_retention){0};
}

static struct denet_shelf *find_shelf(const struct denet_retention *budget, const char *host,
                                      const char *instance) {
  struct denet_shelf key = {.host = (char *)host, .instance = (char *)instance};
  struct denet_shelf **found = tfind(&key, &budget->shelves, compare_shelves);
  return found ? *found : NULL;
}

struct denet_shelf *denet_retention_shelf(struct denet_retention *budget, const char *host,
                                          const char *instance) {
  struct denet_shelf *shelf = find_shelf(budget, host, instance);
  if (shelf)
    return shelf;
  shelf = denet_shelf_new(host, instance, budget->shelf_files);
  if (!shelf || tsearch(shelf, &budget->shelves, compare_shelves))
    return shelf;
  denet_shelf_free(shelf);
  return NULL;
}

/* Where the parts of a process are. bucket_count is not 0. */
static struct denet_shelf_file **find_bucket(const struct denet_retention *budget,
                                             const struct denet_shelf *shelf,
                                             const struct denet_segment_id *id) {
  /* Multiplied by an odd number with as many ones as zeros; the high bits are the mixed ones. */
  uint64_t hash = ((uintptr_t)shelf ^ id->t0_ms ^ ((uint64_t)id->pid << 32));
  hash *= UINT64_C(0x9e3779b97f4a7c15);
  return &budget->buckets[(hash >> 32) & (budget->bucket_count - 1)];
}

static void link_file(struct denet_retention *budget, struct denet_shelf_file *file) {
  struct denet_shelf_file **bucket = find_bucket(budget, file->shelf, &file->id);
  file->next_in_bucket = *bucket;
  *bucket = file;
}

static void unlink_file(struct denet_retention *budget, const struct denet_shelf_file *file) {
  struct denet_shelf_file **link = find_bucket(budget, file->shelf, &file->id);
  while (*link != file)
    link = &(*link)->next_in_bucket;
  *link = file->next_in_bucket;
}

/* At most one file a bucket on average, as long as there is memory. 0 or -ENOMEM. */
static int reserve_buckets(struct denet_retention *budget) {
  if (budget->file_count < budget->bucket_count)
    return 0;
  size_t count = budget->bucket_count ? 2 * budget->bucket_count : FIRST_BUCKETS;
  struct denet_shelf_file **buckets = calloc(count, sizeof(struct denet_shelf_file *));
  if (!buckets)
    return budget->bucket_count ? 0 : -ENOMEM;
  free(budget->buckets);
  budget->buckets = buckets;
  budget->bucket_count = count;
  struct denet_shelf_file *file;
  STAILQ_FOREACH(file, &budget->files, next_by_age) link_file(budget, file);
  return 0;
}

int denet_retention_add(struct denet_retention *budget, struct denet_shelf *shelf,
                        const struct denet_shelf_file *file) {
  struct denet_shelf_file *added =
      shelf && !reserve_buckets(budget) ? malloc(sizeof(*added)) : NULL;
  if (!added)
    return -ENOMEM;
  *added = *file;
  denet_shelf_put(shelf, added);
  link_file(budget, added);
  STAILQ_INSERT_TAIL(&budget->files, added, next_by_age);
  budget->file_count++;
  return 0;
}

static void forget_space(struct denet_retention *budget, uint64_t bytes) {
  uint64_t space = denet_retention_space(budget, bytes);
  budget->total_bytes -= space < budget->total_bytes ? space : budget->total_bytes;
}

void denet_retention_finish(struct denet_retention *budget, const char *host, const char *instance,
                            const struct denet_segment *part) {
  struct denet_shelf *shelf = denet_retention_shelf(budget, host, instance);
  struct denet_shelf_file file = {.id = part->id, .bytes = part->bytes, .inode = part->inode};
  if (denet_retention_add(budget, shelf, &file))
    forget_space(budget, part->bytes);
  else
    denet_shelf_tidy(shelf, budget->folder);
}

unsigned denet_retention_latest(const struct denet_retention *budget, const char *host,
                                const char *instance, const struct denet_segment_id *id) {
  const struct denet_shelf *shelf = find_shelf(budget, host, instance);
  unsigned latest = 0;
  if (!shelf || !budget->bucket_count)
    return latest;
  const struct denet_shelf_file *file = *find_bucket(budget, shelf, id);
  for (; file; file = file->next_in_bucket)
    if (file->shelf == shelf && file->id.pid == id->pid && file->id.t0_ms == id->t0_ms &&
        file->id.number > latest)
      latest = file->id.number;
  return latest;
}

/* 0 or -errno, then it is still there. */
static int remove_oldest(struct denet_retention *budget) {
  struct denet_shelf_file *oldest = STAILQ_FIRST(&budget->files);
  int error = denet_shelf_remove(oldest, budget->folder);
  if (error)
    return error;
  STAILQ_REMOVE_HEAD(&budget->files, next_by_age);
  budget->file_count--;
  unlink_file(budget, oldest);
  forget_space(budget, oldest->bytes);
  if (!oldest->shelf->file_count)
    drop_shelf(budget, oldest->shelf);
  free(oldest);
  return 0;
}

void denet_retention_make_room(struct denet_retention *budget, uint64_t extra_bytes) {
  int error = 0;
  while (!error && budget->file_count && budget->total_bytes + extra_bytes > budget->limit_bytes)
    error = remove_oldest(budget);
}
