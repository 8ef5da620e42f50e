/* files PATH: I/O of known size on that file, in calls of 64 KiB. "direct BYTES" writes with
 * O_DIRECT, "fsync BYTES" writes through the page cache to the disk, "read BYTES" reads from the
 * page cache. */
#include "workload.h"

enum { CALL_BYTES = 65536 };

static bool write_file(const char *path, size_t bytes, int flags) {
  char *block = aligned_alloc(4096, CALL_BYTES);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0600);
  bool is_good = fd >= 0 && block;
  for (; bytes && is_good; bytes -= CALL_BYTES)
    is_good = write(fd, memset(block, 'x', CALL_BYTES), CALL_BYTES) == CALL_BYTES;
  is_good = is_good && !fsync(fd);
  close(fd);
  free(block);
  return is_good;
}

static bool read_file(const char *path, size_t bytes) {
  static char block[CALL_BYTES];
  int fd = open(path, O_RDONLY);
  bool is_good = fd >= 0;
  for (; bytes && is_good; bytes -= CALL_BYTES)
    is_good = pread(fd, block, CALL_BYTES, 0) == CALL_BYTES;
  close(fd);
  return is_good;
}

int main(int count, char **arguments) {
  check(count > 1);
  say("ready");
  for (;;) {
    char what[16] = "";
    size_t bytes = 0;
    check(sscanf(next_command(), "%15s %zu", what, &bytes) == 2);
    int flags = strcmp(what, "direct") ? 0 : O_DIRECT;
    bool is_good = strcmp(what, "read") ? write_file(arguments[1], bytes, flags)
                                        : read_file(arguments[1], bytes);
    say(is_good ? "done" : "failed");
  }
}
