#include "core/source/procfs/proc_file.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_MOST 64 /* "PID/task/TID" */

/* Returns whether the link of an executable leads to the file of that name, as seen from the root
 * of the process. folder: length of the part of the path before "/exe". */
static bool has_name(int dir, const char *path, size_t folder, const char *name) {
  char named_path[FOLDER_MOST + PATH_MAX];
  struct stat file, named;
  snprintf(named_path, sizeof(named_path), "%.*s/root%s", (int)folder, path, name);
  return !fstatat(dir, path, &file, 0) && !fstatat(dir, named_path, &named, 0) &&
         file.st_dev == named.st_dev && file.st_ino == named.st_ino;
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
