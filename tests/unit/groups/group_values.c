/* What a group adds up and reports. */
#include "core/groups/group.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)

static char rule_name[] = "web";

static const struct denet_rule rule = {
    .name = rule_name, .instance = rule_name, .max_instances = 10, .report = DENET_REPORT_ALL};

#define OWN_PROCESS DENET_CLEANUP(denet_process_done) struct denet_process
#define OWN_GROUPS DENET_CLEANUP(denet_groups_done) struct denet_groups

static struct denet_group *make_group(struct denet_groups *groups) {
  struct denet_group *group = NULL;
  ck_assert_int_eq(denet_groups_get(groups, &rule, denet_text_of("web"), &group), 0);
  return group;
}

static struct denet_usage *use(struct denet_process *process) {
  struct denet_usage *usage = denet_process_use(process);
  ck_assert_ptr_nonnull(usage);
  return usage;
}

/* Samples a member: its CPU time so far, and its memory now. */
static void sample(struct denet_group *group, struct denet_process *process, uint64_t at_ns,
                   uint64_t cpu_ns, uint64_t rss_bytes) {
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

static void make_gauges(struct denet_group *group, struct denet_process *const *members,
                        unsigned count) {
  denet_group_gauges_begin(group);
  for (unsigned i = 0; i < count; i++)
    denet_group_gauges_show(group, members[i]);
  denet_group_gauges_end(group);
}

static bool is_known(const struct denet_group_report *report, enum denet_derived derived) {
  return report->derived_present >> derived & 1;
}

START_TEST(fresh_group_has_a_zero_for_every_sum) {
  OWN_GROUPS groups = {0};
  const struct denet_group *group = make_group(&groups);
  struct denet_metric_set wanted = denet_metrics_wanted(DENET_REPORT_ALL, false);
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    ck_assert_uint_eq(group->values.value[m], 0);
    ck_assert_int_eq(denet_values_has(&group->values, m),
                     denet_metric_set_has(&wanted, m) && m != DENET_UPTIME);
  }
}
END_TEST

START_TEST(counter_that_no_member_has_is_absent) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {.baseline = DENET_BASELINE_BIRTH};
  struct denet_values gained;
  denet_values_set(&use(&one)->now, DENET_MINOR_FAULTS, 3);
  denet_usage_advance(one.usage, one.baseline, &gained);
  denet_group_add(group, &gained);
  ck_assert(!denet_values_has(&group->values, DENET_DISK_READ));
  ck_assert_uint_eq(group->values.value[DENET_MINOR_FAULTS], 3);
}
END_TEST

START_TEST(counters_are_the_sum_of_increases_and_stay_when_members_leave) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {.baseline = DENET_BASELINE_FIRST_SEEN},
              two = {.baseline = DENET_BASELINE_BIRTH};
  denet_group_join(group, false);
  denet_group_join(group, true);
  sample(group, &one, SECOND, 500, 0);
  sample(group, &two, SECOND, 30, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 30);
  sample(group, &one, 2 * SECOND, 600, 0);
  denet_group_leave(group, 2 * SECOND);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 130);
  sample(group, &two, 3 * SECOND, 31, 0);
  denet_group_leave(group, 3 * SECOND);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 131);
}
END_TEST

START_TEST(records_that_count_from_birth_do_not_change_the_group) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS process = {.baseline = DENET_BASELINE_BIRTH_IN_RECORDS};
  sample(group, &process, SECOND, 500, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 0);
  ck_assert_uint_eq(denet_usage_total(process.usage, DENET_CPU_USER), 500);
  sample(group, &process, 2 * SECOND, 505, 0);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 5);
}
END_TEST

#define CHURN 20

START_TEST(counters_never_fall_whatever_members_do) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  struct denet_process members[CHURN] = {0};
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
    sample(group, process, (uint64_t)(i + 1) * SECOND, roll % 31 ? cpu_ns : cpu_ns / 2, roll);
    ck_assert_uint_ge(group->values.value[DENET_CPU_USER], before);
    before = group->values.value[DENET_CPU_USER];
  }
  for (int i = 0; i < CHURN; i++)
    denet_process_done(&members[i]);
}
END_TEST

START_TEST(gauges_are_of_the_present_members) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0}, two = {0};
  struct denet_process *const both[] = {&one, &two};
  denet_values_set(&use(&one)->now, DENET_UPTIME, 50 * SECOND);
  denet_values_set(&use(&two)->now, DENET_UPTIME, 70 * SECOND);
  sample(group, &one, SECOND, 0, 1000);
  sample(group, &two, SECOND, 0, 200);
  make_gauges(group, both, 2);
  ck_assert_uint_eq(group->values.value[DENET_PROCESSES], 2);
  ck_assert_uint_eq(group->values.value[DENET_RSS], 1200);
  ck_assert_uint_eq(group->values.value[DENET_UPTIME], 70 * SECOND);
  make_gauges(group, both, 1);
  ck_assert_uint_eq(group->values.value[DENET_PROCESSES], 1);
  ck_assert_uint_eq(group->values.value[DENET_RSS], 1000);
  ck_assert_uint_eq(group->values.value[DENET_UPTIME], 50 * SECOND);
}
END_TEST

START_TEST(sum_over_no_members_is_zero_and_a_maximum_is_absent) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0};
  struct denet_process *const all[] = {&one};
  denet_values_set(&use(&one)->now, DENET_UPTIME, 50 * SECOND);
  sample(group, &one, SECOND, 0, 1000);
  make_gauges(group, all, 1);
  make_gauges(group, all, 0);
  ck_assert(denet_values_has(&group->values, DENET_RSS));
  ck_assert_uint_eq(group->values.value[DENET_RSS], 0);
  ck_assert_uint_eq(group->values.value[DENET_PROCESSES], 0);
  ck_assert(!denet_values_has(&group->values, DENET_UPTIME));
}
END_TEST

START_TEST(starts_are_of_members_after_the_first_pass_and_exits_of_all) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  struct denet_group_report report;
  denet_group_join(group, false);
  denet_group_join(group, true);
  denet_group_join(group, true);
  denet_group_leave(group, SECOND);
  denet_group_take_report(group, SECOND, &report);
  ck_assert_uint_eq(group->members, 2);
  ck_assert_double_eq(report.derived[DENET_DERIVED_STARTS], 2);
  ck_assert_double_eq(report.derived[DENET_DERIVED_EXITS], 1);
}
END_TEST

START_TEST(first_report_has_no_rates) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0};
  struct denet_process *const all[] = {&one};
  struct denet_group_report report;
  sample(group, &one, SECOND, 100, 1000);
  make_gauges(group, all, 1);
  denet_group_take_report(group, SECOND, &report);
  ck_assert_ptr_eq(report.group, group);
  ck_assert(!is_known(&report, DENET_DERIVED_CPU_PERCENT));
  ck_assert(!is_known(&report, DENET_DERIVED_CPU_PERCENT_MAX));
  ck_assert(!is_known(&report, DENET_DERIVED_DELAY_CPU));
  ck_assert(is_known(&report, DENET_DERIVED_RSS_MAX));
  ck_assert(is_known(&report, DENET_DERIVED_STARTS));
  ck_assert(is_known(&report, DENET_DERIVED_EXITS));
}
END_TEST

START_TEST(rates_are_over_the_time_since_the_last_report) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0};
  struct denet_process *const all[] = {&one};
  struct denet_group_report report;
  sample(group, &one, 10 * SECOND, 0, 0);
  make_gauges(group, all, 1);
  denet_group_take_report(group, 10 * SECOND, &report);
  sample(group, &one, 11 * SECOND, 3 * SECOND, 0);
  make_gauges(group, all, 1);
  sample(group, &one, 20 * SECOND, 5 * SECOND, 0);
  make_gauges(group, all, 1);
  denet_group_take_report(group, 20 * SECOND, &report);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_CPU_PERCENT], 50, 1e-9);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_CPU_PERCENT_MAX], 300, 1e-9);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_DELAY_CPU], 0.05, 1e-9);
  denet_group_take_report(group, 21 * SECOND, &report);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_CPU_PERCENT], 0, 1e-9);
}
END_TEST

START_TEST(highest_use_is_never_below_the_mean) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS gone = {.baseline = DENET_BASELINE_BIRTH};
  struct denet_group_report report;
  denet_values_set(&group->values, DENET_CPU_USER, 0);
  denet_group_take_report(group, 10 * SECOND, &report);
  /* It lived between two samples: no gauge has it. */
  sample(group, &gone, 11 * SECOND, 2 * SECOND, 0);
  make_gauges(group, NULL, 0);
  denet_group_take_report(group, 20 * SECOND, &report);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_CPU_PERCENT], 20, 1e-9);
  ck_assert_double_eq_tol(report.derived[DENET_DERIVED_CPU_PERCENT_MAX], 20, 1e-9);
}
END_TEST

START_TEST(two_reports_at_one_time_do_not_divide_by_zero) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0};
  struct denet_group_report report;
  sample(group, &one, SECOND, 100, 0);
  denet_group_take_report(group, 10 * SECOND, &report);
  denet_group_take_report(group, 10 * SECOND, &report);
  ck_assert(!is_known(&report, DENET_DERIVED_CPU_PERCENT));
  ck_assert(!is_known(&report, DENET_DERIVED_DELAY_CPU));
}
END_TEST

START_TEST(highest_memory_is_of_the_time_since_the_last_report) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  OWN_PROCESS one = {0};
  struct denet_process *const all[] = {&one};
  struct denet_group_report report;
  static const uint64_t rss[] = {100, 900, 300};
  for (unsigned i = 0; i < DENET_COUNT_OF(rss); i++) {
    sample(group, &one, (i + 1) * SECOND, 0, rss[i]);
    make_gauges(group, all, 1);
  }
  denet_group_take_report(group, 3 * SECOND, &report);
  ck_assert_double_eq(report.derived[DENET_DERIVED_RSS_MAX], 900);
  make_gauges(group, all, 1);
  denet_group_take_report(group, 4 * SECOND, &report);
  ck_assert_double_eq(report.derived[DENET_DERIVED_RSS_MAX], 300);
}
END_TEST

START_TEST(group_that_never_had_a_member_reports_zeros) {
  OWN_GROUPS groups = {0};
  struct denet_group *group = make_group(&groups);
  struct denet_group_report report;
  make_gauges(group, NULL, 0);
  denet_group_take_report(group, 1 * SECOND, &report);
  make_gauges(group, NULL, 0);
  denet_group_take_report(group, 2 * SECOND, &report);
  ck_assert_uint_eq(report.derived_present, (1u << DENET_DERIVEDS) - 1);
  for (unsigned d = 0; d < DENET_DERIVEDS; d++)
    ck_assert_double_eq(report.derived[d], 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, fresh_group_has_a_zero_for_every_sum);
  ADD_TEST(suite, counter_that_no_member_has_is_absent);
  ADD_TEST(suite, counters_are_the_sum_of_increases_and_stay_when_members_leave);
  ADD_TEST(suite, records_that_count_from_birth_do_not_change_the_group);
  ADD_TEST(suite, counters_never_fall_whatever_members_do);
  ADD_TEST(suite, gauges_are_of_the_present_members);
  ADD_TEST(suite, sum_over_no_members_is_zero_and_a_maximum_is_absent);
  ADD_TEST(suite, starts_are_of_members_after_the_first_pass_and_exits_of_all);
  ADD_TEST(suite, first_report_has_no_rates);
  ADD_TEST(suite, rates_are_over_the_time_since_the_last_report);
  ADD_TEST(suite, highest_use_is_never_below_the_mean);
  ADD_TEST(suite, two_reports_at_one_time_do_not_divide_by_zero);
  ADD_TEST(suite, highest_memory_is_of_the_time_since_the_last_report);
  ADD_TEST(suite, group_that_never_had_a_member_reports_zeros);
}
