#include "core/stacks/unwind/dso.h"

#include "core/stacks/symbols/demangle.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MOST (UINT64_C(4) << 30)
#define OPEN_MOST 256
#define NAMES 512
#define FUNCTION_MOST 400 /* bytes of a name; those of templates can be any length */

struct denet_dso_name {
  uint64_t address;
  char *text; /* owned; NULL: none */
};

static struct denet_dso **bucket_of(struct denet_dsos *dsos, uint64_t inode) {
  return &dsos->buckets[(inode * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

static int read_key(int fd, struct denet_dso_key *out_key) {
  struct stat status;
  if (fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  if ((uint64_t)status.st_size > FILE_MOST)
    return -EFBIG;
  *out_key = (struct denet_dso_key){.device = status.st_dev,
                                    .inode = status.st_ino,
                                    .bytes = (uint64_t)status.st_size,
                                    .modified_ns = (uint64_t)status.st_mtim.tv_sec * 1000000000 +
                                                   (uint64_t)status.st_mtim.tv_nsec};
  return 0;
}

/* Returns whether the dso's file is open and has the content that it had. */
static bool is_same_file(const struct denet_dso *dso) {
  struct denet_dso_key key = {0};
  return dso->fd >= 0 && !read_key(dso->fd, &key) && !memcmp(&key, &dso->key, sizeof(key));
}

/* Frees what was read; it can be read again. */
static void unload(struct denet_dsos *dsos, struct denet_dso *dso) {
  denet_unwind_table_done(&dso->table);
  denet_symbols_done(&dso->symbols);
  denet_line_table_free(DENET_TAKE(dso->lines));
  for (size_t i = 0; dso->names && i < NAMES; i++)
    free(dso->names[i].text);
  free(DENET_TAKE(dso->names));
  dsos->memory_bytes -= dso->memory_bytes;
  dso->memory_bytes = 0;
  dso->table_tried = dso->symbols_tried = false;
}

static void close_file(struct denet_dsos *dsos, struct denet_dso *dso) {
  if (dso->fd >= 0)
    dsos->open_count--;
  denet_closep(&dso->fd);
}

static void remove_dso(struct denet_dsos *dsos, struct denet_dso *dso) {
  struct denet_dso **link = bucket_of(dsos, dso->key.inode);
  while (*link != dso)
    link = &(*link)->next;
  *link = dso->next;
  unload(dsos, dso);
  close_file(dsos, dso);
  free(dso);
}

void denet_dsos_done(struct denet_dsos *dsos) {
  for (size_t i = 0; i < DENET_DSO_BUCKETS; i++)
    while (dsos->buckets[i])
      remove_dso(dsos, dsos->buckets[i]);
}

/* Finds the dso whose file or memory is given back first: one without users, if there is any, else
 * the one that was not used for longest. */
static struct denet_dso *find_victim(const struct denet_dsos *dsos, const struct denet_dso *keep,
                                     bool is_of_files) {
  struct denet_dso *found = NULL;
  uint64_t least = UINT64_MAX;
  for (size_t i = 0; i < DENET_DSO_BUCKETS; i++)
    for (struct denet_dso *dso = dsos->buckets[i]; dso; dso = dso->next) {
      uint64_t worth = dso->used + (dso->users ? UINT64_MAX / 2 : 0);
      bool has_any = is_of_files ? dso->fd >= 0 : dso->memory_bytes > 0;
      if (dso == keep || !has_any || worth >= least)
        continue;
      found = dso;
      least = worth;
    }
  return found;
}

struct denet_dso *denet_dsos_find(struct denet_dsos *dsos, uint64_t mapped_device, uint64_t inode) {
  for (struct denet_dso *dso = *bucket_of(dsos, inode); dso; dso = dso->next) {
    /* An inode that is held open is not another file's. */
    if (dso->key.inode != inode || dso->mapped_device != mapped_device || !is_same_file(dso))
      continue;
    dso->users++;
    dso->used = ++dsos->clock;
    return dso;
  }
  return NULL;
}

/* Reads where the parts of the file are in memory, which is needed also when the file is closed. */
static void read_loads(struct denet_dso *dso) {
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  if (denet_elf_file_open(dso->fd, &file))
    return;
  dso->is_elf = true;
  for (size_t i = 0; i < file.program_count && dso->load_count < DENET_DSO_LOADS_MOST; i++) {
    const Elf64_Phdr *program = &file.programs[i];
    if (program->p_type == PT_LOAD)
      dso->loads[dso->load_count++] = *program;
  }
}

int denet_dsos_open(struct denet_dsos *dsos, int fd, uint64_t mapped_device,
                    struct denet_dso **out_dso) {
  DENET_CLOSE int owned = fd;
  struct denet_dso_key key = {0};
  int error = read_key(owned, &key);
  if (error)
    return error;
  struct denet_dso **bucket = bucket_of(dsos, key.inode), *dso = *bucket;
  while (dso && memcmp(&dso->key, &key, sizeof(key)) != 0)
    dso = dso->next;
  bool is_new = !dso;
  if (is_new) {
    dso = malloc(sizeof(*dso));
    if (!dso)
      return -ENOMEM;
    *dso = (struct denet_dso){.key = key, .fd = -1, .next = *bucket};
    *bucket = dso;
  }
  if (dso->fd < 0) {
    struct denet_dso *other = dsos->open_count >= OPEN_MOST ? find_victim(dsos, dso, true) : NULL;
    if (other)
      close_file(dsos, other);
    dso->fd = DENET_TAKE_FD(owned);
    dsos->open_count++;
  }
  if (is_new)
    read_loads(dso);
  dso->mapped_device = mapped_device;
  dso->users++;
  dso->used = ++dsos->clock;
  *out_dso = dso;
  return 0;
}

void denet_dsos_release(struct denet_dsos *dsos, struct denet_dso *dso) {
  if (--dso->users)
    return;
  /* What was read stays for the next process of the same program, within the budget. */
  if (dso->memory_bytes)
    close_file(dsos, dso);
  else
    remove_dso(dsos, dso);
}

bool denet_dso_address(const struct denet_dso *dso, uint64_t offset, uint64_t *out_address) {
  for (size_t i = 0; i < dso->load_count; i++) {
    const Elf64_Phdr *load = &dso->loads[i];
    if (offset - load->p_offset >= load->p_filesz)
      continue;
    *out_address = offset - load->p_offset + load->p_vaddr;
    return true;
  }
  return false;
}

/* Counts memory of the dso, and frees others' if that is above the budget. */
static void add_memory(struct denet_dsos *dsos, struct denet_dso *dso, uint64_t bytes) {
  dso->memory_bytes += bytes;
  dsos->memory_bytes += bytes;
  while (dsos->memory_bytes > dsos->budget_bytes) {
    struct denet_dso *victim = find_victim(dsos, dso, false);
    if (!victim)
      return;
    if (victim->users)
      unload(dsos, victim);
    else
      remove_dso(dsos, victim);
  }
}

const struct denet_unwind_table *denet_dsos_table(struct denet_dsos *dsos, struct denet_dso *dso) {
  dso->used = ++dsos->clock;
  if (!dso->table_tried && dso->fd >= 0 && dso->is_elf) {
    DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
    dso->table_tried = true;
    if (is_same_file(dso) && !denet_elf_file_open(dso->fd, &file) &&
        !denet_unwind_table_init(&file, dsos->budget_bytes / 2, &dso->table))
      add_memory(dsos, dso, dso->table.bytes);
  }
  return dso->table.bytes ? &dso->table : NULL;
}

/* Returns whether root alone can write the file. libdw takes gigabytes for a line table that is
 * made up of a few KB, and where there is no memory it ends the whole process. */
static bool has_trusted_lines(int fd) {
  struct stat status;
  return fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == 0 &&
         !(status.st_mode & S_IWOTH) && (status.st_gid == 0 || !(status.st_mode & S_IWGRP));
}

/* Opens the file's separate debugging information, as distributions install it (by build-id).
 * Returns a descriptor or -1. */
static int open_debug_file(const struct denet_elf_file *file) {
  char id[DENET_BUILD_ID_BYTES], path[128];
  if (!denet_elf_file_build_id(file, id))
    return -1;
  snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
  DENET_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return has_trusted_lines(fd) ? DENET_TAKE_FD(fd) : -1;
}

static void read_symbols(struct denet_dsos *dsos, struct denet_dso *dso) {
  if (dso->symbols_tried || dso->fd < 0 || !dso->is_elf)
    return;
  dso->symbols_tried = true;
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1}, debug = {.fd = -1};
  if (!is_same_file(dso) || denet_elf_file_open(dso->fd, &file))
    return;
  uint64_t limit = dsos->budget_bytes / 4;
  DENET_CLOSE int debug_fd = open_debug_file(&file);
  bool has_debug = debug_fd >= 0 && denet_elf_file_open(debug_fd, &debug) == 0;
  if (!denet_symbols_init(&file, has_debug ? &debug : NULL, limit, &dso->symbols))
    add_memory(dsos, dso, denet_symbols_bytes(&dso->symbols));
  int error = -ENOENT;
  if (has_trusted_lines(dso->fd))
    error = denet_line_table_new(&file, limit, &dso->lines);
  if (error == -ENOENT && has_debug)
    error = denet_line_table_new(&debug, limit, &dso->lines);
  if (!error)
    add_memory(dsos, dso, denet_line_table_bytes(dso->lines));
}

static int append_function(struct denet_dso *dso, uint64_t address, struct denet_buffer *out) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer name = {0};
  const char *symbol = denet_symbols_find(&dso->symbols, address), *file;
  char source[128];
  int line;
  if (!symbol)
    return -ENOENT;
  struct denet_text text = denet_text_of(symbol);
  if (denet_demangle(symbol, &name))
    text = denet_buffer_text(&name);
  bool is_cut = text.length > FUNCTION_MOST;
  int error = denet_buffer_append(out, text.bytes, is_cut ? FUNCTION_MOST : text.length);
  if (!error && is_cut)
    error = denet_buffer_append_string(out, "...");
  if (error || !dso->lines || denet_line_table_find(dso->lines, address, &file, &line))
    return error;
  snprintf(source, sizeof(source), " (%.64s:%d)", file, line);
  return denet_buffer_append_string(out, source);
}

static void keep_name(struct denet_dsos *dsos, struct denet_dso *dso, uint64_t address,
                      struct denet_text text) {
  if (!dso->names) {
    dso->names = calloc(NAMES, sizeof(*dso->names));
    add_memory(dsos, dso, dso->names ? NAMES * sizeof(*dso->names) : 0);
  }
  char *copy = dso->names ? strndup(text.bytes, text.length) : NULL;
  if (!copy)
    return;
  struct denet_dso_name *name = &dso->names[address % NAMES];
  uint64_t before_bytes = name->text ? strlen(name->text) + 1 : 0;
  free(name->text);
  *name = (struct denet_dso_name){address, copy};
  add_memory(dsos, dso, text.length + 1 - before_bytes);
}

int denet_dsos_append_name(struct denet_dsos *dsos, struct denet_dso *dso, uint64_t address,
                           struct denet_buffer *out) {
  size_t start = out->length;
  const struct denet_dso_name *known = dso->names ? &dso->names[address % NAMES] : NULL;
  dso->used = ++dsos->clock;
  if (known && known->text && known->address == address)
    return denet_buffer_append_string(out, known->text);
  read_symbols(dsos, dso);
  int error = append_function(dso, address, out);
  if (error) {
    out->length = start;
    return error;
  }
  denet_maps_make_safe(out->bytes + start, out->length - start);
  keep_name(dsos, dso, address, (struct denet_text){out->bytes + start, out->length - start});
  return 0;
}
