/* A stand-in for core/source/procfs/read_worker.c, linked in its place: the caller reads. So texts
 * are always there at once, and a test can make reads fail. */
#pragma once

#include <stdbool.h>

/* Whether reads stall: of each single text, and in lists of the files of process 102. */
extern bool read_at_once_stalls;
