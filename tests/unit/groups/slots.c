#include "core/groups/slots.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

static unsigned take(struct denet_slots *slots) {
  unsigned slot;
  ck_assert_int_eq(denet_slots_take(slots, &slot), 0);
  return slot;
}

/* So no number is used twice at a time, and one that is given back is used again. */
START_TEST(smallest_free_number_is_taken) {
  static const unsigned returned[] = {299, 64, 0, 63, 128}, next[] = {0, 63, 64, 128, 299, 300};
  struct denet_slots slots = {0};
  for (unsigned i = 0; i < 300; i++)
    ck_assert_uint_eq(take(&slots), i);
  for (size_t i = 0; i < DENET_COUNT_OF(returned); i++)
    denet_slots_give_back(&slots, returned[i]);
  for (size_t i = 0; i < DENET_COUNT_OF(next); i++)
    ck_assert_uint_eq(take(&slots), next[i]);
  denet_slots_done(&slots);
  denet_slots_done(&slots);
  ck_assert_uint_eq(take(&slots), 0);
  denet_slots_done(&slots);
}
END_TEST

void add_cases(Suite *suite) { ADD_TEST(suite, smallest_free_number_is_taken); }
