/* The repair of a file's end after a crash: whatever the file contains, what stays ends with its
 * last whole line. */
#include "core/store/repair.h"
#include "core/util/cleanup.h"
#include "core/util/error.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Searches in blocks of one size, each in memory of just that size. */
static void claim_scan(struct denet_text text, size_t block_bytes, size_t whole) {
  struct denet_repair repair = {0};
  bool is_found = false;
  for (size_t left = text.length; left && !is_found;) {
    size_t length = left < block_bytes ? left : block_bytes;
    left -= length;
    struct denet_text block = fuzz_copy((const uint8_t *)text.bytes + left, length);
    is_found = denet_repair_scan(&repair, block);
    free((char *)block.bytes);
  }
  CLAIM(denet_repair_torn_bytes(&repair) == text.length - whole);
}

static void claim_mended(struct denet_text text, size_t whole) {
  uint64_t bytes = 0, again = 0;
  int folder_fd = fuzz_folder(NULL);
  DENET_CLOSE int fd = openat(folder_fd, "file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CLAIM(fd >= 0 && pwrite(fd, text.bytes, text.length, 0) == (ssize_t)text.length);
  int outcome = denet_repair_file(folder_fd, "file", &bytes);
  CLAIM(whole ? outcome == 0 && bytes == whole : outcome == DENET_GONE);
  outcome = denet_repair_file(folder_fd, "file", &again);
  CLAIM(whole ? outcome == 0 && again == whole : outcome == -ENOENT);
}

void fuzz_one(struct denet_text text) {
  size_t whole = find_whole(text);
  for (size_t block_bytes = 1; block_bytes <= 64; block_bytes *= 2)
    claim_scan(text, block_bytes, whole);
  claim_scan(text, text.length, whole);
  claim_mended(text, whole);
}
