#include "core/store/shelf.h"

#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define NUMBER_MAX 1000000000 /* a name with a greater number is not ours */
#define MOVES_AT_ONCE 2

typedef char folder_name[16];

static void write_number(unsigned number, folder_name out_name) {
  snprintf(out_name, sizeof(folder_name), "%06u", number);
}

unsigned denet_shelf_number(const char *name) {
  folder_name expected;
  unsigned long number = strtoul(name, NULL, 10);
  if (number >= NUMBER_MAX)
    return 0;
  write_number((unsigned)number, expected);
  return strcmp(name, expected) ? 0 : (unsigned)number;
}

struct denet_shelf *denet_shelf_new(const char *host, const char *instance, unsigned limit) {
  struct denet_shelf *shelf = calloc(1, sizeof(*shelf));
  if (!shelf)
    return NULL;
  STAILQ_INIT(&shelf->loose);
  shelf->limit = limit ? limit : DENET_SHELF_FILES;
  shelf->host = strdup(host);
  shelf->instance = strdup(instance);
  if (shelf->host && shelf->instance)
    return shelf;
  denet_shelf_free(shelf);
  return NULL;
}

void denet_shelf_free(struct denet_shelf *shelf) {
  if (!shelf)
    return;
  free(shelf->host);
  free(shelf->instance);
  free(shelf);
}

void denet_shelf_put(struct denet_shelf *shelf, struct denet_shelf_file *file) {
  file->shelf = shelf;
  shelf->file_count++;
  if (!file->folder) {
    STAILQ_INSERT_TAIL(&shelf->loose, file, next_loose);
    shelf->loose_count++;
    return;
  }
  if (file->folder > shelf->folder) {
    shelf->folder = file->folder;
    shelf->folder_files = 0;
  }
  if (file->folder == shelf->folder)
    shelf->folder_files++;
}

static struct denet_shelf_file *take_loose(struct denet_shelf *shelf) {
  struct denet_shelf_file *file = STAILQ_FIRST(&shelf->loose);
  STAILQ_REMOVE_HEAD(&shelf->loose, next_loose);
  shelf->loose_count--;
  return file;
}

/* 0; DENET_GONE when the name leads to another file, or to this one with other contents; -errno. */
static int find_unchanged(int folder, const char *name, const struct denet_shelf_file *file) {
  struct stat status;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
    return -errno;
  bool is_unchanged = S_ISREG(status.st_mode) && status.st_ino == file->inode &&
                      (uint64_t)status.st_size == file->bytes;
  return is_unchanged ? 0 : DENET_GONE;
}

static bool move_file(const struct denet_shelf_file *file, int instance, unsigned folder) {
  denet_segment_name name;
  folder_name number;
  denet_segment_name_of(&file->id, name);
  write_number(folder, number);
  if (find_unchanged(instance, name, file))
    return false;
  DENET_CLOSE int to = denet_dir_open_below(instance, number, true);
  return to >= 0 && !renameat2(instance, name, to, name, RENAME_NOREPLACE);
}

static void move_oldest(struct denet_shelf *shelf, int instance) {
  struct denet_shelf_file *file = take_loose(shelf);
  bool is_full = !shelf->folder || shelf->folder_files >= shelf->limit;
  unsigned folder = shelf->folder + is_full;
  if (!move_file(file, instance, folder))
    return;
  file->folder = folder;
  shelf->folder_files = is_full ? 1 : shelf->folder_files + 1;
  shelf->folder = folder;
}

void denet_shelf_tidy(struct denet_shelf *shelf, const char *top) {
  if (shelf->loose_count <= shelf->limit)
    return;
  DENET_CLOSE int top_fd = denet_dir_open(top);
  DENET_CLOSE int host = denet_dir_open_below(top_fd, shelf->host, false);
  DENET_CLOSE int instance = denet_dir_open_below(host, shelf->instance, false);
  for (int i = 0; i < MOVES_AT_ONCE && shelf->loose_count > shelf->limit; i++)
    move_oldest(shelf, instance);
}

static int remove_from(int folder, const struct denet_shelf_file *file) {
  denet_segment_name name;
  denet_segment_name_of(&file->id, name);
  int outcome = folder < 0 ? folder : find_unchanged(folder, name, file);
  if (!outcome && unlinkat(folder, name, 0))
    return -errno;
  return outcome;
}

static int remove_moved(int instance, const struct denet_shelf_file *file) {
  folder_name number;
  write_number(file->folder, number);
  DENET_CLOSE int folder = denet_dir_open_below(instance, number, false);
  int outcome = remove_from(folder, file);
  if (folder >= 0)
    unlinkat(instance, number, AT_REMOVEDIR);
  return outcome;
}

/* 0; DENET_GONE when somebody uses it; -errno. */
static int remove_file(const struct denet_shelf_file *file, const char *top) {
  const struct denet_shelf *shelf = file->shelf;
  DENET_CLOSE int top_fd = denet_dir_open(top);
  DENET_CLOSE int host = denet_dir_open_below(top_fd, shelf->host, false);
  DENET_CLOSE int instance = denet_dir_open_below(host, shelf->instance, false);
  if (instance < 0)
    return instance;
  int outcome = file->folder ? remove_moved(instance, file) : remove_from(instance, file);
  /* Fails as long as there is anything in it, which is what is wanted. */
  unlinkat(host, shelf->instance, AT_REMOVEDIR);
  return outcome;
}

/* Whether it comes from a want of this process or host, not from the file. EIO does not count: it
 * may last, and one such file would keep all the younger ones. */
static bool is_passing(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EINTR;
}

int denet_shelf_remove(struct denet_shelf_file *file, const char *top) {
  struct denet_shelf *shelf = file->shelf;
  int outcome = remove_file(file, top);
  if (is_passing(outcome))
    return outcome;
  shelf->file_count--;
  if (STAILQ_FIRST(&shelf->loose) == file)
    take_loose(shelf);
  return 0;
}
