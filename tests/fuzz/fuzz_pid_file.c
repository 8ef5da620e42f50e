/* The content of a pid file, which another program writes. */
#include "core/match/pid_file.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_MOST 64 /* bytes of a file */

/* Reads the pid from a file with that text. */
static pid_t read_file(struct denet_text text) {
  const char *folder;
  char path[600];
  pid_t pid = -1;
  uid_t owner;
  fuzz_write("pid", text);
  fuzz_folder(&folder);
  snprintf(path, sizeof(path), "%s/pid", folder);
  CLAIM(!denet_pid_file_read(path, &pid, &owner));
  return pid;
}

void fuzz_one(struct denet_text text) {
  DENET_FREE char *string = fuzz_string(text);
  pid_t pid = read_file(text);
  CLAIM(pid >= 0);
  CLAIM(pid == 0 || text.length > READ_MOST || strtoll(string, NULL, 10) == pid);
}
