/* Where a process has its code: its executable mappings, the images of their files, and what its
 * just-in-time compiler says of the rest. */
#pragma once

#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/perf_map.h"
#include "core/stacks/unwind/dso.h"

#include <sys/types.h>

struct denet_address_space {
  /* Set by whoever makes it: */
  pid_t pid;
  struct denet_dsos *images; /* borrowed, as is the next */
  const char *proc_path;
  /* The rest is zero at first. */
  uint64_t start_ticks; /* of the process that was read first; 0: none was */
  struct denet_maps mappings;
  struct denet_dso **mapped; /* beside each mapping; NULL where there is no file to read */
  size_t mapped_count;
  struct denet_perf_map perf_map;
  uint64_t read_ns, perf_map_read_ns; /* when, monotonic clock */
};

/* Gives back everything; then it may be read again. */
void denet_address_space_done(struct denet_address_space *space);

/* Reads the mappings of space->pid and opens their files. What was there before is replaced, but
 * only where that succeeds. 0 or -errno: -ESRCH when the process has exited or another one has its
 * pid. */
int denet_address_space_read(struct denet_address_space *space);

/* The same as another's, as a fork's is. 0 or -ENOMEM. */
int denet_address_space_copy(const struct denet_address_space *from,
                             struct denet_address_space *space);

/* Memory that it holds: as much as the process's user likes, up to some 50 MB. */
uint64_t denet_address_space_bytes(const struct denet_address_space *space);

/* What is at an address: false if nothing executable is, else the image, NULL where there is none,
 * and the address that its file gives it. Opens a file again that had to be closed. */
bool denet_address_space_find(struct denet_address_space *space, uint64_t address,
                              struct denet_dso **out_image, uint64_t *out_address);

/* Appends what is at an address, as a frame's name: 0 or -ENOMEM. *out_certain is false where
 * asking later may tell more. */
int denet_address_space_tell(struct denet_address_space *space, uint64_t address,
                             struct denet_buffer *out, bool *out_certain);
