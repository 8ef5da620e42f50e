/* Texts of /proc/PID: stat, schedstat, net/dev, io, cgroup and status, which is also read before a
 * perf map. Each input is parsed as all of them. A process may put any name into its stat and
 * status, and who makes a cgroup chooses its name. */
#include "core/rules/rule.h"
#include "core/source/procfs/parse.h"
#include "core/stacks/symbols/perf_map.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#define FIELDS 18
#define UNTOUCHED UINT64_C(0x5eed5eed5eed5eed)

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

static void claim_keys(struct denet_text text) {
  static const char *const keys[] = {"rchar",
                                     "wchar",
                                     "syscr",
                                     "syscw",
                                     "read_bytes",
                                     "write_bytes",
                                     "Uid",
                                     "voluntary_ctxt_switches",
                                     "nonvoluntary_ctxt_switches"};
  enum { COUNT = DENET_COUNT_OF(keys) };
  uint64_t values[COUNT], alone;
  for (unsigned i = 0; i < COUNT; i++)
    values[i] = UNTOUCHED;
  uint64_t found = denet_parse_keys(text, keys, COUNT, values);
  CLAIM(found >> COUNT == 0);
  for (unsigned i = 0; i < COUNT; i++) {
    bool is_found = found >> i & 1;
    CLAIM(is_found || values[i] == UNTOUCHED);
    CLAIM(!is_found || memmem(text.bytes, text.length, keys[i], strlen(keys[i])));
    CLAIM(denet_parse_keys(text, &keys[i], 1, &alone) == is_found);
    CLAIM(!is_found || alone == values[i]);
  }
}

static void claim_cgroup(struct denet_text text) {
  struct denet_text path = denet_parse_cgroup(text);
  struct denet_buffer names[DENET_CGROUP_NAMES] = {{0}};
  CLAIM(fuzz_is_within(path, text));
  CLAIM(!path.length || !memchr(path.bytes, '\n', path.length));
  CLAIM(!denet_cgroup_path_read(path, names));
  CLAIM(!path.length || !memcmp(names[DENET_CGROUP_PATH].bytes, path.bytes, path.length));
  for (unsigned i = 0; i < DENET_CGROUP_NAMES; i++) {
    struct denet_text all = denet_buffer_text(&names[i]);
    struct denet_text first = {all.bytes, strnlen(all.bytes, all.length)};
    bool is_unescaped = i == DENET_CGROUP_CONTAINER || i == DENET_CGROUP_POD;
    bool is_unit = i == DENET_CGROUP_UNIT || i == DENET_CGROUP_USER_UNIT;
    CLAIM(all.bytes[all.length] == '\0' && all.length <= 3 * path.length + 2);
    CLAIM(is_unescaped || !first.length ||
          memmem(path.bytes, path.length, first.bytes, first.length));
    CLAIM(!is_unit || !memchr(first.bytes, '/', first.length));
    CLAIM(i != DENET_CGROUP_POD || first.length <= 36);
    denet_buffer_done(&names[i]);
  }
}

void fuzz_one(struct denet_text text) {
  uint64_t value;
  struct denet_perf_map map = {0};
  claim_stat(text);
  CLAIM(!denet_parse_field(text, 0, &value));
  claim_fields(text, denet_parse_field);
  claim_fields(text, denet_parse_net_dev);
  claim_keys(text);
  claim_cgroup(text);
  /* The folder is like /proc/PID, and its process has no map. */
  fuzz_write("status", text);
  CLAIM(denet_perf_map_read(&map, fuzz_folder(NULL)) == -ENOENT && !map.count);
}
