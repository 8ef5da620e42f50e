/* The end of a file that no process writes to any more. A crash in the middle of a write leaves
 * half a line there, a power failure leaves zeros: the torn end follows the last whole line. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* Returns how many bytes of end there are up to the last whole line, with that; 0 if it has none. A
 * whole line begins with '{', ends with "}\n", and has no NUL and no other newline. end is the end
 * of a file, or all of it: else its first line does not count, which may be the rest of one. Pure:
 * any bytes. */
size_t denet_repair_whole_bytes(struct denet_text end, bool is_all);

/* Cuts off the torn end of the file called name in dir; its time of change stays. Takes regular
 * files only, follows no symbolic link, and must not be called while others may write to the file.
 * 0 with the length that remains, in bytes; DENET_GONE if the file had no whole line and was
 * removed; -EINVAL if it is no regular file; -errno, also if there is no memory for the torn end;
 * -EFBIG if that has more than about 64 MiB: the file stays as it is. */
int denet_repair_file(int dir, const char *name, uint64_t *out_bytes);
