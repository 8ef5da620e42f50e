/* /proc/PID/stat. A process may put any name into it. */
#include "core/source/procfs/parse.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void claim_parsed(struct denet_text text, const struct denet_stat *stat) {
  CLAIM(stat->pid > 0);
  CLAIM(stat->fields > DENET_STAT_START_TICKS && stat->fields <= DENET_STAT_FIELDS);
  size_t length = strnlen(stat->name, sizeof(stat->name));
  CLAIM(length < sizeof(stat->name));
  CLAIM(memmem(text.bytes, text.length, stat->name, length) != NULL);
  for (unsigned field = stat->fields; field < DENET_STAT_FIELDS; field++)
    CLAIM(stat->field[field] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  struct denet_stat stat = {.pid = -7};
  if (denet_parse_stat(text, &stat) == 0)
    claim_parsed(text, &stat);
  else
    CLAIM(stat.pid == -7);
  free((char *)text.bytes);
  return 0;
}
