#include "core/source/procfs/proc_file.h"

#include "core/util/cleanup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_MOST 64 /* "PID/task/TID/" */

/* Returns whether the link of an executable leads to the file of that name. folder: length of the
 * part of the path before "/exe". */
static bool has_name(int dir, const char *path, size_t folder, const char *name) {
  char from_root[FOLDER_MOST + PATH_MAX];
  /* Where the other process is in another mount namespace, the name is valid from its root. */
  const char *const names[] = {name, from_root};
  struct stat file, named;
  bool is_there = !fstatat(dir, path, &file, 0), is_named = false;
  snprintf(from_root, sizeof(from_root), "%.*s/root%s", (int)folder, path, name);
  for (unsigned i = 0; is_there && i < DENET_COUNT_OF(names); i++)
    is_named |= !fstatat(dir, names[i], &named, 0) && named.st_dev == file.st_dev &&
                named.st_ino == file.st_ino;
  return is_named;
}

int denet_proc_file_read(struct denet_buffer *out, int dir, const char *path, size_t limit) {
  static const char suffix[] = " (deleted)", link[] = "/exe";
  int error = denet_buffer_read_path(out, dir, path, limit);
  size_t cut = sizeof(suffix) - 1, length = strlen(path), folder = length - (sizeof(link) - 1);
  if (error || length < sizeof(link) || strcmp(path + folder, link) != 0 || out->length <= cut ||
      strcmp(out->bytes + out->length - cut, suffix) != 0 ||
      has_name(dir, path, folder, out->bytes))
    return error;
  out->length -= cut;
  out->bytes[out->length] = '\0';
  return 0;
}
