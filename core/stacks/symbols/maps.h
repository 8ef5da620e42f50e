/* What /proc/PID/maps says of executable memory: from address to file and place in it. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define DENET_MAPS_MOST 65536
#define DENET_MAPPING_NAME_MOST 64

struct denet_mapping {
  uint64_t start, end; /* addresses of the process */
  uint64_t offset;     /* of start in the file */
  uint64_t device;     /* major << 32 | minor */
  uint64_t inode;      /* 0: of no file */
  size_t path;         /* where in the texts; "" for anonymous memory; "[vdso]" is no path */
};

struct denet_maps {
  struct denet_mapping *all; /* executable ones, by address; owned */
  size_t count, capacity;
  struct denet_buffer texts; /* paths, each with a NUL behind it */
};

void denet_maps_done(struct denet_maps *mappings);

/* Reads the text of such a file; whatever stood in *mappings is gone. Lines that are none are
 * passed over, as are those behind DENET_MAPS_MOST. 0 or -ENOMEM. */
int denet_maps_parse(struct denet_text text, struct denet_maps *mappings);

/* A copy of another's. 0 or -ENOMEM, then *mappings is empty. */
int denet_maps_copy(const struct denet_maps *from, struct denet_maps *mappings);

/* The one that holds the address; NULL if none does. */
const struct denet_mapping *denet_maps_find(const struct denet_maps *mappings, uint64_t address);

/* Its path as the kernel wrote it, but that "\012" is a newline again; it ends in " (deleted)" when
 * the file is. Valid until the mappings are changed. */
const char *denet_mapping_path(const struct denet_maps *mappings,
                               const struct denet_mapping *mapping);

/* The file's name for people: without folders and " (deleted)", at most DENET_MAPPING_NAME_MOST
 * bytes, control bytes as '?'. */
void denet_mapping_name(const struct denet_maps *mappings, const struct denet_mapping *mapping,
                        char out[DENET_MAPPING_NAME_MOST + 1]);
