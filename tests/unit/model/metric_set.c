/* A set of more than 64 metrics, which the table does not have yet. */
#define DENET_METRIC_WORDS 3
#include "core/model/metric.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

static const unsigned metrics[] = {0, 1, 63, 64, 65, 127, 128, 191};

START_TEST(metric_is_in_a_set_until_it_is_removed_or_taken_out_in_order) {
  struct denet_metric_set set = {0};
  unsigned metric;
  denet_metric_set_add(&set, metrics[_i]);
  for (unsigned m = 0; m < 64 * DENET_METRIC_WORDS; m++)
    ck_assert_int_eq(denet_metric_set_has(&set, m), m == metrics[_i]);
  denet_metric_set_remove(&set, metrics[_i]);
  ck_assert(denet_metric_set_is_empty(&set));
  for (int i = (int)DENET_COUNT_OF(metrics); i-- > _i;)
    denet_metric_set_add(&set, metrics[i]);
  for (int i = _i; denet_metric_set_take(&set, &metric); i++)
    ck_assert_uint_eq(metric, metrics[i]);
  ck_assert(denet_metric_set_is_empty(&set));
}
END_TEST

START_TEST(sets_are_added_and_compared) {
  struct denet_metric_set one = {0}, other = {0};
  denet_metric_set_add(&one, metrics[_i]);
  ck_assert(!denet_metric_set_meets(&one, &other));
  ck_assert(!denet_metric_set_is_within(&one, &other));
  ck_assert(denet_metric_set_is_within(&other, &one));
  denet_metric_set_add(&other, 100);
  ck_assert(!denet_metric_set_meets(&one, &other));
  denet_metric_set_add_all(&other, &one);
  ck_assert(denet_metric_set_meets(&one, &other));
  ck_assert(denet_metric_set_is_within(&one, &other));
  ck_assert(!denet_metric_set_is_within(&other, &one));
  denet_metric_set_remove_all(&other, &one);
  ck_assert(!denet_metric_set_has(&other, metrics[_i]) && denet_metric_set_has(&other, 100));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, metric_is_in_a_set_until_it_is_removed_or_taken_out_in_order, metrics);
  ADD_TABLE(suite, sets_are_added_and_compared, metrics);
}
