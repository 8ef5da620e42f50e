/* What the record files below a folder may take together. Finished files wait here in the order in
 * which they go; files that are still open only count. A file is <folder>/<host>/<instance>/<name>,
 * name ending in ".jsonl". */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_budget_file {
  char *path; /* "<host>/<instance>/<name>", owned */
  uint64_t bytes;
  ino_t inode;
  int64_t changed_ns; /* of files that denet_budget_scan() found, Unix time; else 0 */
};

struct denet_budget {
  char *folder; /* owned */
  uint64_t limit_bytes;
  uint64_t total_bytes; /* of finished and open files; who writes to an open file adds to it */
  uint64_t newest_ms;   /* Unix ms of the last change to any file that the scan found; 0: none */
  struct denet_budget_file *files; /* files[first] is the oldest of count */
  size_t first;
  size_t count;
  size_t capacity;
};

/* 0 or -ENOMEM. folder is copied. */
int denet_budget_init(struct denet_budget *budget, const char *folder, uint64_t limit_bytes);
void denet_budget_done(struct denet_budget *budget);

/* Takes the files that are below the folder as finished ones, the longest unchanged first. Symbolic
 * links are not followed, what cannot be read is passed over. 0 or -errno. */
int denet_budget_scan(struct denet_budget *budget);

/* An open file, counted in total_bytes, is finished from now on: the last to go. Without memory for
 * it the file stays where it is and no longer counts. */
void denet_budget_finish(struct denet_budget *budget, const char *host, const char *instance,
                         const char *name, uint64_t bytes, ino_t inode);

/* Removes finished files, oldest first, until extra_bytes more fit or none is left; an instance's
 * folder that becomes empty goes too. A file that is gone, cannot be removed, or has changed since
 * (then somebody uses it) is no longer counted and is left alone. */
void denet_budget_make_room(struct denet_budget *budget, uint64_t extra_bytes);
