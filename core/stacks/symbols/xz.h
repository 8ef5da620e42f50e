/* Decompression of .xz data. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Decompresses into a file that is only in memory. Returns its descriptor, which the caller owns;
 * -EFBIG if more than limit bytes come out or are needed; -ENOEXEC if the data is broken; -ENOMEM.
 */
int denet_xz_decompress(const unsigned char *compressed, size_t bytes, uint64_t limit);
