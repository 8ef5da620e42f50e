#include "core/model/usage.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <math.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static void set(struct denet_usage *usage, enum denet_metric metric, uint64_t value) {
  denet_values_set(&usage->now, metric, value);
}

#define SEEN DENET_BASELINE_FIRST_SEEN
#define BIRTH DENET_BASELINE_BIRTH
#define RECORDS DENET_BASELINE_BIRTH_IN_RECORDS
#define FAULTS DENET_MINOR_FAULTS
#define NET DENET_NET_RX
#define NONE (UINT64_MAX - 1)
#define MOST UINT64_MAX

/* Four values of a counter, what it gains by each, and its total then. NONE: it cannot be read.
 * Before the third value it may be that the process was a member of no tree, or that it has another
 * network namespace; from the third value on it has the second baseline. */
static const struct {
  enum denet_metric metric;
  enum denet_baseline baseline[2];
  enum { GOES_ON, PAUSES, MOVES } before_third;
  uint64_t now[4], gained[4], total[4];
} counters[] = {
    {FAULTS, {SEEN, SEEN}, GOES_ON, {100, 130, 130, 131}, {0, 30, 0, 1}, {0, 30, 30, 31}},
    {FAULTS, {SEEN, SEEN}, GOES_ON, {0, 0, 5, 5}, {0, 0, 5, 0}, {0, 0, 5, 5}},
    {FAULTS, {BIRTH, BIRTH}, GOES_ON, {100, 130, 131, 131}, {100, 30, 1, 0}, {100, 130, 131, 131}},
    {FAULTS, {RECORDS, RECORDS}, GOES_ON, {10, 13, 14, 15}, {0, 3, 1, 1}, {10, 13, 14, 15}},
    /* A counter that falls starts a new series: no increase for that sample. */
    {FAULTS, {SEEN, SEEN}, GOES_ON, {100, 60, 65, 65}, {0, 0, 5, 0}, {0, 0, 5, 5}},
    {FAULTS, {BIRTH, BIRTH}, GOES_ON, {100, 60, 65, 66}, {100, 0, 5, 1}, {100, 100, 105, 106}},
    {FAULTS, {BIRTH, BIRTH}, GOES_ON, {100, 0, 300, 300}, {100, 0, 300, 0}, {100, 100, 400, 400}},
    {FAULTS, {SEEN, SEEN}, GOES_ON, {0, MOST, MOST, MOST}, {0, MOST, 0, 0}, {0, MOST, MOST, MOST}},
    /* One that becomes readable later begins as its baseline says. */
    {FAULTS, {SEEN, SEEN}, GOES_ON, {NONE, NONE, 700, 701}, {0, 0, 0, 1}, {0, 0, 0, 1}},
    {FAULTS, {BIRTH, BIRTH}, GOES_ON, {NONE, NONE, 700, 701}, {0, 0, 700, 1}, {0, 0, 700, 701}},
    {FAULTS, {RECORDS, RECORDS}, GOES_ON, {NONE, NONE, 700, 701}, {0, 0, 0, 1}, {0, 0, 700, 701}},
    /* One that is no sum over members never counts from birth. */
    {NET, {SEEN, SEEN}, GOES_ON, {5000, 5010, 5010, 5011}, {0, 10, 0, 1}, {0, 10, 10, 11}},
    {NET, {BIRTH, BIRTH}, GOES_ON, {5000, 5010, 5010, 5011}, {0, 10, 0, 1}, {0, 10, 10, 11}},
    {NET, {RECORDS, RECORDS}, GOES_ON, {5000, 5010, 5010, 5011}, {0, 10, 0, 1}, {0, 10, 10, 11}},
    /* Counts of another network namespace begin anew. */
    {NET, {SEEN, SEEN}, MOVES, {5000, 5010, 70, 75}, {0, 10, 0, 5}, {0, 10, 10, 15}},
    {NET, {SEEN, SEEN}, MOVES, {5000, 5010, 9000, 9005}, {0, 10, 0, 5}, {0, 10, 10, 15}},
    /* Paused time is not counted, except in records since birth. */
    {FAULTS, {BIRTH, SEEN}, PAUSES, {10, 11, 1000, 1003}, {10, 1, 0, 3}, {10, 11, 11, 14}},
    {FAULTS, {RECORDS, RECORDS}, PAUSES, {10, 11, 1000, 1003}, {0, 1, 0, 3}, {10, 11, 1000, 1003}},
    {FAULTS, {RECORDS, RECORDS}, PAUSES, {100, 60, 70, 71}, {0, 0, 0, 1}, {100, 100, 110, 111}},
    {FAULTS, {RECORDS, RECORDS}, PAUSES, {100, 110, 50, 51}, {0, 10, 0, 1}, {100, 110, 110, 111}},
    /* Records since birth have also what was not counted before the pause. */
    {FAULTS, {SEEN, RECORDS}, PAUSES, {100, 110, 1000, 1003}, {0, 10, 0, 3}, {0, 10, 1000, 1003}},
    {FAULTS, {SEEN, RECORDS}, PAUSES, {100, 150, 80, 81}, {0, 50, 0, 1}, {0, 50, 80, 81}},
    {FAULTS, {SEEN, RECORDS}, PAUSES, {100, 190, 80, 81}, {0, 90, 0, 1}, {0, 90, 90, 91}},
};

START_TEST(counter_begins_as_its_baseline_says_and_never_falls) {
  enum denet_metric metric = counters[_i].metric;
  struct denet_usage usage = {0};
  struct denet_values gained, totals;
  denet_usage_enter_net(&usage, 1);
  for (int i = 0; i < 4; i++) {
    if (i == 2 && counters[_i].before_third == PAUSES)
      denet_usage_pause(&usage);
    if (i == 2 && counters[_i].before_third == MOVES) {
      denet_usage_enter_net(&usage, 2);
      ck_assert(!denet_values_has(&usage.now, metric));
    }
    bool is_known = counters[_i].now[i] != NONE;
    if (is_known)
      set(&usage, metric, counters[_i].now[i]);
    denet_usage_advance(&usage, counters[_i].baseline[i / 2], &gained);
    denet_usage_totals(&usage, &totals);
    ck_assert(denet_values_has(&gained, metric) == is_known);
    ck_assert(denet_values_has(&totals, metric) == is_known);
    ck_assert_uint_eq(denet_values_get(&gained, metric), counters[_i].gained[i]);
    ck_assert_uint_eq(denet_values_get(&totals, metric), counters[_i].total[i]);
    ck_assert_uint_eq(denet_usage_total(&usage, metric), counters[_i].total[i]);
  }
}
END_TEST

START_TEST(gauge_is_its_last_value_and_what_was_never_read_is_absent) {
  static const uint64_t rss[] = {500, 900, 0, 100};
  struct denet_usage usage = {0};
  struct denet_values gained, totals;
  for (unsigned i = 0; i < DENET_COUNT_OF(rss); i++) {
    set(&usage, DENET_RSS, rss[i]);
    denet_usage_advance(&usage, DENET_BASELINE_FIRST_SEEN, &gained);
    denet_usage_totals(&usage, &totals);
    ck_assert_uint_eq(totals.value[DENET_RSS], rss[i]);
    ck_assert(denet_metric_set_is_empty(&gained.present));
    for (unsigned m = 0; m < DENET_METRICS; m++)
      ck_assert_int_eq(denet_values_has(&totals, m), m == DENET_RSS);
  }
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
  denet_usage_advance(usage, DENET_BASELINE_BIRTH_IN_RECORDS, &gained);
  denet_usage_rate(usage, SECOND / 10);
}

/* Samples, ms, of CPU time, ms, and the rate after each. The window of a rate is 100 ms. */
static const struct {
  struct {
    uint64_t at_ms, cpu_ms;
    double cores;
    bool pauses; /* before the sample */
  } samples[5];
} rates[] = {
    /* CPU time by time; the first sample has none. */
    {{{50000, 40000, 0, 0}, {52000, 43000, 1.5, 0}, {53000, 47000, 4, 0}, {54000, 47000, 0, 0}}},
    /* It waits until its window is full. */
    {{{50000, 0, 0, 0},
      {51000, 500, 0.5, 0},
      {51099, 550, 0.5, 0},
      {51100, 600, 1, 0},
      {51300, 600, 0, 0}}},
    /* It stays when time does not pass. */
    {{{50000, 0, 0, 0}, {51000, 1000, 1, 0}, {51000, 2000, 1, 0}, {50000, 3000, 1, 0}}},
    /* A process that was paused has none at first. */
    {{{50000, 0, 0, 0}, {51000, 1000, 1, 0}, {60000, 9000, 0, 1}, {61000, 9250, 0.25, 0}}},
};

START_TEST(rate_is_cpu_time_by_time) {
  struct denet_usage usage = {0};
  for (size_t i = 0; i < 5 && rates[_i].samples[i].at_ms; i++) {
    if (rates[_i].samples[i].pauses) {
      denet_usage_pause(&usage);
      ck_assert_double_eq(usage.cpu_cores, 0);
    }
    sample(&usage, rates[_i].samples[i].at_ms * MS, rates[_i].samples[i].cpu_ms * MS);
    ck_assert_double_eq_tol(usage.cpu_cores, rates[_i].samples[i].cores, 1e-9);
  }
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
  ADD_TEST(suite, gauge_is_its_last_value_and_what_was_never_read_is_absent);
  ADD_TABLE(suite, rate_is_cpu_time_by_time, rates);
  ADD_TEST(suite, rate_is_never_negative_nor_infinite);
  ADD_TABLE(suite, threads_are_blocked_for_the_rest_of_their_ages, ages);
}
