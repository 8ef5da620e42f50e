/* The files that processes execute (programs, shared objects): each is opened once, however many
 * processes have it mapped, and has what was read of it so far. All of them together keep to a
 * budget of memory. */
#pragma once

#include "core/stacks/symbols/line_table.h"
#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/symbols.h"
#include "core/stacks/unwind/unwind_table.h"
#include "core/util/buffer.h"

#define DENET_DSO_LOADS_MOST 16

/* Which file it is, and with which content. */
struct denet_dso_key {
  uint64_t device, inode, bytes, modified_ns;
};

struct denet_dso_name; /* of an address, made before */

struct denet_dso {
  struct denet_dso_key key;
  uint64_t mapped_device; /* as /proc/PID/maps has it; some file systems give stat(2) another one */
  int fd;                 /* owned; -1 when it has been given back */
  unsigned users;         /* mappings of open processes */
  uint64_t used;          /* when it was used last, on the dsos' clock */
  bool is_elf;
  size_t load_count;
  Elf64_Phdr loads[DENET_DSO_LOADS_MOST]; /* the parts that are in memory when it runs */

  /* Read when they are needed first; zeroed, and tried, where there is none. */
  bool table_tried, symbols_tried;
  struct denet_unwind_table table;
  struct denet_symbols symbols;
  struct denet_line_table *lines; /* tried with the symbols */
  struct denet_dso_name *names;
  uint64_t memory_bytes;  /* of these four */
  struct denet_dso *next; /* of the same bucket */
};

#define DENET_DSO_BUCKETS 256

struct denet_dsos {
  struct denet_dso *buckets[DENET_DSO_BUCKETS]; /* by inode */
  uint64_t budget_bytes, memory_bytes;
  uint64_t clock; /* counts uses */
  size_t open_count;
};

/* Frees all; they must not be used by any mapping after it. */
void denet_dsos_done(struct denet_dsos *dsos);

/* Returns the dso that is mapped as this device and inode, with one user more; NULL if it is not
 * known, not open or has changed: then the file must be opened. */
struct denet_dso *denet_dsos_find(struct denet_dsos *dsos, uint64_t mapped_device, uint64_t inode);

/* Finds or makes the dso of an open file, with one user more; it is open then. fd is taken over in
 * any case. 0 or -errno: -EFBIG above 4 GiB. */
int denet_dsos_open(struct denet_dsos *dsos, int fd, uint64_t mapped_device,
                    struct denet_dso **out_dso);

/* Removes a user. A dso without users may be gone at once. */
void denet_dsos_release(struct denet_dsos *dsos, struct denet_dso *dso);

/* Gets the file's own address of what is at an offset in it; false if that is not in memory. */
bool denet_dso_address(const struct denet_dso *dso, uint64_t offset, uint64_t *out_address);

/* Returns the unwind tables; NULL where the file has none. Valid until another dso is used. */
const struct denet_unwind_table *denet_dsos_table(struct denet_dsos *dsos, struct denet_dso *dso);

/* Appends "function (file.c:12)" or "function" for an address of the file. 0; -ENOENT if the
 * function has no name, or -ENOMEM: then out is as before. */
int denet_dsos_append_name(struct denet_dsos *dsos, struct denet_dso *dso, uint64_t address,
                           struct denet_buffer *out);
