/* What a pid file says: it is somebody else's. */
#include "core/cleanup.h"
#include "core/pid_file.h"
#include "core/rule.h"
#include "tests/fuzz/fuzz.h"

#define READ_MOST 64

/* As denet_pid_file_read() does it: of a file. */
static pid_t read_file(struct denet_text text) {
  DENET_CLOSE int fd = fuzz_file(text);
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  return denet_pid_file_read(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  DENET_FREE char *string = fuzz_string(text);
  pid_t pid = denet_rule_parse_pid(text);
  CLAIM(pid >= 0);
  CLAIM(pid == 0 || strtoll(string, NULL, 10) == pid);
  if (length <= READ_MOST)
    CLAIM(read_file(text) == pid);
  else
    CLAIM(read_file(text) >= 0);
  free((char *)text.bytes);
  return 0;
}
