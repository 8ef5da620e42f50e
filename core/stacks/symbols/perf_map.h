/* The names that a just-in-time compiler gives its functions: /tmp/perf-PID.map, a line for each,
 * "START SIZE name" in hexadecimal digits. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define DENET_PERF_NAME_MOST 200
#define DENET_PERF_BEFORE_MOST 4096

struct denet_perf_entry {
  uint64_t start, end;
  uint64_t reach; /* the highest end of this one and of those before it */
  uint32_t name;  /* where in the names */
};

struct denet_perf_map {
  struct denet_perf_entry *entries; /* by start; owned */
  size_t count, capacity;
  struct denet_buffer names; /* each with a NUL behind it */
  /* Of the file that was read last; 0 before. */
  uint64_t bytes, modified_ns, inode;
};

void denet_perf_map_done(struct denet_perf_map *map);

/* Reads such a text; whatever stood in *map is gone. Where entries overlap the later one counts, as
 * memory is used again. A control byte of a name becomes '?', what is above DENET_PERF_NAME_MOST
 * bytes is cut off. Lines that are none are passed over. 0 or -ENOMEM. */
int denet_perf_map_parse(struct denet_text text, struct denet_perf_map *map);

/* The name of the function at the address; NULL if there is none among the DENET_PERF_BEFORE_MOST
 * that begin there or before it and nearest to it. Valid until the map is changed. */
const char *denet_perf_map_find(const struct denet_perf_map *map, uint64_t address);

/* Reads the process's file if it is another than the last time. The folder is /proc/PID, open. The
 * file counts if it is a regular one of the process's user, not above 16 MiB. 0,
 * *out_new says whether it was read; -errno where there is none that counts. */
int denet_perf_map_read(struct denet_perf_map *map, int process_fd, bool *out_new);
