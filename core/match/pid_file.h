/* Pid files. Another program owns the file: nothing in it is trusted, nor its type. */
#pragma once

#include "core/util/error.h"

#include <stdint.h>
#include <sys/types.h>

struct denet_pid_file {
  pid_t pid; /* above 0 */
  uid_t owner;
  uint64_t written_ms; /* the file's last change, Unix ms */
  bool is_in_memory;   /* its file system (tmpfs) does not outlive a boot */
};

/* Reads the pid in the file at path. 0; a transient error (denet_error_is_transient()) without a
 * sentence; another -errno with a sentence that calls the file "it": -ENOENT if there is none; it
 * may not be read, is not regular (a FIFO is not waited for), is in /proc or behind a link of /proc
 * into another process, or holds no pid. */
int denet_pid_file_read(const char *path, struct denet_pid_file *out_file,
                        struct denet_error *error);
