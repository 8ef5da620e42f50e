/* /proc/PID/maps: a path in it is whatever a file is called. */
#include "core/stacks/symbols/maps.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void claim_mapping(const struct denet_maps *mappings, const struct denet_mapping *mapping) {
  char name[DENET_MAPPING_NAME_MOST + 1];
  CLAIM(mapping->start < mapping->end);
  CLAIM(mapping->path < mappings->texts.length);
  CLAIM(denet_mapping_path(mappings, mapping) == mappings->texts.bytes + mapping->path);
  CLAIM(denet_maps_find(mappings, mapping->start) == mapping);
  CLAIM(denet_maps_find(mappings, mapping->end - 1) == mapping);
  CLAIM(denet_maps_find(mappings, mapping->end) != mapping);
  denet_mapping_name(mappings, mapping, name);
  size_t length = strnlen(name, sizeof(name));
  CLAIM(length <= DENET_MAPPING_NAME_MOST);
  for (size_t i = 0; i < length; i++)
    CLAIM((unsigned char)name[i] >= ' ' && name[i] != 0x7f && name[i] != '/');
}

static void claim_copy(const struct denet_maps *mappings) {
  struct denet_maps copy = {0};
  CLAIM(denet_maps_copy(mappings, &copy) == 0);
  CLAIM(copy.count == mappings->count && copy.texts.length == mappings->texts.length);
  for (size_t i = 0; i < copy.count; i++)
    CLAIM(!strcmp(denet_mapping_path(&copy, &copy.all[i]),
                  denet_mapping_path(mappings, &mappings->all[i])));
  denet_maps_done(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text text = fuzz_copy(bytes, length);
  struct denet_maps mappings = {0};
  CLAIM(denet_maps_parse(text, &mappings) == 0);
  CLAIM(mappings.count <= DENET_MAPS_MOST);
  CLAIM(mappings.texts.length <= length + mappings.count);
  for (size_t i = 0; i < mappings.count; i++) {
    claim_mapping(&mappings, &mappings.all[i]);
    CLAIM(i == 0 || mappings.all[i - 1].end <= mappings.all[i].start);
  }
  claim_copy(&mappings);
  denet_maps_done(&mappings);
  free((char *)text.bytes);
  return 0;
}
