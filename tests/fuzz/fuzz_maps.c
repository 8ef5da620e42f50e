/* /proc/PID/maps: a path in it has any bytes. */
#include "core/stacks/symbols/maps.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void claim_mapping(const struct denet_maps *maps, const struct denet_mapping *mapping) {
  char name[DENET_MAPPING_NAME_MOST + 1];
  CLAIM(mapping->start < mapping->end);
  CLAIM(mapping->path < maps->texts.length);
  CLAIM(denet_mapping_path(maps, mapping) == maps->texts.bytes + mapping->path);
  CLAIM(denet_maps_find(maps, mapping->start) == mapping);
  CLAIM(denet_maps_find(maps, mapping->end - 1) == mapping);
  CLAIM(denet_maps_find(maps, mapping->end) != mapping);
  denet_mapping_name(maps, mapping, name);
  size_t length = strnlen(name, sizeof(name));
  CLAIM(length <= DENET_MAPPING_NAME_MOST && fuzz_is_printable(name, length));
  CLAIM(!memchr(name, '/', length));
}

static void claim_copy(const struct denet_maps *maps) {
  struct denet_maps copy = {0};
  CLAIM(denet_maps_copy(maps, &copy) == 0);
  CLAIM(copy.count == maps->count && copy.texts.length == maps->texts.length);
  for (size_t i = 0; i < copy.count; i++)
    CLAIM(
        !strcmp(denet_mapping_path(&copy, &copy.all[i]), denet_mapping_path(maps, &maps->all[i])));
  denet_maps_done(&copy);
}

void fuzz_one(struct denet_text text) {
  struct denet_maps maps = {0};
  CLAIM(denet_maps_parse(text, &maps) == 0);
  CLAIM(maps.count <= DENET_MAPS_MOST);
  CLAIM(maps.texts.length <= text.length + maps.count);
  for (size_t i = 0; i < maps.count; i++) {
    claim_mapping(&maps, &maps.all[i]);
    CLAIM(i == 0 || maps.all[i - 1].end <= maps.all[i].start);
  }
  claim_copy(&maps);
  denet_maps_done(&maps);
}
