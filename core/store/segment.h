/* One record file while it is written. What a key of the store has to say goes to parts:
 * <pid>-<t0_ms>.jsonl, then <pid>-<t0_ms>_0002.jsonl and so on, so that the order of the names (C
 * locale, up to part 9999) is the order of time. The file always ends with a whole line. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_segment_id {
  uint64_t t0_ms;
  pid_t pid;
  unsigned number; /* 1, 2, ... */
};

struct denet_segment {
  struct denet_segment_id id; /* the latest part's; number 0: there has been none */
  uint64_t bytes;             /* written to that part; 0 when no part is open for lines */
  uint64_t head_bytes;        /* of those, the first line with its newline */
  dev_t device;
  ino_t inode;
  int fd; /* -1: closed, but lines may still come; else FD_SETSIZE or more where the limit of open
             files allows */
};

typedef char denet_segment_name[64];

/* The file's name. number is not 0. */
void denet_segment_name_of(const struct denet_segment_id *id, denet_segment_name out_name);

/* Whether name is one that denet_segment_name_of() gives, and of which part. */
bool denet_segment_parse(const char *name, struct denet_segment_id *out_id);

/* Makes the next part's file in folder, for this caller alone (O_EXCL | O_NOFOLLOW, mode 0640), and
 * writes head, a line without its newline. Its number follows part->id.number; where the name is
 * taken, it is the next one after all that folder has. 0 or -errno, then there is no file. The part
 * must be closed. */
int denet_segment_start(struct denet_segment *part, int folder, struct denet_text head);

/* Opens a closed part again. 0; DENET_GONE when the name is gone or leads to another file. */
int denet_segment_reopen(struct denet_segment *part, int folder);

/* Looks whether the part's name in folder leads to its file. 0; DENET_GONE when it does not; -errno
 * when there is no telling. */
int denet_segment_find(const struct denet_segment *part, int folder);

/* Reads the first line of an open part back, without its newline. out_head's memory passes to the
 * caller, what it held before is not freed. 0; DENET_GONE when others have cut the file or written
 * over it so that this is no longer the head; -errno. */
int denet_segment_read_head(const struct denet_segment *part, struct denet_buffer *out_head);

/* Looks whether an open part's file is as it was left. 0; DENET_GONE when others have removed it,
 * cut it or written to it; -errno when there is no telling. */
int denet_segment_check(const struct denet_segment *part);

/* Writes the line and a newline with one write. 0 or -errno; then nothing of it stays. */
int denet_segment_append(struct denet_segment *part, struct denet_text line);

/* Closes the descriptor; the part may be opened again. */
void denet_segment_close(struct denet_segment *part);
