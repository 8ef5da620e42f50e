/* The code of a process: its executable mappings, their files, and the names that its just-in-time
 * compiler gives to the rest. */
#pragma once

#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/perf_map.h"
#include "core/stacks/unwind/dso.h"

#include <sys/types.h>

struct denet_address_space {
  /* Set by the owner: */
  pid_t pid;
  struct denet_dsos *dsos; /* borrowed, as is the next */
  const char *proc_path;
  /* Zero at first: */
  uint64_t start_ticks;   /* of the process that was there first; 0: none was */
  struct denet_maps maps; /* with their files; NULL where there is no file to read */
  struct denet_perf_map perf_map;
  uint64_t read_ns, perf_map_read_ns; /* when, monotonic clock */
};

/* Gives back everything; then it may be read again. */
void denet_address_space_done(struct denet_address_space *space);

/* Reads the mappings of space->pid and opens their files, in place of those before. 0 or -errno,
 * then nothing has changed: -ESRCH when the process has exited or another one has its pid. */
int denet_address_space_read(struct denet_address_space *space);

/* Copies another's mappings into a space that has none, as a fork does. 0 or -ENOMEM. */
int denet_address_space_copy(const struct denet_address_space *from,
                             struct denet_address_space *space);

/* Returns the memory that it holds, up to some 50 MB: the process decides how much. */
uint64_t denet_address_space_bytes(const struct denet_address_space *space);

/* Finds what is at an address: false if nothing executable is, else the dso (NULL: no file) and the
 * address that the file gives it. Opens the file again if it had to be closed. */
bool denet_address_space_find(struct denet_address_space *space, uint64_t address,
                              struct denet_dso **out_dso, uint64_t *out_address);

/* Appends the name of a frame at an address. *out_certain: it would be the same later. 0 or
 * -ENOMEM. */
int denet_address_space_append_name(struct denet_address_space *space, uint64_t address,
                                    struct denet_buffer *out, bool *out_certain);
