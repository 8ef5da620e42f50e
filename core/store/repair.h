/* The end of a record file that nobody writes to any more. A crash in the middle of a write leaves
 * half a line there, a power failure leaves zeros; behind the last whole line is the torn tail. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* A look at a file from its end to its start. Starts zeroed; owns nothing. A whole line begins with
 * '{', ends with "}\n" and has no NUL and no other newline. */
struct denet_repair {
  uint64_t seen_bytes;   /* looked at so far */
  uint64_t behind_bytes; /* of those, what is behind the newline that was found last */
  bool may_be_whole;     /* the line that this newline ends is whole as far as it was seen */
  char latest;           /* the byte looked at last */
};

/* Looks at the block that stands right before all that was looked at already; the first one is the
 * end of the file. Pure, any bytes and any length, so that the blocks may be of any size. Returns
 * true once a whole line was found: then nothing is left to look at. */
bool denet_repair_scan(struct denet_repair *tail, struct denet_text block);

/* Bytes at the end of the file that belong to no whole line: all of them when none is whole. For a
 * look that has found one or has come to the start of the file. */
uint64_t denet_repair_torn_bytes(const struct denet_repair *tail);

/* Cuts the torn tail off folder's file name; its time of change stays what it was. Takes a regular
 * file only, follows no symbolic link, and must not be called while others may write to it. 0 with
 * the length that it has now, in bytes; DENET_GONE when it had no whole line and was removed;
 * -EINVAL when it is no regular file; -errno. */
int denet_repair_file(int folder, const char *name, uint64_t *out_bytes);
