/* What a group adds up and reports. */
#include "core/groups/group.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)

/* A group, members of it, and its last report. Each test is a process of its own. */
static const struct denet_rule rule = {
    .name = (char *)"web", .max_instances = 10, .report = DENET_REPORT_ALL};
static struct denet_groups groups;
static struct denet_group *group;
static struct denet_process one, two;
static struct denet_group_report report;

static void begin(void) {
  ck_assert_int_eq(denet_groups_get(&groups, &rule, denet_text_of("web"), &group), 0);
}

static struct denet_usage *use(struct denet_process *process) {
  struct denet_usage *usage = denet_process_use(process);
  ck_assert_ptr_nonnull(usage);
  return usage;
}

/* Samples a member: its CPU time so far, and its memory now. */
static void sample(struct denet_process *process, uint64_t at_ns, uint64_t cpu_ns,
                   uint64_t rss_bytes) {
  struct denet_usage *usage = use(process);
  struct denet_values gained;
  usage->measured_ns = at_ns;
  denet_values_set(&usage->now, DENET_PROCESSES, 1);
  denet_values_set(&usage->now, DENET_CPU_USER, cpu_ns);
  denet_values_set(&usage->now, DENET_RSS, rss_bytes);
  denet_values_set(&usage->now, DENET_RUN_DELAY, cpu_ns / 10);
  denet_usage_advance(usage, process->baseline, &gained);
  denet_usage_rate(usage, SECOND / 10);
  denet_group_add(group, &gained);
}

/* Makes the gauges of the first count of one and two. */
static void make_gauges(unsigned count) {
  denet_group_gauges_begin(group);
  if (count > 0)
    denet_group_gauges_show(group, &one);
  if (count > 1)
    denet_group_gauges_show(group, &two);
  denet_group_gauges_end(group);
}

static void take_report(uint64_t now_ns) { denet_group_take_report(group, now_ns, &report); }

/* Asserts a value of the last report; below 0: it is not known. */
static void expect(enum denet_derived derived, double value) {
  ck_assert_int_eq(report.derived_present >> derived & 1, value >= 0);
  if (value >= 0)
    ck_assert_double_eq_tol(report.derived[derived], value, 1e-9);
}

START_TEST(fresh_group_has_a_zero_for_every_sum) {
  begin();
  struct denet_metric_set wanted = denet_metrics_wanted(DENET_REPORT_ALL, false);
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    ck_assert_uint_eq(group->values.value[m], 0);
    ck_assert_int_eq(denet_values_has(&group->values, m),
                     denet_metric_set_has(&wanted, m) && m != DENET_UPTIME);
  }
}
END_TEST

START_TEST(counter_that_no_member_has_is_absent) {
  begin();
  struct denet_values gained;
  denet_values_set(&use(&one)->now, DENET_MINOR_FAULTS, 3);
  denet_usage_advance(one.usage, DENET_BASELINE_BIRTH, &gained);
  denet_group_add(group, &gained);
  ck_assert(!denet_values_has(&group->values, DENET_DISK_READ));
  ck_assert_uint_eq(group->values.value[DENET_MINOR_FAULTS], 3);
}
END_TEST

START_TEST(counters_are_the_sum_of_increases_and_stay_when_members_leave) {
  begin();
  two.baseline = DENET_BASELINE_BIRTH;
  denet_group_join(group, false);
  denet_group_join(group, true);
  denet_group_join(group, true);
  sample(&one, SECOND, 500, 0);
  sample(&two, SECOND, 30, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 30);
  sample(&one, 2 * SECOND, 600, 0);
  denet_group_leave(group, 2 * SECOND);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 130);
  sample(&two, 3 * SECOND, 31, 0);
  denet_group_leave(group, 3 * SECOND);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 131);
  /* Starts are of members after the first pass, exits of all. */
  take_report(3 * SECOND);
  ck_assert_uint_eq(group->members, 1);
  expect(DENET_DERIVED_STARTS, 2);
  expect(DENET_DERIVED_EXITS, 2);
}
END_TEST

START_TEST(records_that_count_from_birth_do_not_change_the_group) {
  begin();
  one.baseline = DENET_BASELINE_BIRTH_IN_RECORDS;
  sample(&one, SECOND, 500, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 0);
  ck_assert_uint_eq(denet_usage_total(one.usage, DENET_CPU_USER), 500);
  sample(&one, 2 * SECOND, 505, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 5);
}
END_TEST

#define CHURN 20

START_TEST(counters_never_fall_whatever_members_do) {
  begin();
  static struct denet_process members[CHURN];
  uint64_t state = 3, before = 0;
  for (int i = 0; i < 20000; i++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    unsigned roll = (unsigned)(state >> 33);
    struct denet_process *process = &members[roll % CHURN];
    if (roll / CHURN % 10 == 0) {
      denet_process_done(process);
      process->baseline = roll / 200 % 2 ? DENET_BASELINE_FIRST_SEEN : DENET_BASELINE_BIRTH;
    }
    uint64_t cpu_ns = use(process)->now.value[DENET_CPU_USER] + roll % 1000;
    sample(process, (uint64_t)(i + 1) * SECOND, roll % 31 ? cpu_ns : cpu_ns / 2, roll);
    ck_assert_uint_ge(group->values.value[DENET_CPU_USER], before);
    before = group->values.value[DENET_CPU_USER];
  }
}
END_TEST

/* The gauges of how many of the two, which are sampled before. */
static const struct {
  unsigned count;
  uint64_t rss_bytes, uptime_s;
} gauges[] = {{2, 1200, 70}, {1, 1000, 50}, {0, 0, 0}};

START_TEST(gauges_are_of_the_present_members) {
  begin();
  denet_values_set(&use(&one)->now, DENET_UPTIME, 50 * SECOND);
  denet_values_set(&use(&two)->now, DENET_UPTIME, 70 * SECOND);
  sample(&one, SECOND, 0, 1000);
  sample(&two, SECOND, 0, 200);
  for (unsigned i = 0; i < DENET_COUNT_OF(gauges); i++) {
    make_gauges(gauges[i].count);
    ck_assert_uint_eq(group->values.value[DENET_PROCESSES], gauges[i].count);
    ck_assert(denet_values_has(&group->values, DENET_RSS));
    ck_assert_uint_eq(group->values.value[DENET_RSS], gauges[i].rss_bytes);
    /* There is no maximum of none. */
    ck_assert_int_eq(denet_values_has(&group->values, DENET_UPTIME), gauges[i].count > 0);
    ck_assert_uint_eq(denet_values_get(&group->values, DENET_UPTIME), gauges[i].uptime_s * SECOND);
  }
}
END_TEST

static void expect_no_rates(void) {
  expect(DENET_DERIVED_CPU_PERCENT, -1);
  expect(DENET_DERIVED_CPU_PERCENT_MAX, -1);
  expect(DENET_DERIVED_DELAY_CPU, -1);
}

START_TEST(rates_are_over_the_time_since_the_last_report) {
  begin();
  sample(&one, 10 * SECOND, 0, 0);
  make_gauges(1);
  take_report(10 * SECOND);
  ck_assert_ptr_eq(report.group, group);
  expect_no_rates(); /* in the first report, and in two at one time */
  expect(DENET_DERIVED_RSS_MAX, 0);
  take_report(10 * SECOND);
  expect_no_rates();
  sample(&one, 11 * SECOND, 3 * SECOND, 0);
  make_gauges(1);
  sample(&one, 20 * SECOND, 5 * SECOND, 0);
  make_gauges(1);
  take_report(20 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 50);
  expect(DENET_DERIVED_CPU_PERCENT_MAX, 300);
  expect(DENET_DERIVED_DELAY_CPU, 0.05);
  take_report(21 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 0);
}
END_TEST

/* The process lives between two samples: no gauge has it. */
START_TEST(highest_use_is_never_below_the_mean) {
  begin();
  one.baseline = DENET_BASELINE_BIRTH;
  denet_values_set(&group->values, DENET_CPU_USER, 0);
  take_report(10 * SECOND);
  sample(&one, 11 * SECOND, 2 * SECOND, 0);
  make_gauges(0);
  take_report(20 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 20);
  expect(DENET_DERIVED_CPU_PERCENT_MAX, 20);
}
END_TEST

START_TEST(highest_memory_is_of_the_time_since_the_last_report) {
  begin();
  static const uint64_t rss[] = {100, 900, 300};
  for (unsigned i = 0; i < DENET_COUNT_OF(rss); i++) {
    sample(&one, (i + 1) * SECOND, 0, rss[i]);
    make_gauges(1);
  }
  take_report(3 * SECOND);
  expect(DENET_DERIVED_RSS_MAX, 900);
  make_gauges(1);
  take_report(4 * SECOND);
  expect(DENET_DERIVED_RSS_MAX, 300);
}
END_TEST

START_TEST(group_that_never_had_a_member_reports_zeros) {
  begin();
  make_gauges(0);
  take_report(1 * SECOND);
  make_gauges(0);
  take_report(2 * SECOND);
  for (unsigned d = 0; d < DENET_DERIVEDS; d++)
    expect(d, 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, fresh_group_has_a_zero_for_every_sum);
  ADD_TEST(suite, counter_that_no_member_has_is_absent);
  ADD_TEST(suite, counters_are_the_sum_of_increases_and_stay_when_members_leave);
  ADD_TEST(suite, records_that_count_from_birth_do_not_change_the_group);
  ADD_TEST(suite, counters_never_fall_whatever_members_do);
  ADD_TEST(suite, gauges_are_of_the_present_members);
  ADD_TEST(suite, rates_are_over_the_time_since_the_last_report);
  ADD_TEST(suite, highest_use_is_never_below_the_mean);
  ADD_TEST(suite, highest_memory_is_of_the_time_since_the_last_report);
  ADD_TEST(suite, group_that_never_had_a_member_reports_zeros);
}
