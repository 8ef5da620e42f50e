/* files PATH: does I/O of known size to that file when told. "direct BYTES" writes with O_DIRECT,
 * "fsync BYTES" through the page cache and to the disk, "read BYTES" from the page cache, in calls
 * of 64 KiB. */
#include "talk.h"

#include <fcntl.h>

enum { CALL_BYTES = 65536 };

static int write_file(const char *path, size_t bytes, int flags) {
  char *block = aligned_alloc(4096, CALL_BYTES);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0600);
  if (fd < 0 || !block)
    return -1;
  memset(block, 'x', CALL_BYTES);
  int outcome = 0;
  for (; bytes && !outcome; bytes -= CALL_BYTES)
    outcome = write(fd, block, CALL_BYTES) == CALL_BYTES ? 0 : -1;
  if (fsync(fd))
    outcome = -1;
  close(fd);
  free(block);
  return outcome;
}

static int read_file(const char *path, size_t bytes) {
  static char block[CALL_BYTES];
  int fd = open(path, O_RDONLY);
  int outcome = fd < 0 ? -1 : 0;
  for (; bytes && !outcome; bytes -= CALL_BYTES)
    outcome = pread(fd, block, CALL_BYTES, 0) == CALL_BYTES ? 0 : -1;
  close(fd);
  return outcome;
}

int main(int count, char **arguments) {
  if (count < 2)
    return 9;
  say("ready");
  for (;;) {
    char what[16] = "";
    size_t bytes = 0;
    int outcome = -1;
    if (sscanf(listen_for_word(), "%15s %zu", what, &bytes) != 2)
      return 9;
    if (!strcmp(what, "direct"))
      outcome = write_file(arguments[1], bytes, O_DIRECT);
    if (!strcmp(what, "fsync"))
      outcome = write_file(arguments[1], bytes, 0);
    if (!strcmp(what, "read"))
      outcome = read_file(arguments[1], bytes);
    say(outcome ? "failed" : "done");
  }
}
