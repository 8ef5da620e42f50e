/* The names that a just-in-time compiler gives its functions: /tmp/perf-PID.map, a line for each,
 * "START SIZE name" in hexadecimal digits (tools/perf/Documentation/jit-interface.txt). */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>

#define DENET_PERF_NAME_MOST 200
#define DENET_PERF_BEFORE_MOST 4096

struct denet_perf_entry {
  uint64_t start, end;
  uint64_t reach; /* the highest end of this entry and of those before it */
  uint32_t name;  /* offset in the names */
};

struct denet_perf_map {
  struct denet_perf_entry *entries; /* by start; owned */
  size_t count, capacity;
  struct denet_buffer names; /* each with a NUL behind it */
  /* Of the file that was read last; 0 before. */
  uint64_t bytes, modified_ns, inode;
};

void denet_perf_map_done(struct denet_perf_map *map);

/* Parses such a text, in place of what *map had. Where entries overlap the later line counts, since
 * memory is used again. A control byte of a name becomes '?', and what is above
 * DENET_PERF_NAME_MOST bytes is cut off. Malformed lines are skipped. 0 or -ENOMEM. */
int denet_perf_map_parse(struct denet_text text, struct denet_perf_map *map);

/* Returns the name of the function at the address; NULL if there is none among the
 * DENET_PERF_BEFORE_MOST nearest that begin there or before it. Valid until the map is changed. */
const char *denet_perf_map_find(const struct denet_perf_map *map, uint64_t address);

/* Reads the file of the process whose directory in /proc is open, if it has changed since the last
 * time. Only a regular file of the process's user of at most 16 MiB is read. 0; -errno where there
 * is no such file. */
int denet_perf_map_read(struct denet_perf_map *map, int process_fd);
