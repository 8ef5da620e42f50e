#include "core/util/array.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdint.h>

START_TEST(array_has_room_for_what_is_wanted_or_stays_as_it_is) {
  DENET_FREE int *items = NULL;
  size_t capacity = 0;
  for (size_t count = 0; count < 1000; count++) {
    ck_assert_int_eq(denet_array_reserve(&items, &capacity, count + 1, sizeof(*items)), 0);
    ck_assert_uint_gt(capacity, count);
    items[count] = (int)count;
  }
  int *before = items;
  size_t capacity_before = capacity;
  ck_assert_int_eq(denet_array_reserve(&items, &capacity, SIZE_MAX / 2, sizeof(*items)), -ENOMEM);
  ck_assert(items == before && capacity == capacity_before && capacity <= 2 * 1000);
  for (size_t i = 0; i < 1000; i++)
    ck_assert_int_eq(items[i], (int)i);
}
END_TEST

static int compare(const void *item, const void *key) {
  int left = *(const int *)item, right = *(const int *)key;
  return left < right ? -1 : left > right;
}

static const struct {
  int key;
  size_t index;
} rows[] = {{0, 0}, {1, 0}, {2, 1}, {3, 1}, {4, 4}, {7, 4}, {8, 5}};

START_TEST(lower_bound_is_the_first_that_is_not_less) {
  static const int items[] = {1, 3, 3, 3, 7};
  ck_assert_uint_eq(denet_array_lower_bound(items, 5, sizeof(items[0]), &rows[_i].key, compare),
                    rows[_i].index);
  ck_assert_uint_eq(denet_array_lower_bound(NULL, 0, sizeof(items[0]), &rows[_i].key, compare), 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, array_has_room_for_what_is_wanted_or_stays_as_it_is);
  ADD_TABLE(suite, lower_bound_is_the_first_that_is_not_less, rows);
}
