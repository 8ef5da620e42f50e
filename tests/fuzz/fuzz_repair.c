/* The repair of a file's end after a crash: whatever the file contains, what stays ends with its
 * last whole line. */
#include "core/store/repair.h"
#include "core/util/error.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
  int folder_fd = fuzz_folder(NULL);
  fuzz_write("file", text);
  int outcome = denet_repair_file(folder_fd, "file", &bytes);
  CLAIM(whole ? outcome == 0 && bytes == whole : outcome == DENET_GONE);
  outcome = denet_repair_file(folder_fd, "file", &again);
  CLAIM(whole ? outcome == 0 && again == whole : outcome == -ENOENT);
}

void fuzz_one(struct denet_text text) {
  size_t whole = find_whole(text);
  for (size_t from = 0; from < text.length; from += 1 + text.length / 64)
    claim_end(text, from, whole);
  claim_mended(text, whole);
}
