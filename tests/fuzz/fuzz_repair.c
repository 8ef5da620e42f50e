/* The repair of a file's end after a crash: whatever the file contains, what stays ends with its
 * last whole line. */
#include "core/store/repair.h"
#include "core/util/cleanup.h"
#include "core/util/error.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder with one file, made once. */
static char folder[512];
static int folder_fd;

static void remove_folder(void) {
  unlinkat(folder_fd, "file", 0);
  rmdir(folder);
}

static void make_folder(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(folder, sizeof(folder), "%s/fuzz-repair-XXXXXX", parent ? parent : "/tmp");
  CLAIM(mkdtemp(folder) != NULL);
  folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  CLAIM(folder_fd >= 0);
  atexit(remove_folder);
}

/* Returns the length up to the end of the last whole line, found from the front. */
static size_t find_whole(struct denet_text text) {
  struct denet_text rest = text, line;
  size_t whole = 0;
  while (fuzz_take_line(&rest, &line)) {
    size_t end = (size_t)(line.bytes - text.bytes) + line.length;
    bool is_ended = end < text.length;
    if (is_ended && line.length > 1 && line.bytes[0] == '{' && line.bytes[line.length - 1] == '}' &&
        !memchr(line.bytes, '\0', line.length))
      whole = end + 1;
  }
  return whole;
}

/* An end that begins anywhere, in memory of just its size, has the same last line or none. */
static void claim_end(struct denet_text text, size_t from, size_t whole) {
  struct denet_text end = fuzz_copy((const uint8_t *)text.bytes + from, text.length - from);
  size_t found = denet_repair_whole_bytes(end, !from);
  CLAIM(from ? !found || from + found == whole : found == whole);
  free((char *)end.bytes);
}

static void claim_mended(struct denet_text text, size_t whole) {
  uint64_t bytes = 0, again = 0;
  DENET_CLOSE int fd = openat(folder_fd, "file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CLAIM(fd >= 0 && pwrite(fd, text.bytes, text.length, 0) == (ssize_t)text.length);
  int outcome = denet_repair_file(folder_fd, "file", &bytes);
  CLAIM(whole ? outcome == 0 && bytes == whole : outcome == DENET_GONE);
  outcome = denet_repair_file(folder_fd, "file", &again);
  CLAIM(whole ? outcome == 0 && again == whole : outcome == -ENOENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  size_t whole = find_whole(text);
  if (!folder[0])
    make_folder();
  for (size_t from = 0; from < length; from += 1 + length / 64)
    claim_end(text, from, whole);
  claim_mended(text, whole);
  free((char *)text.bytes);
  return 0;
}
