#include "tests/fuzz/fuzz.h"

#include "core/util/error.h"
#include "core/util/name.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

void fuzz_claim(bool holds, const char *claim, const char *file, int line) {
  if (holds)
    return;
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
  abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text input = fuzz_copy(bytes, length);
  fuzz_one(input);
  free((char *)input.bytes);
  return 0;
}

struct denet_text fuzz_copy(const uint8_t *bytes, size_t length) {
  char *copy = malloc(length);
  CLAIM(copy || !length);
  if (length)
    memcpy(copy, bytes, length);
  return (struct denet_text){copy, length};
}

char *fuzz_string(struct denet_text text) {
  char *string = strndup(text.bytes ? text.bytes : "", text.length);
  CLAIM(string);
  return string;
}

bool fuzz_take_line(struct denet_text *text, struct denet_text *out_line) {
  if (!text->length)
    return false;
  const char *newline = memchr(text->bytes, '\n', text->length);
  size_t length = newline ? (size_t)(newline - text->bytes) : text->length;
  size_t taken = length + (newline ? 1 : 0);
  *out_line = (struct denet_text){text->bytes, length};
  *text = (struct denet_text){text->bytes + taken, text->length - taken};
  return true;
}

void fuzz_take(struct denet_text *text, void *out, size_t size) {
  size_t taken = size < text->length ? size : text->length;
  memset(out, 0, size);
  if (taken)
    memcpy(out, text->bytes, taken);
  *text = (struct denet_text){text->bytes + taken, text->length - taken};
}

uint8_t fuzz_take_byte(struct denet_text *text) {
  uint8_t byte;
  fuzz_take(text, &byte, 1);
  return byte;
}

int fuzz_file(struct denet_text content) {
  int fd = memfd_create("fuzz", MFD_CLOEXEC);
  CLAIM(fd >= 0);
  if (content.length)
    CLAIM(pwrite(fd, content.bytes, content.length, 0) == (ssize_t)content.length);
  return fd;
}

static char folder[512];

static void remove_folder(void) {
  char command[sizeof(folder) + 16];
  snprintf(command, sizeof(command), "rm -rf '%s'", folder);
  CLAIM(system(command) == 0);
}

int fuzz_folder(const char **out_path) {
  static int fd = -1;
  if (fd < 0) {
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/fuzz-XXXXXX", parent ? parent : "/tmp");
    CLAIM(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLAIM(fd >= 0);
  }
  if (out_path)
    *out_path = folder;
  return fd;
}

void fuzz_write(const char *name, struct denet_text content) {
  int fd = openat(fuzz_folder(NULL), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CLAIM(fd >= 0 && pwrite(fd, content.bytes, content.length, 0) == (ssize_t)content.length);
  close(fd);
}

bool fuzz_is_within(struct denet_text part, struct denet_text whole) {
  if (!part.bytes)
    return part.length == 0;
  size_t start = (size_t)(part.bytes - whole.bytes);
  return part.bytes >= whole.bytes && start <= whole.length && part.length <= whole.length - start;
}

bool fuzz_is_printable(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
      return false;
  return true;
}

bool fuzz_is_safe_name(const char *name) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  size_t length = strlen(name);
  return length > 0 && length <= DENET_NAME_MAX && name[0] != '.' &&
         strspn(name, allowed) == length;
}

bool fuzz_is_sentence(const char *text) {
  size_t length = strnlen(text, sizeof(((struct denet_error *)0)->text));
  return length > 0 && length < sizeof(((struct denet_error *)0)->text) &&
         fuzz_is_printable(text, length);
}

bool fuzz_is_json_line(struct denet_text line) {
  yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
  CLAIM(parser);
  bool is_json =
      yajl_parse(parser, (const unsigned char *)line.bytes, line.length) == yajl_status_ok &&
      yajl_complete_parse(parser) == yajl_status_ok;
  yajl_free(parser);
  return is_json && line.length > 1 && line.bytes[0] == '{' && line.bytes[line.length - 1] == '}' &&
         !memchr(line.bytes, '\n', line.length);
}
