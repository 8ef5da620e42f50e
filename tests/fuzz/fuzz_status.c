/* /proc/PID/status, which is read for its numbers and before a perf map. A process may put any name
 * into it. */
#include "core/stacks/symbols/perf_map.h"
#include "tests/fuzz/keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A directory like /proc/PID that has only status, a link to a file in memory. */
static char folder[512];
static int folder_fd, status_fd;

static void remove_folder(void) {
  unlinkat(folder_fd, "status", 0);
  rmdir(folder);
}

static void make_folder(void) {
  const char *parent = getenv("TMPDIR");
  char link[32];
  snprintf(folder, sizeof(folder), "%s/fuzz-status-XXXXXX", parent ? parent : "/tmp");
  CLAIM(mkdtemp(folder) != NULL);
  folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  status_fd = fuzz_file((struct denet_text){0});
  snprintf(link, sizeof(link), "/proc/self/fd/%d", status_fd);
  CLAIM(folder_fd >= 0 && symlinkat(link, folder_fd, "status") == 0);
  atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static const char *const keys[] = {"Uid", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches",
                                     NULL};
  struct denet_text text = fuzz_copy(bytes, length);
  struct denet_perf_map map = {0};
  if (!folder[0])
    make_folder();
  claim_keys(text, keys);
  CLAIM(ftruncate(status_fd, 0) == 0);
  CLAIM(pwrite(status_fd, text.bytes, length, 0) == (ssize_t)length);
  CLAIM(denet_perf_map_read(&map, folder_fd) == -ENOENT && !map.count);
  free((char *)text.bytes);
  return 0;
}
