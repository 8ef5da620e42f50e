#include "core/groups/slots.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <stdbool.h>

#define OWN_SLOTS DENET_CLEANUP(denet_slots_done) struct denet_slots

static unsigned take(struct denet_slots *slots) {
  unsigned slot;
  ck_assert_int_eq(denet_slots_take(slots, &slot), 0);
  return slot;
}

START_TEST(numbers_ascend_from_zero) {
  OWN_SLOTS slots = {0};
  for (unsigned i = 0; i < 1000; i++)
    ck_assert_uint_eq(take(&slots), i);
}
END_TEST

START_TEST(smallest_free_number_is_used_again) {
  OWN_SLOTS slots = {0};
  for (unsigned i = 0; i < 200; i++)
    take(&slots);
  static const unsigned back[] = {130, 0, 63, 64, 199, 127};
  static const unsigned again[] = {0, 63, 64, 127, 130, 199, 200};
  for (unsigned i = 0; i < DENET_COUNT_OF(back); i++)
    denet_slots_give_back(&slots, back[i]);
  for (unsigned i = 0; i < DENET_COUNT_OF(again); i++)
    ck_assert_uint_eq(take(&slots), again[i]);
}
END_TEST

START_TEST(number_that_is_not_in_use_may_be_given_back) {
  OWN_SLOTS slots = {0};
  denet_slots_give_back(&slots, 5);
  ck_assert_uint_eq(take(&slots), 0);
  denet_slots_give_back(&slots, 64);
  denet_slots_give_back(&slots, 4000000000u);
  ck_assert_uint_eq(take(&slots), 1);
}
END_TEST

#define NUMBERS 300

START_TEST(no_number_is_used_twice_at_a_time) {
  OWN_SLOTS slots = {0};
  bool lent[NUMBERS] = {false};
  uint64_t state = 5;
  for (int i = 0; i < 20000; i++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    unsigned slot = (unsigned)(state >> 33) % NUMBERS;
    if (lent[slot]) {
      denet_slots_give_back(&slots, slot);
      lent[slot] = false;
      continue;
    }
    unsigned lowest = 0;
    while (lent[lowest])
      lowest++;
    ck_assert_uint_eq(take(&slots), lowest);
    lent[lowest] = true;
  }
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_slots slots = {0};
  denet_slots_done(&slots);
  take(&slots);
  denet_slots_done(&slots);
  denet_slots_done(&slots);
  ck_assert_uint_eq(take(&slots), 0);
  denet_slots_done(&slots);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, numbers_ascend_from_zero);
  ADD_TEST(suite, smallest_free_number_is_used_again);
  ADD_TEST(suite, number_that_is_not_in_use_may_be_given_back);
  ADD_TEST(suite, no_number_is_used_twice_at_a_time);
  ADD_TEST(suite, done_may_be_called_twice);
}
