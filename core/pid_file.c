#include "pid_file.h"

#include "cleanup.h"
#include "rule.h"

#include <fcntl.h>
#include <sys/stat.h>

pid_t denet_pid_file_read(const char *path) {
  char text[64];
  struct stat status;
  /* What is not a regular file is not even opened for reading: opening a device may do things. */
  DENET_CLOSE int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0 || fstat(place, &status) || !S_ISREG(status.st_mode))
    return 0;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
  DENET_CLOSE int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  ssize_t length = read(fd, text, sizeof(text));
  return length > 0 ? denet_rule_parse_pid((struct denet_text){text, (size_t)length}) : 0;
}
