/* The files that processes execute: each opened once however many have it mapped, and what of it
 * was read so far. All of them together keep to a budget of memory. */
#pragma once

#include "core/stacks/symbols/line_table.h"
#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/symbols.h"
#include "core/stacks/unwind/unwind_table.h"
#include "core/util/buffer.h"

#define DENET_DSO_LOADS_MOST 16

/* Of a file, what another one would not have. */
struct denet_dso_key {
  uint64_t device, inode, bytes, modified_ns, changed_ns;
};

/* A part of the file that is in memory when it runs. */
struct denet_dso_load {
  uint64_t offset, bytes, address;
};

/* What was worked out already: texts by address. */
struct denet_dso_known;

struct denet_dso {
  struct denet_dso_key key;
  uint64_t mapped_device; /* as maps names it; file systems may disagree with stat() */
  int fd;                 /* owned; -1 when it has been given back */
  unsigned users;         /* mappings of living processes */
  uint64_t used;          /* when it was used last, on the images' clock */
  char name[DENET_MAPPING_NAME_MOST + 1]; /* of the file, without folders */
  bool is_elf;
  size_t load_count;
  struct denet_dso_load loads[DENET_DSO_LOADS_MOST];

  /* Each read when it is asked for first; NULL, and tried, where there is none. */
  bool table_tried, symbols_tried, lines_tried;
  struct denet_unwind_table *table;
  struct denet_symbols *symbols;
  struct denet_line_table *lines;
  struct denet_dso_known *known;
  uint64_t memory_bytes;  /* of these four */
  struct denet_dso *next; /* of the same bucket */
};

#define DENET_DSO_BUCKETS 256

struct denet_dsos {
  struct denet_dso *buckets[DENET_DSO_BUCKETS];
  uint64_t budget_bytes, memory_bytes;
  uint64_t clock;
  size_t count, open_count;
};

void denet_dsos_done(struct denet_dsos *images);

/* The image of a file that is mapped as this device and inode, if it is known, open and as it was:
 * so the file need not be opened. One more user. NULL if it is not. */
struct denet_dso *denet_dsos_find(struct denet_dsos *images, uint64_t mapped_device,
                                  uint64_t inode);

/* The image of an open file, which may be known; one more user. fd is taken over in any case. name
 * is the file's, for people. 0 or -errno: -EFBIG above 4 GiB. */
int denet_dsos_take(struct denet_dsos *images, int fd, uint64_t mapped_device, const char *name,
                    struct denet_dso **out_image);

/* One user more, one less. The image of no user may be gone. */
void denet_dso_hold(struct denet_dso *image);
void denet_dsos_release(struct denet_dsos *images, struct denet_dso *image);

/* Whether its file must be opened again before more can be read; then with what
 * denet_dso_reopen() is given, which is taken over and counts only if it is the same file,
 * unchanged. */
bool denet_dso_wants_file(const struct denet_dso *image);
void denet_dsos_reopen(struct denet_dsos *images, struct denet_dso *image, int fd);

/* The file's own address of what is at an offset in it; false if that is not in memory. */
bool denet_dso_address(const struct denet_dso *image, uint64_t offset, uint64_t *out_address);

/* NULL where the file has none. Valid until another image is used. */
const struct denet_unwind_table *denet_dsos_table(struct denet_dsos *images,
                                                  struct denet_dso *image);

/* Appends "function (file.c:12)", "function" or "module+0x1f" for an address of the file. 0 or
 * -ENOMEM. */
int denet_dsos_tell(struct denet_dsos *images, struct denet_dso *image, uint64_t address,
                    struct denet_buffer *out);
