#include "core/model/usage.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <math.h>

#define SECOND UINT64_C(1000000000)

static void set(struct denet_usage *usage, enum denet_metric metric, uint64_t value) {
  denet_values_set(&usage->now, metric, value);
}

/* Advances the usage; one counter gains delta and comes to total. */
static void expect(struct denet_usage *usage, enum denet_baseline baseline,
                   enum denet_metric metric, uint64_t delta, uint64_t total) {
  struct denet_values gained, totals;
  denet_usage_advance(usage, baseline, &gained);
  denet_usage_totals(usage, &totals);
  ck_assert(denet_values_has(&gained, metric) && denet_values_has(&totals, metric));
  ck_assert_uint_eq(gained.value[metric], delta);
  ck_assert_uint_eq(totals.value[metric], total);
  ck_assert_uint_eq(denet_usage_total(usage, metric), total);
}

/* Three values of a counter. */
static const struct {
  enum denet_baseline baseline;
  uint64_t now[3], delta[3], sum[3];
} counters[] = {
    {DENET_BASELINE_FIRST_SEEN, {100, 130, 130}, {0, 30, 0}, {0, 30, 30}},
    {DENET_BASELINE_FIRST_SEEN, {0, 0, 5}, {0, 0, 5}, {0, 0, 5}},
    {DENET_BASELINE_BIRTH, {100, 130, 131}, {100, 30, 1}, {100, 130, 131}},
    {DENET_BASELINE_BIRTH_IN_RECORDS, {100, 130, 131}, {0, 30, 1}, {100, 130, 131}},
    /* A counter that falls starts a new series: no increase for that sample. */
    {DENET_BASELINE_FIRST_SEEN, {100, 60, 65}, {0, 0, 5}, {0, 0, 5}},
    {DENET_BASELINE_BIRTH, {100, 60, 65}, {100, 0, 5}, {100, 100, 105}},
    {DENET_BASELINE_BIRTH, {100, 0, 300}, {100, 0, 300}, {100, 100, 400}},
    {DENET_BASELINE_FIRST_SEEN,
     {0, UINT64_MAX, UINT64_MAX},
     {0, UINT64_MAX, 0},
     {0, UINT64_MAX, UINT64_MAX}},
};

START_TEST(counter_begins_as_its_baseline_says_and_never_falls) {
  struct denet_usage usage = {0};
  for (int i = 0; i < 3; i++) {
    set(&usage, DENET_MINOR_FAULTS, counters[_i].now[i]);
    expect(&usage, counters[_i].baseline, DENET_MINOR_FAULTS, counters[_i].delta[i],
           counters[_i].sum[i]);
  }
}
END_TEST

START_TEST(gauge_is_its_last_value) {
  static const uint64_t rss[] = {500, 900, 0, 100};
  struct denet_usage usage = {0};
  struct denet_values gained, totals;
  for (unsigned i = 0; i < DENET_COUNT_OF(rss); i++) {
    set(&usage, DENET_RSS, rss[i]);
    denet_usage_advance(&usage, DENET_BASELINE_FIRST_SEEN, &gained);
    denet_usage_totals(&usage, &totals);
    ck_assert_uint_eq(totals.value[DENET_RSS], rss[i]);
    ck_assert(!denet_values_has(&gained, DENET_RSS));
  }
}
END_TEST

START_TEST(metric_that_was_never_read_is_absent) {
  struct denet_usage usage = {0};
  struct denet_values gained, totals;
  set(&usage, DENET_RSS, 1);
  denet_usage_advance(&usage, DENET_BASELINE_BIRTH, &gained);
  denet_usage_totals(&usage, &totals);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert_int_eq(denet_values_has(&totals, m), m == DENET_RSS);
  ck_assert(denet_metric_set_is_empty(&gained.present));
}
END_TEST

static const struct {
  enum denet_baseline baseline;
  uint64_t first_sum, first_delta;
} late[] = {
    {DENET_BASELINE_FIRST_SEEN, 0, 0},
    {DENET_BASELINE_BIRTH, 700, 700},
    {DENET_BASELINE_BIRTH_IN_RECORDS, 700, 0},
};

START_TEST(metric_that_becomes_readable_later_begins_as_its_baseline_says) {
  struct denet_usage usage = {0};
  set(&usage, DENET_MINOR_FAULTS, 10);
  struct denet_values gained;
  denet_usage_advance(&usage, late[_i].baseline, &gained);
  denet_usage_advance(&usage, late[_i].baseline, &gained);
  set(&usage, DENET_DISK_READ, 700);
  expect(&usage, late[_i].baseline, DENET_DISK_READ, late[_i].first_delta, late[_i].first_sum);
  set(&usage, DENET_DISK_READ, 701);
  expect(&usage, late[_i].baseline, DENET_DISK_READ, 1, late[_i].first_sum + 1);
}
END_TEST

START_TEST(metric_that_is_no_sum_never_counts_from_birth) {
  struct denet_usage usage = {0};
  set(&usage, DENET_NET_RX, 5000);
  expect(&usage, late[_i].baseline, DENET_NET_RX, 0, 0);
  set(&usage, DENET_NET_RX, 5010);
  expect(&usage, late[_i].baseline, DENET_NET_RX, 10, 10);
}
END_TEST

START_TEST(counts_of_another_network_namespace_begin_anew) {
  struct denet_usage usage = {0};
  denet_usage_enter_net(&usage, 1);
  set(&usage, DENET_NET_RX, 5000);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_NET_RX, 0, 0);
  set(&usage, DENET_NET_RX, 5010);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_NET_RX, 10, 10);
  denet_usage_enter_net(&usage, 2);
  ck_assert(!denet_values_has(&usage.now, DENET_NET_RX));
  set(&usage, DENET_NET_RX, 70);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_NET_RX, 0, 10);
  set(&usage, DENET_NET_RX, 75);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_NET_RX, 5, 15);
}
END_TEST

START_TEST(paused_time_is_not_counted) {
  struct denet_usage usage = {0};
  set(&usage, DENET_MINOR_FAULTS, 10);
  expect(&usage, DENET_BASELINE_BIRTH, DENET_MINOR_FAULTS, 10, 10);
  denet_usage_pause(&usage);
  set(&usage, DENET_MINOR_FAULTS, 1000);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_MINOR_FAULTS, 0, 10);
  set(&usage, DENET_MINOR_FAULTS, 1003);
  expect(&usage, DENET_BASELINE_FIRST_SEEN, DENET_MINOR_FAULTS, 3, 13);
}
END_TEST

START_TEST(time_that_was_paused_counts_in_records_since_birth) {
  struct denet_usage usage = {0};
  set(&usage, DENET_MINOR_FAULTS, 10);
  expect(&usage, DENET_BASELINE_BIRTH_IN_RECORDS, DENET_MINOR_FAULTS, 0, 10);
  denet_usage_pause(&usage);
  set(&usage, DENET_MINOR_FAULTS, 1000);
  expect(&usage, DENET_BASELINE_BIRTH_IN_RECORDS, DENET_MINOR_FAULTS, 0, 1000);
}
END_TEST

/* Returns a pseudo-random number, the same in every run. */
static uint64_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33;
}

static void sample(struct denet_usage *usage, uint64_t at_ns, uint64_t cpu_ns) {
  struct denet_values gained;
  usage->measured_ns = at_ns;
  set(usage, DENET_CPU_USER, cpu_ns);
  denet_usage_advance(usage, DENET_BASELINE_FIRST_SEEN, &gained);
  denet_usage_rate(usage, SECOND / 10);
}

START_TEST(first_sample_gives_no_rate) {
  struct denet_usage usage = {0};
  sample(&usage, 50 * SECOND, 40 * SECOND);
  ck_assert_double_eq(usage.cpu_cores, 0);
}
END_TEST

START_TEST(rate_is_cpu_time_by_time) {
  struct denet_usage usage = {0};
  sample(&usage, 50 * SECOND, 40 * SECOND);
  sample(&usage, 52 * SECOND, 43 * SECOND);
  ck_assert_double_eq_tol(usage.cpu_cores, 1.5, 1e-9);
  sample(&usage, 53 * SECOND, 47 * SECOND);
  ck_assert_double_eq_tol(usage.cpu_cores, 4, 1e-9);
  sample(&usage, 54 * SECOND, 47 * SECOND);
  ck_assert_double_eq_tol(usage.cpu_cores, 0, 1e-9);
}
END_TEST

START_TEST(rate_waits_until_its_window_is_full) {
  struct denet_usage usage = {0};
  sample(&usage, 50 * SECOND, 0);
  sample(&usage, 51 * SECOND, SECOND / 2);
  sample(&usage, 51 * SECOND + SECOND / 20, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(usage.cpu_cores, 0.5, 1e-9);
  sample(&usage, 51 * SECOND + SECOND / 10, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(usage.cpu_cores, 0.5, 1e-9);
  sample(&usage, 51 * SECOND + 3 * SECOND / 10, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(usage.cpu_cores, 0, 1e-9);
}
END_TEST

START_TEST(rate_stays_when_time_does_not_pass) {
  struct denet_usage usage = {0};
  sample(&usage, 50 * SECOND, 0);
  sample(&usage, 51 * SECOND, SECOND);
  sample(&usage, 51 * SECOND, 2 * SECOND);
  sample(&usage, 50 * SECOND, 3 * SECOND);
  ck_assert_double_eq_tol(usage.cpu_cores, 1, 1e-9);
}
END_TEST

START_TEST(rate_is_never_negative_nor_infinite) {
  struct denet_usage usage = {0};
  uint64_t state = 7;
  for (int i = 0; i < 10000; i++) {
    sample(&usage, SECOND + next_random(&state) % (100 * SECOND), next_random(&state));
    ck_assert(isfinite(usage.cpu_cores) && usage.cpu_cores >= 0);
  }
}
END_TEST

START_TEST(paused_process_has_no_rate) {
  struct denet_usage usage = {0};
  sample(&usage, 50 * SECOND, 0);
  sample(&usage, 51 * SECOND, SECOND);
  denet_usage_pause(&usage);
  ck_assert_double_eq(usage.cpu_cores, 0);
  sample(&usage, 60 * SECOND, 9 * SECOND);
  ck_assert_double_eq(usage.cpu_cores, 0);
  sample(&usage, 61 * SECOND, 9 * SECOND + SECOND / 4);
  ck_assert_double_eq_tol(usage.cpu_cores, 0.25, 1e-9);
}
END_TEST

/* Blocked time: the age of the threads without CPU time and run delay. It never falls. */
static const struct {
  bool has_run_delay;
  uint64_t before_ns, age_ns, cpu_ns, run_delay_ns, off_ns;
} ages[] = {
    {true, 0, 100, 30, 20, 50},  {true, 50, 200, 40, 20, 140}, {true, 0, 100, 0, 0, 100},
    {true, 0, 100, 60, 40, 0},   {true, 0, 100, 90, 40, 0}, /* the clocks differ a little */
    {true, 60, 100, 30, 20, 60},                            /* the value before is greater */
    {true, 60, 0, 30, 20, 60},   {false, 0, 100, 30, 20, 0},
};

START_TEST(threads_are_blocked_for_the_rest_of_their_ages) {
  struct denet_usage usage = {.age_ns = ages[_i].age_ns, .cpu_ns = ages[_i].cpu_ns};
  if (ages[_i].has_run_delay)
    denet_values_set(&usage.now, DENET_RUN_DELAY, ages[_i].run_delay_ns);
  if (ages[_i].before_ns)
    denet_values_set(&usage.now, DENET_OFF_CPU, ages[_i].before_ns);
  denet_usage_derive_off_cpu(&usage);
  ck_assert_int_eq(denet_values_has(&usage.now, DENET_OFF_CPU), ages[_i].has_run_delay);
  ck_assert_uint_eq(usage.now.value[DENET_OFF_CPU], ages[_i].off_ns);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, counter_begins_as_its_baseline_says_and_never_falls, counters);
  ADD_TEST(suite, gauge_is_its_last_value);
  ADD_TEST(suite, metric_that_was_never_read_is_absent);
  ADD_TABLE(suite, metric_that_becomes_readable_later_begins_as_its_baseline_says, late);
  ADD_TABLE(suite, metric_that_is_no_sum_never_counts_from_birth, late);
  ADD_TEST(suite, counts_of_another_network_namespace_begin_anew);
  ADD_TEST(suite, paused_time_is_not_counted);
  ADD_TEST(suite, time_that_was_paused_counts_in_records_since_birth);
  ADD_TEST(suite, first_sample_gives_no_rate);
  ADD_TEST(suite, rate_is_cpu_time_by_time);
  ADD_TEST(suite, rate_waits_until_its_window_is_full);
  ADD_TEST(suite, rate_stays_when_time_does_not_pass);
  ADD_TEST(suite, rate_is_never_negative_nor_infinite);
  ADD_TEST(suite, paused_process_has_no_rate);
  ADD_TABLE(suite, threads_are_blocked_for_the_rest_of_their_ages, ages);
}
