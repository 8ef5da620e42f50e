/* Files of lines: <path>/<host>/<instance>/<YYYY-MM-DD>/<pid>-<t0_ms>.jsonl, then _0002 and so on,
 * for each key (instance, pid, t0_ms) of a denet_line. The day (UTC) is that on which the file was
 * made; a file is never moved. Not thread-safe: one owner. */
#pragma once

#include "core/record/line.h"
#include "core/util/error.h"

#include <stdint.h>

struct denet_store; /* owned by the caller of denet_store_open() */

struct denet_store_settings {
  const char *path;     /* the folder of all files; borrowed during denet_store_open(), as host */
  const char *host;     /* made safe (name.h) */
  uint64_t file_bytes;  /* a segment of this length gets no more lines; see denet_store_write() */
  uint64_t total_bytes; /* limit of what all files below path take; the oldest finished are removed
                           first, open ones never */
  unsigned open_files;  /* descriptors kept, at least 1; other files are opened for each write, one
                           at a time */
  unsigned block_bytes; /* of the file system: a file takes a whole number of these; not 0 */
  uint64_t (*unix_ms)(void); /* the wall clock, for the day */
};

/* Makes the folder (mode 0750, with its parents) and tests whether a file can be made in it. A full
 * disk is no failure. 0 or -errno with a sentence that names the folder and the reason. */
int denet_store_check(const char *path, struct denet_error *error);

/* Makes the folder and <host> in it, and counts the files that are there as finished ones, also
 * those of earlier versions (README.md). Torn ends that a crash left are cut off (repair.h), except
 * while another store has <host> open (flock(2)). 0 or -errno with a sentence that names the folder
 * and the reason. */
int denet_store_open(const struct denet_store_settings *settings, struct denet_error *error,
                     struct denet_store **out_store);

/* Writes the line and a newline with one write(2). The first line of a key is METADATA, and makes
 * its first segment; LAST and END finish the file. README.md says when the next segment is made; it
 * begins with the latest METADATA line.
 *
 * 0; DENET_GONE for a key without metadata: nothing is written; -EINVAL if the instance is no safe
 * name; -errno with a sentence: the line is lost, and the file still ends with a whole line. A
 * METADATA line is kept even then, and begins a segment as soon as one can be made. */
int denet_store_write(struct denet_store *store, const struct denet_line *line,
                      struct denet_error *error);

/* Ends the refusal of lines, and opens the folders anew. For the end of each batch of lines.
 *
 * After a failure that concerns all files (a disk that is full, read-only or broken; the path or
 * host folder that cannot be made) the store refuses all lines with the same error until this call,
 * so that thousands of lines do not burden a full disk. METADATA and LAST lines keep their meaning
 * even then. After every tenth call the names of open files are checked, after each one those of
 * files whose inode has changed. */
void denet_store_resume(struct denet_store *store);

/* Returns what the files below the path take, as counted. */
uint64_t denet_store_total_bytes(const struct denet_store *store);

/* Closes all files. store may be NULL. */
void denet_store_close(struct denet_store *store);
