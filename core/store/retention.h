/* The limit of what the files below a folder may take together. Finished files stand in the list in
 * the order of their removal; files that are still open only count. What an operation costs hardly
 * grows with the number of files. Files are <path>/<host>/<instance>/<dir>/<name>, with the names
 * of segment.h; other files are neither counted nor removed. */
#pragma once

#include "core/store/segment.h"

#include <stdint.h>
#include <sys/queue.h>

STAILQ_HEAD(denet_finished_list, denet_finished_file);

struct denet_retention {
  /* Set by the caller before denet_retention_scan(); the texts are borrowed. */
  const char *path;
  const char *host; /* the host of this store, whose folder is never removed */
  uint64_t limit_bytes;
  uint64_t block_bytes; /* a file takes a whole number of these; not 0 */

  uint64_t total_bytes; /* of finished and open files; the writer of an open file adds to it */
  struct denet_finished_list files; /* owned; the oldest first */
  size_t file_count;
  void *processes; /* owned; tsearch(3): those that have finished files */
};

/* Returns what a file of so many bytes takes. */
uint64_t denet_retention_space(const struct denet_retention *retention, uint64_t bytes);

/* Takes the files below the path as finished ones, the longest unchanged first. Symbolic links are
 * not followed, and what cannot be read is skipped. repairs: files of the own host, which no
 * other store may be writing then, lose their torn ends (repair.h). 0 or -errno. */
int denet_retention_scan(struct denet_retention *retention, bool repairs);

void denet_retention_done(struct denet_retention *retention);

/* Finishes an open segment of the own host, which total_bytes has already: it is the last to be
 * removed. Without memory for it the file stays on the disk and counts no more. */
void denet_retention_finish(struct denet_retention *retention, const char *instance,
                            const struct denet_segment *segment);

/* Returns the greatest number that a finished segment of a process of the own host has had, in all
 * folders of the instance; 0 if none of its segments is left. id->number is not used. */
unsigned denet_retention_latest(const struct denet_retention *retention, const char *instance,
                                const struct denet_segment_id *id);

/* Makes room for a file of so many bytes that gets more bytes; returns what it takes more then.
 * Removes finished files, the oldest first, until that fits or none is left, and the folders that
 * this leaves empty. A file that is gone, cannot be removed, or has changed since it was finished
 * (others use it) stays and counts no more. If descriptors or memory are short, the files stay and
 * count until a later call. */
uint64_t denet_retention_make_room(struct denet_retention *retention, uint64_t bytes,
                                   uint64_t more_bytes);
