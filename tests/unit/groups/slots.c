#include "core/groups/slots.h"

#include "tests/unit/unit.h"

#include <stdbool.h>

static unsigned take(struct denet_slots *slots) {
  unsigned slot;
  ck_assert_int_eq(denet_slots_take(slots, &slot), 0);
  return slot;
}

#define NUMBERS 300

/* So no number is used twice at a time, and one that is given back is used again. */
START_TEST(smallest_free_number_is_taken) {
  struct denet_slots slots = {0};
  bool lent[NUMBERS + 1] = {false};
  uint64_t state = 5;
  for (unsigned i = 0; i < NUMBERS; i++) {
    ck_assert_uint_eq(take(&slots), i);
    lent[i] = true;
  }
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
  denet_slots_done(&slots);
  denet_slots_done(&slots);
  ck_assert_uint_eq(take(&slots), 0);
  denet_slots_done(&slots);
}
END_TEST

void add_cases(Suite *suite) { ADD_TEST(suite, smallest_free_number_is_taken); }
