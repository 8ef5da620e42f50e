/* Arrays that grow, and searches in sorted ones. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Makes room for wanted items of item_bytes each. items is the address of the array's pointer (NULL
 * while there is no array), *capacity its size in items; the size doubles until it suffices. 0 or
 * -ENOMEM; on failure nothing has changed. */
int denet_array_reserve(void *items /* T** */, size_t *capacity, size_t wanted, size_t item_bytes);

/* Returns the index of the first of count sorted items that is not less than key; count if all are
 * less. compare() returns a value below, equal to or above 0, as for bsearch(3). */
size_t denet_array_lower_bound(const void *items, size_t count, size_t item_bytes, const void *key,
                               int (*compare)(const void *item, const void *key));

/* Returns the index of the first of count items that is above key; count if none is. The items
 * begin with a uint64_t, by which they are sorted. */
size_t denet_array_upper_bound(const void *items, size_t count, size_t item_bytes, uint64_t key);
