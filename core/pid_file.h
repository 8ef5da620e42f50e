/* Pid files: somebody else's file, so nothing in it or about it is trusted. */
#pragma once

#include <sys/types.h>

/* The pid in the file at path, and who owns the file. 0, and *out_owner as it was, when there is no
 * such file, it is not a regular one (a FIFO is not waited for), it cannot be read or it is reached
 * through a link of /proc into another process; 0 when it holds no pid. */
pid_t denet_pid_file_read(const char *path, uid_t *out_owner);
