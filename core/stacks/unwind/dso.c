#include "core/stacks/unwind/dso.h"

#include "core/stacks/symbols/demangle.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define FILE_MOST (UINT64_C(4) << 30)
#define OPEN_MOST 256
#define KNOWN_COUNT 512
#define FUNCTION_MOST 400 /* bytes of a name; templates have no end */
#define BUILD_ID_MOST 20

struct denet_dso_known {
  struct {
    uint64_t address;
    char *text; /* owned; NULL: none */
  } all[KNOWN_COUNT];
};

static struct denet_dso **bucket_of(struct denet_dsos *images, uint64_t inode) {
  return &images->buckets[(inode * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

static uint64_t ns_of(struct timespec time) {
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int read_key(int fd, struct denet_dso_key *out_key) {
  struct stat status;
  if (fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -EINVAL;
  if ((uint64_t)status.st_size > FILE_MOST)
    return -EFBIG;
  *out_key = (struct denet_dso_key){status.st_dev, status.st_ino, (uint64_t)status.st_size,
                                    ns_of(status.st_mtim), ns_of(status.st_ctim)};
  return 0;
}

/* A change of the inode alone, such as another link's removal, leaves the content. */
static bool is_same(const struct denet_dso_key *a, const struct denet_dso_key *b) {
  return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
         a->modified_ns == b->modified_ns;
}

static void free_known(struct denet_dso_known *known) {
  for (size_t i = 0; known && i < KNOWN_COUNT; i++)
    free(known->all[i].text);
  free(known);
}

/* Forgets what was read; it can be read again. */
static void unload(struct denet_dsos *images, struct denet_dso *image) {
  denet_unwind_table_free(DENET_TAKE(image->table));
  denet_symbols_free(DENET_TAKE(image->symbols));
  denet_line_table_free(DENET_TAKE(image->lines));
  free_known(DENET_TAKE(image->known));
  images->memory_bytes -= image->memory_bytes;
  image->memory_bytes = 0;
  image->table_tried = image->symbols_tried = image->lines_tried = false;
}

static void close_file(struct denet_dsos *images, struct denet_dso *image) {
  if (image->fd >= 0)
    images->open_count--;
  denet_closep(&image->fd);
}

static void free_image(struct denet_dsos *images, struct denet_dso *image) {
  unload(images, image);
  close_file(images, image);
  free(image);
  images->count--;
}

static void remove_image(struct denet_dsos *images, struct denet_dso *image) {
  struct denet_dso **link = bucket_of(images, image->key.inode);
  while (*link != image)
    link = &(*link)->next;
  *link = image->next;
  free_image(images, image);
}

void denet_dsos_done(struct denet_dsos *images) {
  for (size_t i = 0; i < DENET_DSO_BUCKETS; i++)
    for (struct denet_dso *image = images->buckets[i], *next; image; image = next) {
      next = image->next;
      free_image(images, image);
    }
  *images = (struct denet_dsos){.budget_bytes = images->budget_bytes};
}

/* Whether one is to go before another: without users first, then the one not used for longest. */
static bool goes_before(const struct denet_dso *a, const struct denet_dso *b) {
  if ((a->users == 0) != (b->users == 0))
    return a->users == 0;
  return a->used < b->used;
}

static struct denet_dso *find_to_go(struct denet_dsos *images, const struct denet_dso *keep,
                                    bool (*counts)(const struct denet_dso *)) {
  struct denet_dso *found = NULL;
  for (size_t i = 0; i < DENET_DSO_BUCKETS; i++)
    for (struct denet_dso *image = images->buckets[i]; image; image = image->next)
      if (image != keep && counts(image) && (!found || goes_before(image, found)))
        found = image;
  return found;
}

static bool has_memory(const struct denet_dso *image) { return image->memory_bytes > 0; }

static bool has_file(const struct denet_dso *image) { return image->fd >= 0; }

static void keep_to_budget(struct denet_dsos *images, const struct denet_dso *keep) {
  while (images->memory_bytes > images->budget_bytes) {
    struct denet_dso *image = find_to_go(images, keep, has_memory);
    if (!image)
      return;
    if (image->users)
      unload(images, image);
    else
      remove_image(images, image);
  }
}

static void set_file(struct denet_dsos *images, struct denet_dso *image, int fd) {
  struct denet_dso *other =
      images->open_count >= OPEN_MOST ? find_to_go(images, image, has_file) : NULL;
  if (other)
    close_file(images, other);
  close_file(images, image);
  image->fd = fd;
  images->open_count++;
}

static void use(struct denet_dsos *images, struct denet_dso *image) {
  image->used = ++images->clock;
}

struct denet_dso *denet_dsos_find(struct denet_dsos *images, uint64_t mapped_device,
                                  uint64_t inode) {
  struct denet_dso_key key = {0};
  for (struct denet_dso *image = *bucket_of(images, inode); image; image = image->next) {
    /* An inode that is held open is not another file's. */
    if (image->key.inode != inode || image->mapped_device != mapped_device || image->fd < 0 ||
        read_key(image->fd, &key) || !is_same(&key, &image->key))
      continue;
    image->users++;
    use(images, image);
    return image;
  }
  return NULL;
}

/* What no look into the file later has to tell. */
static void read_loads(struct denet_dso *image) {
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  if (denet_elf_file_open(image->fd, &file))
    return;
  image->is_elf = true;
  for (size_t i = 0; i < file.program_count && image->load_count < DENET_DSO_LOADS_MOST; i++) {
    const Elf64_Phdr *program = &file.programs[i];
    if (program->p_type == PT_LOAD)
      image->loads[image->load_count++] =
          (struct denet_dso_load){program->p_offset, program->p_filesz, program->p_vaddr};
  }
}

/* Takes over the file; NULL where there is no memory, and then it does not. */
static struct denet_dso *add(struct denet_dsos *images, const struct denet_dso_key *key, int fd,
                             const char *name) {
  struct denet_dso *image = calloc(1, sizeof(*image));
  if (!image)
    return NULL;
  image->key = *key;
  image->fd = -1;
  snprintf(image->name, sizeof(image->name), "%s", name);
  set_file(images, image, fd);
  read_loads(image);
  struct denet_dso **bucket = bucket_of(images, key->inode);
  image->next = *bucket;
  *bucket = image;
  images->count++;
  return image;
}

int denet_dsos_take(struct denet_dsos *images, int fd, uint64_t mapped_device, const char *name,
                    struct denet_dso **out_image) {
  DENET_CLOSE int owned = fd;
  struct denet_dso_key key = {0};
  int error = read_key(owned, &key);
  if (error)
    return error;
  struct denet_dso *image = *bucket_of(images, key.inode);
  while (image && !is_same(&image->key, &key))
    image = image->next;
  if (!image)
    image = add(images, &key, owned, name);
  else if (image->fd < 0)
    set_file(images, image, owned);
  if (!image)
    return -ENOMEM;
  if (image->fd == owned)
    DENET_TAKE_FD(owned);
  image->mapped_device = mapped_device;
  image->users++;
  use(images, image);
  *out_image = image;
  return 0;
}

void denet_dso_hold(struct denet_dso *image) { image->users++; }

void denet_dsos_release(struct denet_dsos *images, struct denet_dso *image) {
  if (--image->users)
    return;
  /* What was read stays, in the budget, for the next process of the same program. */
  if (image->memory_bytes)
    close_file(images, image);
  else
    remove_image(images, image);
}

bool denet_dso_wants_file(const struct denet_dso *image) {
  return image->fd < 0 && image->is_elf &&
         !(image->table_tried && image->symbols_tried && image->lines_tried);
}

void denet_dsos_reopen(struct denet_dsos *images, struct denet_dso *image, int fd) {
  struct denet_dso_key key = {0};
  if (read_key(fd, &key) || !is_same(&key, &image->key))
    close(fd);
  else
    set_file(images, image, fd);
}

bool denet_dso_address(const struct denet_dso *image, uint64_t offset, uint64_t *out_address) {
  for (size_t i = 0; i < image->load_count; i++) {
    const struct denet_dso_load *load = &image->loads[i];
    if (offset - load->offset >= load->bytes)
      continue;
    *out_address = offset - load->offset + load->address;
    return true;
  }
  return false;
}

static void account(struct denet_dsos *images, struct denet_dso *image, uint64_t bytes) {
  image->memory_bytes += bytes;
  images->memory_bytes += bytes;
  keep_to_budget(images, image);
}

/* Only as long as it is the file that was mapped: what is written to it since tells nothing. */
static int open_elf(const struct denet_dso *image, struct denet_elf_file *out_file) {
  struct denet_dso_key key = {0};
  int error = read_key(image->fd, &key);
  if (error)
    return error;
  return is_same(&key, &image->key) ? denet_elf_file_open(image->fd, out_file) : -ESTALE;
}

const struct denet_unwind_table *denet_dsos_table(struct denet_dsos *images,
                                                  struct denet_dso *image) {
  use(images, image);
  if (image->table_tried || image->fd < 0 || !image->is_elf)
    return image->table;
  image->table_tried = true;
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  if (open_elf(image, &file) ||
      denet_unwind_table_new(&file, images->budget_bytes / 2, &image->table))
    return NULL;
  account(images, image, denet_unwind_table_bytes(image->table));
  return image->table;
}

/* The file of debugging information that the distribution has for it. A descriptor or -1. */
static int open_debug_file(const struct denet_elf_file *file) {
  unsigned char id[BUILD_ID_MOST];
  size_t length = denet_elf_file_build_id(file, id, sizeof(id));
  char path[128];
  struct stat status;
  if (length < 2)
    return -1;
  int at = snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%02x/", id[0]);
  for (size_t i = 1; i < length; i++)
    at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x", id[i]);
  snprintf(path + at, sizeof(path) - (size_t)at, ".debug");
  DENET_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  bool counts = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                status.st_uid == 0 && (uint64_t)status.st_size <= FILE_MOST;
  return counts ? DENET_TAKE_FD(fd) : -1;
}

/* Nobody but root may have written the file. A few KB that somebody made up for it have libdw take
 * gigabytes for a line table, and without memory it ends the whole process. */
static bool has_trusted_lines(const struct denet_elf_file *file) {
  struct stat status;
  return !fstat(file->fd, &status) && status.st_uid == 0 && !(status.st_mode & S_IWOTH) &&
         (status.st_gid == 0 || !(status.st_mode & S_IWGRP));
}

static void read_lines(struct denet_dsos *images, struct denet_dso *image,
                       const struct denet_elf_file *file, const struct denet_elf_file *debug) {
  uint64_t limit = images->budget_bytes / 4;
  int error = -ENOENT;
  if (has_trusted_lines(file))
    error = denet_line_table_new(file, limit, &image->lines);
  if (error == -ENOENT && debug)
    error = denet_line_table_new(debug, limit, &image->lines);
  if (!error)
    account(images, image, denet_line_table_bytes(image->lines));
}

static void read_symbols(struct denet_dsos *images, struct denet_dso *image) {
  if (image->symbols_tried || image->fd < 0 || !image->is_elf)
    return;
  image->symbols_tried = image->lines_tried = true;
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = -1};
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file debug = {.fd = -1};
  if (open_elf(image, &file))
    return;
  DENET_CLOSE int debug_fd = open_debug_file(&file);
  bool has_debug = debug_fd >= 0 && denet_elf_file_open(debug_fd, &debug) == 0;
  if (denet_symbols_new(&file, has_debug ? &debug : NULL, images->budget_bytes / 4,
                        &image->symbols) == 0)
    account(images, image, denet_symbols_bytes(image->symbols));
  read_lines(images, image, &file, has_debug ? &debug : NULL);
}

/* Appends bytes that a file says, without what would tear a line. */
static int append_safe(struct denet_buffer *out, const char *text, size_t length) {
  size_t start = out->length;
  int error = denet_buffer_append(out, text, length);
  for (size_t i = start; i < out->length && !error; i++)
    if ((unsigned char)out->bytes[i] < ' ' || out->bytes[i] == 0x7f)
      out->bytes[i] = '?';
  return error;
}

static int append_function(const char *symbol, struct denet_buffer *out) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer name = {0};
  struct denet_text text = denet_text_of(symbol);
  if (denet_demangle(symbol, &name))
    text = denet_buffer_text(&name);
  bool is_cut = text.length > FUNCTION_MOST;
  int error = append_safe(out, text.bytes, is_cut ? FUNCTION_MOST : text.length);
  return error || !is_cut ? error : denet_buffer_append_string(out, "...");
}

static int work_out(struct denet_dso *image, uint64_t address, struct denet_buffer *out) {
  const char *symbol = image->symbols ? denet_symbols_find(image->symbols, address) : NULL;
  const char *file;
  char end[128];
  int line;
  if (!symbol) {
    snprintf(end, sizeof(end), "%s+0x%" PRIx64, image->name, address);
    return denet_buffer_append_string(out, end);
  }
  int error = append_function(symbol, out);
  if (error || !image->lines || denet_line_table_find(image->lines, address, &file, &line))
    return error;
  snprintf(end, sizeof(end), " (%.64s:%d)", file, line);
  return append_safe(out, end, strlen(end));
}

static void remember(struct denet_dsos *images, struct denet_dso *image, uint64_t address,
                     struct denet_text text) {
  if (!image->known) {
    image->known = calloc(1, sizeof(*image->known));
    if (!image->known)
      return;
    account(images, image, sizeof(*image->known));
  }
  char *copy = strndup(text.bytes, text.length);
  if (!copy)
    return;
  size_t slot = address % KNOWN_COUNT;
  char **place = &image->known->all[slot].text;
  uint64_t before = *place ? strlen(*place) + 1 : 0;
  free(*place);
  *place = copy;
  image->known->all[slot].address = address;
  account(images, image, text.length + 1 - before);
}

int denet_dsos_tell(struct denet_dsos *images, struct denet_dso *image, uint64_t address,
                    struct denet_buffer *out) {
  size_t start = out->length, slot = address % KNOWN_COUNT;
  use(images, image);
  if (image->known && image->known->all[slot].text && image->known->all[slot].address == address)
    return denet_buffer_append_string(out, image->known->all[slot].text);
  read_symbols(images, image);
  int error = work_out(image, address, out);
  if (error)
    out->length = start;
  else
    remember(images, image, address, (struct denet_text){out->bytes + start, out->length - start});
  return error;
}
