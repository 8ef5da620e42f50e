/* Pid files. Another program owns the file: nothing in it is trusted, nor its type. */
#pragma once

#include <sys/types.h>

/* Reads the pid in the file at path, and the owner of the file. *out_pid is 0, and *out_owner
 * unchanged, if the file does not exist, may not be read, holds no pid, is not regular (a FIFO is
 * not waited for), or is in /proc or behind a link of /proc into another process. 0; -errno of a
 * transient error (denet_error_is_transient()). */
int denet_pid_file_read(const char *path, pid_t *out_pid, uid_t *out_owner);
