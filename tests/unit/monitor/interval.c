#include "core/monitor/interval.h"

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static const struct {
  uint64_t base_ns, max_ns, age_ns, interval_ns;
} rows[] = {
    {100 * MS, SECOND, 0, 100 * MS},
    {100 * MS, SECOND, SECOND - 1, 100 * MS},
    {100 * MS, SECOND, SECOND, 100 * MS},
    {100 * MS, SECOND, 2 * SECOND, 200 * MS},
    {100 * MS, SECOND, 5 * SECOND + 400 * MS, 500 * MS},
    {100 * MS, SECOND, 5 * SECOND + 600 * MS, 600 * MS},
    {100 * MS, SECOND, 9 * SECOND, 900 * MS},
    {100 * MS, SECOND, 10 * SECOND, SECOND},
    {100 * MS, SECOND, 10 * SECOND + 1, SECOND},
    {100 * MS, SECOND, UINT64_MAX, SECOND},
    {SECOND, SECOND, 0, SECOND},
    {700 * MS, SECOND, 5 * SECOND, 700 * MS},
    {700 * MS, SECOND, 9900 * MS, 700 * MS},
    {600 * MS, SECOND, 9900 * MS, SECOND},
    {SECOND, SECOND, 5 * SECOND, SECOND},
    {10 * MS, 60 * SECOND, 10 * SECOND, 60 * SECOND},
    {1, 1, 5 * SECOND, 1},
};

START_TEST(interval_goes_by_age) {
  struct denet_interval interval = {rows[_i].base_ns, rows[_i].max_ns};
  uint64_t interval_ns = denet_interval_for_age(&interval, rows[_i].age_ns);
  /* To the microsecond: it is computed in floating point. */
  ck_assert_uint_le(interval_ns, rows[_i].interval_ns + 1000);
  ck_assert_uint_ge(interval_ns + 1000, rows[_i].interval_ns);
}
END_TEST

/* Nearest whole numbers of 100 ms after an origin. */
static const struct {
  uint64_t origin_ns, ns, aligned_ns;
} moments[] = {
    {7 * MS, 7 * MS, 7 * MS},
    {7 * MS, 0, 7 * MS},
    {7 * MS, 56 * MS, 7 * MS},
    {7 * MS, 57 * MS, 107 * MS},
    {7 * MS, 107 * MS, 107 * MS},
    {7 * MS, 156 * MS, 107 * MS},
    {7 * MS, 1000007 * SECOND + 8 * MS, 1000007 * SECOND + 7 * MS},
};

START_TEST(moments_are_aligned_to_the_nearest) {
  struct denet_interval interval = {100 * MS, SECOND};
  ck_assert_uint_eq(denet_interval_align(&interval, moments[_i].origin_ns, moments[_i].ns),
                    moments[_i].aligned_ns);
}
END_TEST

static const struct {
  uint64_t took_ns, backoff_ns;
} backoffs[] = {
    {0, 0}, {7 * MS, 7 * MS}, {9 * SECOND, 9 * SECOND}, {8 * 3600 * SECOND, 10 * SECOND}};

START_TEST(backoff_is_as_long_as_the_work_but_at_most_ten_seconds) {
  ck_assert_uint_eq(denet_interval_backoff(backoffs[_i].took_ns), backoffs[_i].backoff_ns);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, interval_goes_by_age, rows);
  ADD_TABLE(suite, moments_are_aligned_to_the_nearest, moments);
  ADD_TABLE(suite, backoff_is_as_long_as_the_work_but_at_most_ten_seconds, backoffs);
}
