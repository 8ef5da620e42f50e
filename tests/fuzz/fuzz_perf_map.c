/* /tmp/perf-PID.map: any process writes its own. */
#include "core/stacks/symbols/perf_map.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define COMPARED_MOST 64

static void claim_entry(const struct denet_perf_map *map, const struct denet_perf_entry *entry) {
  CLAIM(entry->start < entry->end && entry->end <= entry->reach);
  CLAIM(entry->name < map->names.length);
  const char *name = map->names.bytes + entry->name;
  size_t length = strnlen(name, map->names.length - entry->name);
  CLAIM(length <= DENET_PERF_NAME_MOST && entry->name + length < map->names.length);
  CLAIM(fuzz_is_printable(name, length));
}

/* The one whose line comes last of those that hold the address. */
static const char *find_simply(const struct denet_perf_map *map, uint64_t address) {
  const struct denet_perf_entry *found = NULL;
  for (size_t i = 0; i < map->count; i++) {
    const struct denet_perf_entry *entry = &map->entries[i];
    if (entry->start <= address && address < entry->end && (!found || entry->name > found->name))
      found = entry;
  }
  return found ? map->names.bytes + found->name : NULL;
}

static void claim_found(const struct denet_perf_map *map, uint64_t address) {
  CLAIM(denet_perf_map_find(map, address) == find_simply(map, address));
}

void fuzz_one(struct denet_text text) {
  struct denet_perf_map map = {0};
  CLAIM(denet_perf_map_parse(text, &map) == 0);
  for (size_t i = 0; i < map.count; i++) {
    claim_entry(&map, &map.entries[i]);
    CLAIM(i == 0 || map.entries[i - 1].start <= map.entries[i].start);
  }
  bool all_are_near = map.count <= DENET_PERF_BEFORE_MOST;
  for (size_t i = 0; i < map.count && i < COMPARED_MOST && all_are_near; i++) {
    claim_found(&map, map.entries[i].start);
    claim_found(&map, map.entries[i].start - 1);
    claim_found(&map, map.entries[i].end);
    claim_found(&map, map.entries[i].end - 1);
  }
  denet_perf_map_done(&map);
}
