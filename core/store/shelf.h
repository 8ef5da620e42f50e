/* The finished files of one instance. The newest thousand lie in the instance's folder, beside
 * those that are still written; the older ones in numbered folders below it, a thousand in each:
 * <folder>/<host>/<instance>/000001/<name> and so on, so that the order of the numbers (up to
 * 999999) is the order of time. */
#pragma once

#include "core/store/segment.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define DENET_SHELF_FILES 1000 /* "a thousand", where nobody says otherwise */

struct denet_shelf;

/* Whoever has many of them keeps them in lists of his own, too. */
struct denet_shelf_file {
  struct denet_shelf *shelf;
  struct denet_segment_id id;
  uint64_t bytes;
  ino_t inode;
  unsigned folder;                           /* the number; 0: in the instance's folder */
  STAILQ_ENTRY(denet_shelf_file) next_loose; /* of those that may still be moved */
  STAILQ_ENTRY(denet_shelf_file) next_by_age;
  struct denet_shelf_file *next_in_bucket;
};

STAILQ_HEAD(denet_shelf_list, denet_shelf_file);

struct denet_shelf {
  char *host;     /* owned */
  char *instance; /* owned */
  unsigned limit; /* files in one folder */
  size_t file_count;
  struct denet_shelf_list loose; /* in the instance's folder, the oldest first */
  size_t loose_count;
  unsigned folder;       /* the latest number, 0: none */
  unsigned folder_files; /* put into that folder */
};

/* An empty shelf, or NULL without memory. The names are copied. limit: files in one folder; 0: a
 * thousand. */
struct denet_shelf *denet_shelf_new(const char *host, const char *instance, unsigned limit);

/* The files are their owner's. shelf may be NULL. */
void denet_shelf_free(struct denet_shelf *shelf);

/* Puts a file that is where its folder says, the newest so far. It must stay valid until it is
 * removed. */
void denet_shelf_put(struct denet_shelf *shelf, struct denet_shelf_file *file);

/* Moves the oldest files that lie in the instance's folder, top being what all folders are in, as
 * long as there are too many, but two at most: what each new file costs has a bound. Each file is
 * tried once; one that cannot be moved, or changed since, stays where it is. */
void denet_shelf_tidy(struct denet_shelf *shelf, const char *top);

/* Takes the oldest file of its shelf off it, and removes it on the disk unless it has changed since
 * (then somebody uses it) or cannot be removed. Folders that become empty go too. 0; -errno when
 * it could not be tried, for lack of descriptors or memory: then the file stays on the shelf. */
int denet_shelf_remove(struct denet_shelf_file *file, const char *top);

/* The number of a folder of this name, 0 when it is no such name. */
unsigned denet_shelf_number(const char *name);
