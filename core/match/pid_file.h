/* Pid files: somebody else's file, so nothing in it or about it is trusted. */
#pragma once

#include <sys/types.h>

/* The pid in the file at path, and who owns the file; none, 0, when there is no such file, it is
 * not a regular one (a FIFO is not waited for), it may not be read, is one of /proc or
 * reached through a link of that into another process, or holds no pid. 0; -errno when it cannot be
 * read for the moment (denet_error_is_transient()). *out_owner is only set with a pid. */
int denet_pid_file_read(const char *path, pid_t *out_pid, uid_t *out_owner);
