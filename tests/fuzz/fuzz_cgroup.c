/* /proc/PID/cgroup, and the unit in its path. Who makes a cgroup chooses the name. */
#include "core/rules/rule.h"
#include "core/source/procfs/parse.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  struct denet_text path = denet_parse_cgroup(text);
  CLAIM(fuzz_is_within(path, text));
  CLAIM(!path.length || !memchr(path.bytes, '\n', path.length));
  struct denet_text unit = denet_rule_unit(path);
  CLAIM(fuzz_is_within(unit, path));
  if (unit.bytes) {
    CLAIM(unit.length > strlen(".swap"));
    CLAIM(!memchr(unit.bytes, '/', unit.length) && memchr(unit.bytes, '.', unit.length));
  }
  free((char *)text.bytes);
  return 0;
}
