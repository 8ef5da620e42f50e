/* /proc/PID/schedstat and the interface table of /proc/PID/net/dev: numbers found by index. */
#include "core/source/procfs/parse.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define FIELDS 18
#define UNTOUCHED UINT64_C(0x5eed5eed5eed5eed)

static void claim_fields(struct denet_text text) {
  bool was_there = true;
  uint64_t value = UNTOUCHED;
  CLAIM(!denet_parse_field(text, 0, &value));
  for (unsigned index = 1; index < FIELDS; index++) {
    value = UNTOUCHED;
    bool is_there = denet_parse_field(text, index, &value);
    CLAIM(was_there || !is_there);
    CLAIM(is_there || value == UNTOUCHED);
    was_there = is_there;
  }
}

static void claim_sums(struct denet_text text) {
  bool was_there = true;
  for (unsigned index = 1; index < FIELDS; index++) {
    uint64_t sum = UNTOUCHED;
    bool is_there = denet_parse_net_dev(text, index, &sum);
    CLAIM(was_there || !is_there);
    CLAIM(is_there || sum == UNTOUCHED);
    was_there = is_there;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  claim_fields(text);
  claim_sums(text);
  free((char *)text.bytes);
  return 0;
}
