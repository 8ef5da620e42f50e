/* /proc/PID/status, which is read for its numbers and before a perf map. A process may put any name
 * into it. */
#include "core/stacks/symbols/perf_map.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/keys.h"

#include <fcntl.h>
#include <unistd.h>

/* Returns a directory like /proc/PID that has only status, with that text. */
static int write_status(struct denet_text text) {
  int folder = fuzz_folder(NULL);
  DENET_CLOSE int fd = openat(folder, "status", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CLAIM(fd >= 0 && pwrite(fd, text.bytes, text.length, 0) == (ssize_t)text.length);
  return folder;
}

void fuzz_one(struct denet_text text) {
  static const char *const keys[] = {"Uid", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches",
                                     NULL};
  struct denet_perf_map map = {0};
  claim_keys(text, keys);
  CLAIM(denet_perf_map_read(&map, write_status(text)) == -ENOENT && !map.count);
}
