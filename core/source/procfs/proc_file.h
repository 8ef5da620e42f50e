/* Reads a file or a link of a process below /proc. */
#pragma once

#include "core/util/buffer.h"

/* Reads as denet_buffer_read_path() does, and may block. Of a link "exe" it cuts off the
 * " (deleted)" that the kernel appends to the path of a file without a name (d_path, fs/d_path.c),
 * unless the file that the process executes has that name, as seen from the root of the process. */
int denet_proc_file_read(struct denet_buffer *out, int dir, const char *path, size_t limit);
