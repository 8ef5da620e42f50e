#include "core/util/dir.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define MODE 0750

static int open_or_make(int folder, const char *path, int flags, bool is_made) {
  int fd = openat(folder, path, flags);
  if (fd < 0 && errno == ENOENT && is_made) {
    if (mkdirat(folder, path, MODE) && errno != EEXIST)
      return -errno;
    fd = openat(folder, path, flags);
  }
  return fd < 0 ? -errno : fd;
}

int denet_dir_open(const char *path, bool is_made) {
  DENET_FREE char *parents = is_made ? strdup(path) : NULL;
  for (char *slash = parents ? strchr(parents, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(parents, MODE); /* a failure shows when the folder is opened */
    *slash = '/';
  }
  return open_or_make(AT_FDCWD, path, FLAGS, is_made);
}

int denet_dir_open_below(int folder, const char *name, bool is_made) {
  /* openat() cannot check this: one -errno is AT_FDCWD. */
  return folder < 0 ? folder : open_or_make(folder, name, FLAGS | O_NOFOLLOW, is_made);
}

int denet_dir_each(int folder, int (*each)(void *context, int folder, const char *name),
                   void *context) {
  /* A descriptor of its own, whose offset is at the start. */
  DENET_CLOSE int fd = openat(folder, ".", FLAGS);
  DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (!entries)
    return -errno;
  DENET_TAKE_FD(fd); /* the stream owns it now */
  int outcome = 0;
  for (struct dirent *entry; !outcome && (entry = readdir(entries));)
    if (entry->d_name[0] != '.')
      outcome = each(context, folder, entry->d_name);
  closedir(entries);
  return outcome;
}
