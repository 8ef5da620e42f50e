#include "core/util/array.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8

int denet_array_reserve(void *items, size_t *capacity, size_t wanted, size_t item_bytes) {
  void *array;
  size_t grown = *capacity ? *capacity : FIRST_CAPACITY;
  if (wanted <= *capacity)
    return 0;
  while (grown < wanted)
    grown = grown > SIZE_MAX / 2 ? wanted : 2 * grown;
  if (grown > SIZE_MAX / item_bytes)
    return -ENOMEM;
  memcpy(&array, items, sizeof(array));
  void *resized = reallocarray(array, grown, item_bytes);
  if (!resized)
    return -ENOMEM;
  memcpy(items, &resized, sizeof(resized));
  *capacity = grown;
  return 0;
}

size_t denet_array_lower_bound(const void *items, size_t count, size_t item_bytes, const void *key,
                               int (*compare)(const void *item, const void *key)) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare((const char *)items + middle * item_bytes, key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int compare_to_above(const void *item, const void *key) {
  return *(const uint64_t *)item <= *(const uint64_t *)key ? -1 : 1;
}

size_t denet_array_upper_bound(const void *items, size_t count, size_t item_bytes, uint64_t key) {
  return denet_array_lower_bound(items, count, item_bytes, &key, compare_to_above);
}
