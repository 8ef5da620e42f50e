/* The end of a file that nobody writes to any more. A crash in the middle of a write leaves half a
 * line there, a power failure leaves zeros: the torn end follows the last whole line. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* The state of a search from the end of a file to its start. Starts zeroed; owns nothing. A whole
 * line begins with '{', ends with "}\n", and has no NUL and no other newline. */
struct denet_repair {
  uint64_t seen_bytes;   /* searched so far */
  uint64_t behind_bytes; /* of those, what follows the newline that was found last */
  bool may_be_whole;     /* the line that this newline ends is whole as far as it was searched */
  char latest;           /* the byte searched last */
};

/* Searches the block that stands right before all blocks searched so far; the first call gets the
 * end of the file. Pure: any bytes, blocks of any size. Returns true once a whole line was found:
 * then the search is over. */
bool denet_repair_scan(struct denet_repair *repair, struct denet_text block);

/* Returns how many bytes at the end of the file belong to no whole line: all of them if there is no
 * whole line. For a search that is over, or has come to the start of the file. */
uint64_t denet_repair_torn_bytes(const struct denet_repair *repair);

/* Cuts off the torn end of the file called name in dir; its time of change stays. Takes regular
 * files only, follows no symbolic link, and must not be called while others may write to the file.
 * 0 with the length that remains, in bytes; DENET_GONE if the file had no whole line and was
 * removed; -EINVAL if it is no regular file; -errno. */
int denet_repair_file(int dir, const char *name, uint64_t *out_bytes);
