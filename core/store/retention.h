/* What the record files below a folder may take together. Finished files wait here in the order in
 * which they go; files that are still open only count. What a file costs here does not grow with
 * their number. Files are <folder>/<host>/<instance>/<name> and what is moved from there (shelf.h),
 * name being a part's (part.h); others are not ours. */
#pragma once

#include "core/store/segment.h"
#include "core/store/shelf.h"

#include <stddef.h>
#include <stdint.h>

struct denet_retention {
  char *folder; /* owned */
  uint64_t limit_bytes;
  uint64_t block_bytes; /* a file takes a whole number of these */
  uint64_t total_bytes; /* that finished and open files take; who writes to an open one adds */
  struct denet_shelf_list files;     /* finished, owned, the oldest first */
  size_t file_count;                 /* of those */
  struct denet_shelf_file **buckets; /* the same by shelf, pid and t0_ms */
  size_t bucket_count;               /* 0 or a power of two */
  unsigned shelf_files;              /* of each shelf's folders, as for denet_shelf_new() */
  void *shelves;                     /* owned, tsearch(3): those that have files */
};

/* Zeroed, with limit_bytes, block_bytes (not 0) and shelf_files filled in: gets what else it needs.
 * 0 or -ENOMEM. folder is copied. */
int denet_retention_init(struct denet_retention *budget, const char *folder);
void denet_retention_done(struct denet_retention *budget);

/* What a file of so many bytes takes. */
uint64_t denet_retention_space(const struct denet_retention *budget, uint64_t bytes);

/* Takes the files that are below the folder as finished ones, the longest unchanged first. Symbolic
 * links are not followed, what cannot be read is passed over. Files of own_host, which nobody else
 * may be writing, lose their torn tails (tail.h); NULL: no host's. 0 or -errno. */
int denet_retention_scan(struct denet_retention *budget, const char *own_host);

/* The shelf of that instance, made if there is none; NULL without memory. Borrowed until it has no
 * files any more. */
struct denet_shelf *denet_retention_shelf(struct denet_retention *budget, const char *host,
                                          const char *instance);

/* Adds a copy of file, which has id, bytes, inode and folder, as the last one to go. total_bytes is
 * the caller's. 0 or -ENOMEM. */
int denet_retention_add(struct denet_retention *budget, struct denet_shelf *shelf,
                        const struct denet_shelf_file *file);

/* An open part, counted in total_bytes, is finished from now on: the last to go. The oldest
 * finished files of a crowded instance are moved. Without memory for it the file stays where it is
 * and no longer counts. */
void denet_retention_finish(struct denet_retention *budget, const char *host, const char *instance,
                            const struct denet_segment *part);

/* The greatest number of the process's finished parts; 0 when there are none. id->number means
 * nothing. */
unsigned denet_retention_latest(const struct denet_retention *budget, const char *host,
                                const char *instance, const struct denet_segment_id *id);

/* Removes finished files, oldest first, until extra_bytes more fit or none is left; folders that
 * become empty go too. A file that is gone, cannot be removed, or has changed since (then somebody
 * uses it) is no longer counted and is left alone. Where descriptors or memory are short the files
 * stay and count until a later call. */
void denet_retention_make_room(struct denet_retention *budget, uint64_t extra_bytes);
