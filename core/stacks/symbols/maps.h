/* The executable memory of a process, from /proc/PID/maps: address to file and offset in it. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define DENET_MAPS_MOST 65536
#define DENET_MAPPING_NAME_MOST 64

struct denet_mapping {
  uint64_t start, end;   /* addresses of the process */
  uint64_t offset;       /* of start in the file */
  uint64_t device;       /* major << 32 | minor */
  uint64_t inode;        /* 0: of no file */
  size_t path;           /* offset in the texts; "" for anonymous memory; "[vdso]" is no path */
  struct denet_dso *dso; /* for the user of the maps; NULL after parsing */
};

struct denet_maps {
  struct denet_mapping *all; /* executable ones, by address; owned */
  size_t count, capacity;
  struct denet_buffer texts; /* paths, each with a NUL behind it */
};

void denet_maps_done(struct denet_maps *maps);

/* Parses the text of such a file, in place of what *maps had. Lines that are malformed or out of
 * order are skipped, as are those behind DENET_MAPS_MOST. 0 or -ENOMEM. */
int denet_maps_parse(struct denet_text text, struct denet_maps *maps);

/* Copies another's into *maps, which is zeroed. 0 or -ENOMEM, then *maps is empty. */
int denet_maps_copy(const struct denet_maps *from, struct denet_maps *maps);

/* Returns the mapping that has the address; NULL if none has. */
const struct denet_mapping *denet_maps_find(const struct denet_maps *maps, uint64_t address);

/* Returns the path as the kernel wrote it, except that "\012" is a newline again. It ends in
 * " (deleted)" if the file is deleted. Valid until the maps are changed. */
const char *denet_mapping_path(const struct denet_maps *maps, const struct denet_mapping *mapping);

/* Gets the file's name as it is shown: without directories and " (deleted)", at most
 * DENET_MAPPING_NAME_MOST bytes, control bytes as '?'. */
void denet_mapping_name(const struct denet_maps *maps, const struct denet_mapping *mapping,
                        char out[DENET_MAPPING_NAME_MOST + 1]);

/* Takes a line off the front of the text, without its newline; false at the end of the text. */
bool denet_maps_take_line(struct denet_text *text, struct denet_text *out_line);

/* Takes a number, the one byte end behind it and then spaces off the front of the text; false if it
 * is not that, or above 64 bits. base: at most 16. */
bool denet_maps_take_number(struct denet_text *text, unsigned base, char end, uint64_t *out_number);

/* Makes bytes of a process or file fit to be shown: a control byte becomes '?'. */
void denet_maps_make_safe(char *bytes, size_t length);
