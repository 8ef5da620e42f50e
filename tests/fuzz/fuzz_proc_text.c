/* Texts of /proc/PID: stat, schedstat, net/dev, io and cgroup. Each input is parsed as all of them.
 * A process may put any name into its stat, and who makes a cgroup chooses its name. */
#include "core/rules/rule.h"
#include "tests/fuzz/keys.h"

#include <stdlib.h>

#define FIELDS 18

static void claim_stat(struct denet_text text) {
  struct denet_stat stat = {.pid = -7};
  if (denet_parse_stat(text, &stat)) {
    CLAIM(stat.pid == -7);
    return;
  }
  CLAIM(stat.pid > 0);
  CLAIM(stat.fields > DENET_STAT_START_TICKS && stat.fields <= DENET_STAT_FIELDS);
  size_t length = strnlen(stat.name, sizeof(stat.name));
  CLAIM(length < sizeof(stat.name));
  CLAIM(memmem(text.bytes, text.length, stat.name, length) != NULL);
  for (unsigned field = stat.fields; field < DENET_STAT_FIELDS; field++)
    CLAIM(stat.field[field] == 0);
}

/* A field is found only if all before it are; one that is not found leaves the value as it was. */
static void claim_fields(struct denet_text text,
                         bool (*parse)(struct denet_text text, unsigned index, uint64_t *out)) {
  bool was_found = true;
  for (unsigned index = 1; index < FIELDS; index++) {
    uint64_t value = UNTOUCHED;
    bool is_found = parse(text, index, &value);
    CLAIM(was_found || !is_found);
    CLAIM(is_found || value == UNTOUCHED);
    was_found = is_found;
  }
}

static void claim_cgroup(struct denet_text text) {
  struct denet_text path = denet_parse_cgroup(text), unit = denet_rule_unit(path);
  CLAIM(fuzz_is_within(path, text));
  CLAIM(!path.length || !memchr(path.bytes, '\n', path.length));
  CLAIM(fuzz_is_within(unit, path));
  if (unit.bytes) {
    CLAIM(unit.length > strlen(".swap"));
    CLAIM(!memchr(unit.bytes, '/', unit.length) && memchr(unit.bytes, '.', unit.length));
  }
}

void fuzz_one(struct denet_text text) {
  static const char *const io_keys[] = {"rchar",      "wchar",       "syscr", "syscw",
                                        "read_bytes", "write_bytes", NULL};
  uint64_t value;
  claim_stat(text);
  CLAIM(!denet_parse_field(text, 0, &value));
  claim_fields(text, denet_parse_field);
  claim_fields(text, denet_parse_net_dev);
  claim_keys(text, io_keys);
  claim_cgroup(text);
}
