/* One file of lines while it is written. The lines of a process go to segments (README.md). The
 * order of their names (C locale, up to segment 9999) is the order of time. A segment always ends
 * with a whole line. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_segment_id {
  pid_t pid;
  uint64_t t0_ms;
  unsigned number; /* 1, 2, ... */
};

/* The folder of a segment below its instance's folder: the day YYYY-MM-DD in UTC. Files of earlier
 * versions have "", the instance's folder itself, or a number of at least six digits. */
typedef char denet_segment_dir[12];
typedef char denet_segment_name[64];

struct denet_segment {
  struct denet_segment_id id; /* of the latest one; number 0: there has been none */
  denet_segment_dir dir;
  uint64_t bytes;        /* written to the latest one; 0: none is open for lines */
  uint64_t header_bytes; /* of those, the metadata line with its newline */
  dev_t device;
  ino_t inode;
  int fd; /* owned; -1: closed, lines may still come. FD_SETSIZE or more where the limit allows */
};

/* Writes the name of a file. id->number is not 0. */
void denet_segment_name_of(const struct denet_segment_id *id, denet_segment_name out_name);

/* Compares the processes of two segments, t0_ms before pid, as bsearch(3) needs it. */
int denet_segment_compare(const struct denet_segment_id *left,
                          const struct denet_segment_id *right);

/* Returns whether denet_segment_name_of() gives this name, and fills in the id that it has. */
bool denet_segment_parse(const char *name, struct denet_segment_id *out_id);

/* Writes the name of the folder of a day. */
void denet_segment_dir_of(uint64_t unix_ms, denet_segment_dir out_dir);

/* Returns whether a folder of this name may hold segments: that of a day, or a numbered one. */
bool denet_segment_is_dir(const char *name);

/* Makes the next segment's file in the open folder dir (O_EXCL | O_NOFOLLOW, mode 0640) and writes
 * the header, a line without its newline. The number follows segment->id.number; if that name is
 * taken, it follows the greatest number in dir. The segment must be closed; segment->dir is the
 * caller's. 0 or -errno, then there is no new file. */
int denet_segment_start(struct denet_segment *segment, int dir, struct denet_text header);

/* Checks that the segment's name in dir leads to its file, and opens a closed one again. 0;
 * DENET_GONE if not; -errno if that cannot be found out. */
int denet_segment_find(struct denet_segment *segment, int dir);

/* Checks that the file of an open segment is as the last append left it. 0; DENET_GONE if others
 * removed it, cut it or wrote to it; -errno if that cannot be found out. */
int denet_segment_check(const struct denet_segment *segment);

/* Writes the line and a newline with one write. 0 or -errno; after a failure the file ends with the
 * line before. */
int denet_segment_append(struct denet_segment *segment, struct denet_text line);
