/* The content of a pid file, which another program writes. */
#include "core/match/pid_file.h"
#include "core/rules/rule.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_MOST 64

void fuzz_one(struct denet_text text) {
  DENET_FREE char *string = fuzz_string(text);
  pid_t pid = denet_rule_parse_pid(text), read_pid = -1;
  const char *folder;
  char path[600];
  uid_t owner;
  CLAIM(pid >= 0);
  CLAIM(pid == 0 || strtoll(string, NULL, 10) == pid);
  fuzz_write("pid", text);
  fuzz_folder(&folder);
  snprintf(path, sizeof(path), "%s/pid", folder);
  CLAIM(!denet_pid_file_read(path, &read_pid, &owner));
  CLAIM(text.length <= READ_MOST ? read_pid == pid : read_pid >= 0);
}
