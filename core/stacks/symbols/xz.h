/* Unpacks what is packed by xz. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Into a file of memory alone. Its descriptor, which the caller owns; -EFBIG if more than limit
 * bytes come out of it or are needed; -ENOEXEC if it is broken; -ENOMEM. */
int denet_xz_unpack(const unsigned char *packed, size_t bytes, uint64_t limit);
