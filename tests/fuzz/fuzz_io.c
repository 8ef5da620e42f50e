/* /proc/PID/io. */
#include "tests/fuzz/keys.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static const char *const keys[] = {"rchar",      "wchar",       "syscr", "syscw",
                                     "read_bytes", "write_bytes", NULL};
  struct denet_text text = fuzz_copy(bytes, length);
  claim_keys(text, keys);
  free((char *)text.bytes);
  return 0;
}
