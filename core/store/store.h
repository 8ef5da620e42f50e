/* The folder of record files: <folder>/<host>/<instance>/<pid>-<t0_ms>.jsonl, one for each key of a
 * denet_line, with the parts _0002, _0003, ... after the first. Finished files of a crowded
 * instance are moved to <instance>/000001/ and so on (shelf.h). Not thread-safe: one owner. */
#pragma once

#include "core/record/line.h"
#include "core/util/error.h"

#include <stdint.h>

struct denet_store; /* owned by whoever opened it */

struct denet_store_limits {
  uint64_t file_bytes;  /* a part that has reached this gets no more lines; but see below */
  uint64_t total_bytes; /* that all parts below the folder take; the oldest finished go first. Open
                           files never go, so a part is also full when all open ones, were they as
                           long, would take more than half of this */
  unsigned open_files; /* descriptors kept, at least 1; a file beyond it is opened for each write */
  unsigned shelf_files; /* finished files that stay in an instance's folder (shelf.h); 0: 1000 */
  unsigned block_bytes; /* of the file system: a part takes a whole number of these; 0: 1 */
};

/* A command line may be megabytes long, and each part starts with it. So that it is not written
 * again and again, no part is full before it has eight times as many bytes of lines as its head
 * has, or 32 KiB of them; and never before they are as many as the head. */

/* Makes the folder (mode 0750, with its parents) and tries whether a file can be made in it; a full
 * disk is no failure. 0 or -errno with a sentence that names the folder and the reason. */
int denet_store_check(const char *folder, struct denet_error *error);

/* Makes the folder (mode 0750, with its parents) and <host> in it, and counts what is there
 * already: files of an earlier run are finished files. No line is ever added to a file found there;
 * a torn tail that a crash left is cut off (tail.h), unless another store has <host> open at the
 * moment (flock). host is made safe (name.h). 0 or -errno with a sentence that names the folder and
 * the reason. */
int denet_store_open(const char *folder, const char *host, const struct denet_store_limits *limits,
                     struct denet_error *error, struct denet_store **out_store);

/* Writes the line and a newline with one write(). The first line of a key must be METADATA; it
 * makes the file (O_EXCL | O_NOFOLLOW, mode 0640; when the name is taken, the next part). A
 * METADATA line for an open key starts the next part. A part that reached limits.file_bytes is
 * followed by the next one, headed by the same metadata line, and so is one that somebody removed,
 * renamed (see denet_store_resume()) or cut. LAST and END finish the file. 0; DENET_GONE when a
 * line comes for a key whose metadata was never given: not written; -EINVAL when the instance is no
 * safe name; -errno with a sentence, then the line is lost, but what was written of it is taken
 * back, so that the file still ends with a whole line. A METADATA line is kept even then, and heads
 * a file as soon as one can be made for a later line.
 *
 * A METADATA line of more than 4 KiB stays in memory only while no file has it, and only as far as
 * all that are in memory take no more than 4 MiB; a next part gets it from the part before. Where
 * that is no longer there or was written over, and where the 4 MiB were used up, a stand-in heads
 * the part: {"kind":"metadata","pid":N,"cmd":[],"executable":"","t0_ms":N}. No other line is lost
 * for that. */
int denet_store_write(struct denet_store *store, const struct denet_line *line,
                      struct denet_error *error);

/* When a write fails for what concerns all files (a disk that is full, read-only or broken; a
 * folder above the instances that cannot be made), the store refuses further lines with the same
 * error and leaves the disk alone, until this is called. What a METADATA or LAST line means is
 * remembered even then. So thousands of lines do not ask a full disk thousands of times.
 * Every tenth call makes files be looked for by their names again: what others renamed gets no more
 * lines. For the start of each batch of lines. */
void denet_store_resume(struct denet_store *store);

/* What the files below the folder take, as counted. */
uint64_t denet_store_total_bytes(const struct denet_store *store);

/* Closes every file. store may be NULL. */
void denet_store_close(struct denet_store *store);
