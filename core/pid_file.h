/* Pid files: somebody else's file, so nothing in it or about it is trusted. */
#pragma once

#include <sys/types.h>

/* The pid in the file at path. 0 when there is no such file, it is not a regular one (a FIFO is not
 * waited for), it cannot be read, or holds no pid. */
pid_t denet_pid_file_read(const char *path);
