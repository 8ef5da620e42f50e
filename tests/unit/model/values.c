#include "core/model/values.h"

#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)

START_TEST(value_is_absent_until_it_is_set_and_the_highest_if_it_is_raised) {
  struct denet_values values = {0};
  ck_assert(!denet_values_has(&values, _i));
  denet_values_raise(&values, _i, 0);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert_int_eq(denet_values_has(&values, m), m == (unsigned)_i);
  denet_values_raise(&values, _i, 7);
  denet_values_raise(&values, _i, 5);
  ck_assert_uint_eq(denet_values_get(&values, _i), 7);
  denet_values_set(&values, _i, 5);
  ck_assert_uint_eq(denet_values_get(&values, _i), 5);
}
END_TEST

START_TEST(combined_value_is_the_sum_or_the_greatest) {
  struct denet_values one = {0}, two = {0}, none = {0};
  denet_values_set(&one, _i, 5);
  denet_values_set(&two, _i, 7);
  bool adds_up = denet_metric_info[_i].combine == DENET_SUM;
  denet_values_combine(&one, &two);
  ck_assert_uint_eq(one.value[_i], adds_up ? 12 : 7);
  denet_values_combine(&one, &none);
  ck_assert_uint_eq(one.value[_i], adds_up ? 12 : 7);
  denet_values_combine(&none, &two);
  ck_assert(denet_values_has(&none, _i));
  ck_assert_uint_eq(none.value[_i], 7);
}
END_TEST

static const struct {
  uint64_t user, system; /* before */
  uint64_t cpu_ns, user_ticks, system_ticks;
  uint64_t new_user, new_system;
} splits[] = {
    {0, 0, 0, 0, 0, 0, 0},
    {0, 0, 1000, 0, 0, 1000, 0},
    {0, 0, 1000, 1, 0, 1000, 0},
    {0, 0, 1000, 0, 1, 0, 1000},
    {0, 0, 1000, 3, 1, 750, 250},
    {0, 0, 1000, 1, 2, 334, 666},
    /* Neither part falls when the ratio changes. */
    {750, 250, 1000, 1, 3, 750, 250},
    {750, 250, 1001, 1, 3, 750, 251},
    {750, 250, 2000, 1, 3, 750, 1250},
    {250, 750, 2000, 3, 1, 1250, 750},
    {100, 900, 1200, 1, 0, 300, 900},
    /* A CPU time that falls changes nothing. */
    {750, 250, 999, 3, 1, 750, 250},
    /* Numbers that overflow 64 bits on the way: 100 years of CPU time. */
    {0, 0, UINT64_C(3155760000) * SECOND, UINT64_C(1) << 40, UINT64_C(3) << 40,
     UINT64_C(788940000) * SECOND, UINT64_C(2366820000) * SECOND},
};

START_TEST(cpu_time_is_split_in_the_ratio_of_the_ticks) {
  struct denet_values now = {0};
  ck_assert_uint_eq(denet_values_cpu_ns(&now), 0);
  denet_values_set(&now, DENET_CPU_SYSTEM, splits[_i].system);
  ck_assert_uint_eq(denet_values_cpu_ns(&now), splits[_i].system);
  denet_values_set(&now, DENET_CPU_USER, splits[_i].user);
  ck_assert_uint_eq(denet_values_cpu_ns(&now), splits[_i].user + splits[_i].system);
  denet_values_split_cpu(&now, splits[_i].cpu_ns, splits[_i].user_ticks, splits[_i].system_ticks);
  ck_assert_uint_eq(now.value[DENET_CPU_USER], splits[_i].new_user);
  ck_assert_uint_eq(now.value[DENET_CPU_SYSTEM], splits[_i].new_system);
}
END_TEST

/* Returns a pseudo-random number, the same in every run. */
static uint64_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33;
}

START_TEST(both_parts_of_cpu_time_only_rise_and_make_up_all_of_it) {
  struct denet_values now = {0};
  uint64_t state = 1, cpu_ns = 0, user_ticks = 0, system_ticks = 0;
  for (int i = 0; i < 100000; i++) {
    uint64_t user = now.value[DENET_CPU_USER], system = now.value[DENET_CPU_SYSTEM];
    cpu_ns += next_random(&state) % 50000000;
    *(next_random(&state) % 7 < (unsigned)i / 20000 ? &user_ticks : &system_ticks) +=
        next_random(&state) % 6;
    denet_values_split_cpu(&now, cpu_ns, user_ticks, system_ticks);
    ck_assert_uint_eq(denet_values_cpu_ns(&now), cpu_ns);
    ck_assert_uint_ge(now.value[DENET_CPU_USER], user);
    ck_assert_uint_ge(now.value[DENET_CPU_SYSTEM], system);
  }
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, value_is_absent_until_it_is_set_and_the_highest_if_it_is_raised,
            denet_metric_info);
  ADD_TABLE(suite, combined_value_is_the_sum_or_the_greatest, denet_metric_info);
  ADD_TABLE(suite, cpu_time_is_split_in_the_ratio_of_the_ticks, splits);
  ADD_TEST(suite, both_parts_of_cpu_time_only_rise_and_make_up_all_of_it);
}
