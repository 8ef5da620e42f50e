/* Which group a name stands for and how long it stays; what a group adds up and reports. */
#include "core/groups/group.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)
#define LINGER DENET_GROUP_LINGER_NS

/* Two rules, whose groups have the names of executables; a group, members of it, and its last
 * report. Each test is a process of its own. */
static char rule_name[] = "web", other_name[] = "mail",
            long_name[] = "0123456789012345678901234567890123456789012345678901"
                          "234567890123456789012345678901234567890123456789";
#define RULE(name_)                                                                                \
  {                                                                                                \
    .name = name_, .uses = 1u << DENET_FIELD_EXECUTABLE, .max_instances = 10,                      \
    .report = DENET_REPORT_ALL                                                                     \
  }
static struct denet_rule rule = RULE(rule_name), other_rule = RULE(other_name);
static struct denet_groups groups;
static struct denet_group *group;
static struct denet_process one, two;
static struct denet_group_report report;

static struct denet_group *get_of(const struct denet_rule *of, const char *raw) {
  struct denet_group *found = NULL;
  ck_assert_int_eq(denet_groups_get(&groups, of, denet_text_of(raw), &found), 0);
  return found;
}

static struct denet_group *get(const char *raw) { return get_of(&rule, raw); }

static struct denet_group *join(const char *raw) {
  struct denet_group *joined = get(raw);
  denet_group_join(joined, true);
  return joined;
}

static void take_report(struct denet_group *of, uint64_t now_ns) {
  denet_group_take_report(of, now_ns, &report);
}

/* Makes the group, empties it at that time, and reports it a second later. */
static void come_and_go(const char *raw, uint64_t gone_ns) {
  struct denet_group *left = join(raw);
  denet_group_leave(left, gone_ns);
  take_report(left, gone_ns + SECOND);
}

static struct denet_group *find(const char *name) {
  for (size_t i = 0; i < groups.count; i++)
    if (!strcmp(groups.groups[i]->name, name))
      return groups.groups[i];
  return NULL;
}

START_TEST(same_raw_name_is_the_same_group) {
  rule.report = DENET_REPORT_CPU;
  other_rule.report = DENET_REPORT_IO;
  group = get("nginx");
  ck_assert_ptr_eq(get_of(&other_rule, "nginx"), group);
  ck_assert_uint_eq(groups.count, 1);
  ck_assert_ptr_eq(group->rule, &rule);
  ck_assert_uint_eq(group->report, DENET_REPORT_CPU | DENET_REPORT_IO);
  denet_groups_done(&groups);
  denet_groups_done(&groups);
}
END_TEST

/* As write_graphite shows it. */
static const char *show_name(const char *name, denet_name out_shown) {
  snprintf(out_shown, sizeof(denet_name), "%s", name);
  for (char *at = out_shown; *at; at++)
    *at = *at == '.' ? '_' : *at;
  return out_shown;
}

START_TEST(names_are_distinct_once_made_safe_and_where_a_dot_is_shown_as_an_underscore) {
  static const char *const raws[] = {"a b",   "a/b",   "a_b",   "a.b",    "a:b",
                                     "_",     "",      "a_b-x", "_.self", "a.b.c",
                                     "a_b.c", "_self", "/self", ".self",  " self"};
  denet_name left, right;
  rule.max_instances = 100;
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    get(raws[i]);
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    ck_assert_str_eq(get(raws[i])->raw, raws[i]);
  ck_assert_uint_eq(groups.count, DENET_COUNT_OF(raws));
  for (size_t i = 0; i < groups.count; i++) {
    show_name(groups.groups[i]->name, left);
    ck_assert_str_ne(left, "_self"); /* the name of the monitor itself */
    for (size_t j = 0; j < i; j++)
      ck_assert_str_ne(left, show_name(groups.groups[j]->name, right));
  }
}
END_TEST

START_TEST(too_many_instances_go_to_other_of_their_rule) {
  rule.max_instances = 2;
  other_rule.max_instances = 1;
  join("a");
  join("b");
  struct denet_group *other = join("c");
  ck_assert_str_eq(other->name, "web-_other");
  ck_assert(other->is_overflow);
  ck_assert_ptr_eq(get("d"), other);
  ck_assert_str_eq(get("a")->name, "a");
  ck_assert_uint_eq(groups.count, 3);
  struct denet_group *first = get_of(&other_rule, "e");
  ck_assert_str_eq(first->name, "e"); /* the groups of another rule take no room */
  denet_group_join(first, true);
  ck_assert_str_eq(get_of(&other_rule, "f")->name, "mail-_other");
}
END_TEST

/* The default rule has no name. A process may have the name of the group of others. */
static const struct {
  char *rule;
  const char *first, *end;
} others[] = {
    {rule_name, "a", "web-_other"},
    {(char[]){""}, "a", "_other"},
    {long_name, "a", "-_other"},
    {rule_name, "web-_other", ""},
};

START_TEST(other_is_named_after_its_rule) {
  rule.name = others[_i].rule;
  rule.max_instances = 1;
  struct denet_group *first = join(others[_i].first), *other = get("b");
  size_t length = strlen(other->name);
  ck_assert(other->is_overflow);
  ck_assert_ptr_ne(other, first);
  ck_assert_str_ne(other->name, first->name);
  ck_assert_uint_le(length, DENET_NAME_MAX);
  ck_assert_str_eq(other->name + length - strlen(others[_i].end), others[_i].end);
}
END_TEST

START_TEST(longest_empty_group_makes_room) {
  rule.max_instances = 4;
  join("lives");
  come_and_go("second", 20 * SECOND);
  come_and_go("first", 10 * SECOND);
  come_and_go("third", 30 * SECOND);
  join("new");
  ck_assert_ptr_null(find("first"));
  ck_assert_ptr_nonnull(find("second"));
  join("newer");
  ck_assert_ptr_null(find("second"));
  struct denet_group *newest = join("newest");
  ck_assert_ptr_null(find("third"));
  ck_assert_str_eq(get("too many")->name, "web-_other");
  ck_assert_ptr_nonnull(find("lives"));
  /* One that was not reported since does not make room, nor does that of the others. */
  denet_group_leave(newest, 40 * SECOND);
  ck_assert_str_eq(get("too many")->name, "web-_other");
  take_report(newest, 41 * SECOND);
  take_report(find("web-_other"), 41 * SECOND);
  ck_assert_str_eq(get("last")->name, "last");
  ck_assert_ptr_nonnull(find("web-_other"));
}
END_TEST

/* Reports at reported_ns and expires at now_ns a group that was emptied at 100 s. */
static const struct {
  unsigned uses; /* of the template; 0: the name holds nothing of a process */
  bool has_member;
  uint64_t reported_ns; /* 0: never */
  uint64_t now_ns;
  bool stays;
} ends[] = {
    {DENET_USES_CAPTURE, false, 101 * SECOND, 102 * SECOND, true},
    {DENET_USES_CAPTURE, false, 101 * SECOND, 100 * SECOND + LINGER - 1, true},
    {DENET_USES_CAPTURE, false, 101 * SECOND, 100 * SECOND + LINGER, false},
    {DENET_USES_CAPTURE, false, 99 * SECOND, 100 * SECOND + LINGER, true},
    {DENET_USES_CAPTURE, false, 0, 100 * SECOND + LINGER, true},
    {DENET_USES_PID, false, 101 * SECOND, 101 * SECOND, false},
    {DENET_USES_PID, false, 99 * SECOND, 101 * SECOND, true},
    {DENET_USES_CAPTURE, true, 101 * SECOND, 9999 * SECOND, true},
    {DENET_USES_PID, true, 101 * SECOND, 9999 * SECOND, true},
    {0, false, 101 * SECOND, 9999 * SECOND, true},
};

/* Three groups of one fate, since the first that goes must not hide the next; and the others. */
START_TEST(empty_groups_linger_and_end_after_their_last_report_except_that_of_the_others) {
  static const char *const names[] = {"a", "b", "c"};
  rule.uses = ends[_i].uses;
  rule.max_instances = DENET_COUNT_OF(names);
  for (size_t i = 0; i < DENET_COUNT_OF(names); i++) {
    denet_group_leave(join(names[i]), 100 * SECOND);
    if (ends[_i].has_member)
      join(names[i]);
  }
  come_and_go("others", SECOND);
  for (size_t i = 0; i < DENET_COUNT_OF(names) && ends[_i].reported_ns; i++)
    take_report(get(names[i]), ends[_i].reported_ns);
  denet_groups_expire(&groups, ends[_i].now_ns);
  for (size_t i = 0; i < DENET_COUNT_OF(names); i++)
    ck_assert_int_eq(find(names[i]) != NULL, ends[_i].stays);
  ck_assert_ptr_nonnull(find("web-_other"));
}
END_TEST

/* --- Values --- */

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

/* Asserts a value of the last report; below 0: it is not known. */
static void expect(enum denet_derived derived, double value) {
  ck_assert_int_eq(report.derived_present >> derived & 1, value >= 0);
  if (value >= 0)
    ck_assert_double_eq_tol(report.derived[derived], value, 1e-9);
}

START_TEST(fresh_group_has_a_zero_for_every_sum_until_members_lack_a_counter) {
  group = get("web");
  struct denet_metric_set wanted = denet_metrics_wanted(DENET_REPORT_ALL, false);
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    ck_assert_uint_eq(group->values.value[m], 0);
    ck_assert_int_eq(denet_values_has(&group->values, m),
                     denet_metric_set_has(&wanted, m) && m != DENET_UPTIME);
  }
  struct denet_values gained;
  denet_values_set(&use(&one)->now, DENET_MINOR_FAULTS, 3);
  denet_usage_advance(one.usage, DENET_BASELINE_BIRTH, &gained);
  denet_group_add(group, &gained);
  ck_assert(!denet_values_has(&group->values, DENET_DISK_READ));
  ck_assert_uint_eq(group->values.value[DENET_MINOR_FAULTS], 3);
}
END_TEST

START_TEST(counters_are_the_sum_of_increases_and_stay_when_members_leave) {
  group = get("web");
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
  sample(&two, 4 * SECOND, 5, 0); /* backwards: a counter of the group never falls */
  denet_group_leave(group, 3 * SECOND);
  ck_assert_uint_eq(group->values.value[DENET_CPU_USER], 131);
  /* Starts are of members after the first pass, exits of all. */
  take_report(group, 3 * SECOND);
  ck_assert_uint_eq(group->members, 1);
  expect(DENET_DERIVED_STARTS, 2);
  expect(DENET_DERIVED_EXITS, 2);
}
END_TEST

/* The gauges of how many of the two, which are sampled before. */
static const struct {
  unsigned count;
  uint64_t rss_bytes, uptime_s;
} gauges[] = {{2, 1200, 70}, {1, 1000, 50}, {0, 0, 0}};

START_TEST(gauges_are_of_the_present_members) {
  group = get("web");
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

START_TEST(rates_and_peaks_are_over_the_time_since_the_last_report) {
  group = get("web");
  two.baseline = DENET_BASELINE_BIRTH;
  sample(&one, 10 * SECOND, 0, 0);
  make_gauges(1);
  take_report(group, 10 * SECOND);
  ck_assert_ptr_eq(report.group, group);
  expect_no_rates(); /* in the first report, and in two at one time */
  expect(DENET_DERIVED_RSS_MAX, 0);
  take_report(group, 10 * SECOND);
  expect_no_rates();
  sample(&one, 11 * SECOND, 3 * SECOND, 900);
  make_gauges(1);
  sample(&one, 20 * SECOND, 5 * SECOND, 300);
  make_gauges(1);
  take_report(group, 20 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 50);
  expect(DENET_DERIVED_CPU_PERCENT_MAX, 300);
  expect(DENET_DERIVED_DELAY_CPU, 0.05);
  expect(DENET_DERIVED_RSS_MAX, 900);
  take_report(group, 21 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 0);
  expect(DENET_DERIVED_DELAY_CPU, 0);
  expect(DENET_DERIVED_RSS_MAX, 300);
  /* A process that lives between two samples is in no gauge; the peak is not below the mean. */
  make_gauges(0);
  take_report(group, 30 * SECOND);
  sample(&two, 31 * SECOND, 2 * SECOND, 0);
  make_gauges(0);
  take_report(group, 40 * SECOND);
  expect(DENET_DERIVED_CPU_PERCENT, 20);
  expect(DENET_DERIVED_CPU_PERCENT_MAX, 20);
}
END_TEST

START_TEST(group_that_never_had_a_member_reports_zeros) {
  group = get("web");
  for (uint64_t i = 1; i <= 2; i++) {
    make_gauges(0);
    take_report(group, i * SECOND);
  }
  for (unsigned d = 0; d < DENET_DERIVEDS; d++)
    expect(d, 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, same_raw_name_is_the_same_group);
  ADD_TEST(suite, names_are_distinct_once_made_safe_and_where_a_dot_is_shown_as_an_underscore);
  ADD_TEST(suite, too_many_instances_go_to_other_of_their_rule);
  ADD_TABLE(suite, other_is_named_after_its_rule, others);
  ADD_TEST(suite, longest_empty_group_makes_room);
  ADD_TABLE(suite, empty_groups_linger_and_end_after_their_last_report_except_that_of_the_others,
            ends);
  ADD_TEST(suite, fresh_group_has_a_zero_for_every_sum_until_members_lack_a_counter);
  ADD_TEST(suite, counters_are_the_sum_of_increases_and_stay_when_members_leave);
  ADD_TEST(suite, gauges_are_of_the_present_members);
  ADD_TEST(suite, rates_and_peaks_are_over_the_time_since_the_last_report);
  ADD_TEST(suite, group_that_never_had_a_member_reports_zeros);
}
