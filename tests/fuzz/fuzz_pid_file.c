/* The content of a pid file, which another program writes. */
#include "core/match/pid_file.h"
#include "core/rules/rule.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define READ_MOST 64

static char path[] = "/tmp/denet-fuzz-XXXXXX";

static void remove_file(void) { unlink(path); }

/* Reads the pid from a file that is written for each input. */
static pid_t read_file(struct denet_text text) {
  static int fd = -1;
  pid_t pid = -1;
  uid_t owner;
  if (fd < 0) {
    fd = mkstemp(path);
    atexit(remove_file);
  }
  CLAIM(fd >= 0 && !ftruncate(fd, 0));
  CLAIM(pwrite(fd, text.bytes, text.length, 0) == (ssize_t)text.length);
  CLAIM(!denet_pid_file_read(path, &pid, &owner));
  return pid;
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
