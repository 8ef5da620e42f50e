#include "core/groups/group.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

#define OWN_GROUPS DENET_CLEANUP(denet_groups_done) struct denet_groups

/* The fields of rules that a group reads. */
static char rule_name[] = "web",
            long_name[] = "0123456789012345678901234567890123456789012345678901"
                          "234567890123456789012345678901234567890123456789",
            no_name[] = "", by_exe[] = "%{exe}", by_rule[] = "%{rule}", by_pid[] = "%{pid}";

static struct denet_rule make_rule(unsigned max_instances) {
  return (struct denet_rule){.name = rule_name,
                             .instance = by_exe,
                             .max_instances = max_instances,
                             .report = DENET_REPORT_ALL};
}

static struct denet_group *get(struct denet_groups *groups, const struct denet_rule *rule,
                               const char *raw) {
  struct denet_group *group = NULL;
  ck_assert_int_eq(denet_groups_get(groups, rule, denet_text_of(raw), &group), 0);
  return group;
}

static struct denet_group *find(const struct denet_groups *groups, const char *name) {
  for (size_t i = 0; i < groups->count; i++)
    if (!strcmp(groups->groups[i]->name, name))
      return groups->groups[i];
  return NULL;
}

START_TEST(same_raw_name_is_the_same_group) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(10), other = make_rule(10);
  rule.report = DENET_REPORT_CPU;
  other.report = DENET_REPORT_IO;
  struct denet_group *group = get(&groups, &rule, "nginx");
  ck_assert_ptr_eq(get(&groups, &other, "nginx"), group);
  ck_assert_uint_eq(groups.count, 1);
  ck_assert_ptr_eq(group->rule, &rule);
  ck_assert_uint_eq(group->report, DENET_REPORT_CPU | DENET_REPORT_IO);
}
END_TEST

START_TEST(names_that_collide_once_made_safe_stay_distinct) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(10);
  static const char *const raws[] = {"a b", "a/b", "a_b", "a:b", "_", "", "a_b-x"};
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    get(&groups, &rule, raws[i]);
  ck_assert_uint_eq(groups.count, DENET_COUNT_OF(raws));
  for (size_t i = 0; i < groups.count; i++)
    ck_assert_ptr_eq(find(&groups, groups.groups[i]->name), groups.groups[i]);
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    ck_assert_str_eq(get(&groups, &rule, raws[i])->raw, raws[i]);
  ck_assert_uint_eq(groups.count, DENET_COUNT_OF(raws));
}
END_TEST

/* As write_graphite shows it. */
static const char *show_name(const char *name, denet_name out_shown) {
  snprintf(out_shown, sizeof(denet_name), "%s", name);
  for (char *at = out_shown; *at; at++)
    *at = *at == '.' ? '_' : *at;
  return out_shown;
}

START_TEST(names_are_distinct_where_a_dot_is_shown_as_an_underscore) {
  OWN_GROUPS groups = {0};
  denet_name left, right;
  struct denet_rule rule = make_rule(10);
  static const char *const raws[] = {"a.b", "a_b", "a b", "_.self", "a.b.c", "a_b.c"};
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    get(&groups, &rule, raws[i]);
  ck_assert_uint_eq(groups.count, DENET_COUNT_OF(raws));
  for (size_t i = 0; i < groups.count; i++)
    for (size_t j = 0; j < i; j++)
      ck_assert_str_ne(show_name(groups.groups[i]->name, left),
                       show_name(groups.groups[j]->name, right));
}
END_TEST

START_TEST(no_group_has_the_name_of_the_monitor_itself) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(10);
  static const char *const raws[] = {"_self", "/self", ".self", " self"};
  for (unsigned i = 0; i < DENET_COUNT_OF(raws); i++)
    ck_assert_str_ne(get(&groups, &rule, raws[i])->name, "_self");
  ck_assert_uint_eq(groups.count, DENET_COUNT_OF(raws));
}
END_TEST

START_TEST(too_many_instances_go_to_other) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(2);
  denet_group_join(get(&groups, &rule, "a"), true);
  denet_group_join(get(&groups, &rule, "b"), true);
  struct denet_group *other = get(&groups, &rule, "c");
  ck_assert_str_eq(other->name, "web-_other");
  ck_assert(other->is_overflow);
  denet_group_join(other, true);
  ck_assert_ptr_eq(get(&groups, &rule, "d"), other);
  ck_assert_str_eq(get(&groups, &rule, "a")->name, "a");
  ck_assert_uint_eq(groups.count, 3);
}
END_TEST

START_TEST(each_rule_has_its_own_limit_and_other) {
  OWN_GROUPS groups = {0};
  struct denet_rule one = make_rule(1), two = make_rule(1);
  static char second[] = "mail";
  two.name = second;
  denet_group_join(get(&groups, &one, "a"), true);
  denet_group_join(get(&groups, &two, "b"), true);
  ck_assert_str_eq(get(&groups, &one, "c")->name, "web-_other");
  ck_assert_str_eq(get(&groups, &two, "c")->name, "mail-_other");
}
END_TEST

static const struct {
  char *rule;
  const char *other;
} others[] = {
    {rule_name, "web-_other"},
    {no_name, "_other"},
};

START_TEST(other_is_named_after_its_rule) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(1);
  rule.name = others[_i].rule;
  denet_group_join(get(&groups, &rule, "a"), true);
  ck_assert_str_eq(get(&groups, &rule, "b")->name, others[_i].other);
}
END_TEST

START_TEST(other_of_a_long_rule_name_is_still_one) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(1);
  rule.name = long_name;
  denet_group_join(get(&groups, &rule, "a"), true);
  struct denet_group *other = get(&groups, &rule, "b");
  ck_assert_uint_le(strlen(other->name), DENET_NAME_MAX);
  ck_assert_str_eq(other->name + strlen(other->name) - strlen("-_other"), "-_other");
}
END_TEST

START_TEST(a_process_named_as_other_is_not_in_it) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(1);
  struct denet_group *impostor = get(&groups, &rule, "web-_other");
  denet_group_join(impostor, true);
  struct denet_group *other = get(&groups, &rule, "b");
  ck_assert_ptr_ne(other, impostor);
  ck_assert(other->is_overflow);
  ck_assert_str_ne(other->name, impostor->name);
}
END_TEST

/* Makes the group, empties it at that time, and reports it a second later. */
static void come_and_go(struct denet_groups *groups, const struct denet_rule *rule, const char *raw,
                        uint64_t gone_ns) {
  struct denet_group_report report;
  struct denet_group *group = get(groups, rule, raw);
  denet_group_join(group, true);
  denet_group_leave(group, gone_ns);
  denet_group_take_report(group, gone_ns + SECOND, &report);
}

START_TEST(empty_group_stays_until_a_report_has_its_values) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(1);
  struct denet_group *group = get(&groups, &rule, "brief");
  denet_group_join(group, true);
  denet_group_leave(group, SECOND);
  ck_assert_str_eq(get(&groups, &rule, "next")->name, "web-_other");
  ck_assert_ptr_nonnull(find(&groups, "brief"));
}
END_TEST

START_TEST(longest_empty_group_makes_room) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(4);
  denet_group_join(get(&groups, &rule, "lives"), true);
  come_and_go(&groups, &rule, "second", 20 * SECOND);
  come_and_go(&groups, &rule, "first", 10 * SECOND);
  come_and_go(&groups, &rule, "third", 30 * SECOND);
  denet_group_join(get(&groups, &rule, "new"), true);
  ck_assert_ptr_null(find(&groups, "first"));
  ck_assert_ptr_nonnull(find(&groups, "second"));
  denet_group_join(get(&groups, &rule, "newer"), true);
  ck_assert_ptr_null(find(&groups, "second"));
  denet_group_join(get(&groups, &rule, "newest"), true);
  ck_assert_ptr_null(find(&groups, "third"));
  ck_assert_str_eq(get(&groups, &rule, "too many")->name, "web-_other");
  ck_assert_ptr_nonnull(find(&groups, "lives"));
}
END_TEST

START_TEST(other_never_makes_room) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(1);
  struct denet_group *only = get(&groups, &rule, "a");
  denet_group_join(only, true);
  come_and_go(&groups, &rule, "b", SECOND);
  ck_assert_ptr_nonnull(find(&groups, "web-_other"));
  denet_group_leave(only, 2 * SECOND);
  struct denet_group_report report;
  denet_group_take_report(only, 3 * SECOND, &report);
  ck_assert_str_eq(get(&groups, &rule, "c")->name, "c");
  ck_assert_ptr_nonnull(find(&groups, "web-_other"));
}
END_TEST

static const struct {
  char *instance;
  bool is_fixed;
} templates[] = {
    {by_rule, true},
    {rule_name, true},
    {by_exe, false},
    {by_pid, false},
    {(char[]){"%{rule}-%{rule}"}, true},
    {(char[]){"%{rule}-%{comm}"}, false},
    {(char[]){"x-%{1}-%{rule}"}, false},
};

START_TEST(group_is_fixed_if_its_name_holds_nothing_of_a_process) {
  struct denet_rule rule = make_rule(1);
  rule.instance = templates[_i].instance;
  ck_assert_int_eq(denet_group_is_fixed(&rule), templates[_i].is_fixed);
}
END_TEST

/* Reports at reported_ns and expires at now_ns a group that was emptied at 100 s. */
static const struct {
  bool by_pid, is_fixed, has_member;
  uint64_t reported_ns; /* 0: never */
  uint64_t now_ns;
  bool stays;
} ends[] = {
    {false, false, false, 101 * SECOND, 102 * SECOND, true},
    {false, false, false, 101 * SECOND, 100 * SECOND + DENET_GROUP_LINGER_NS - 1, true},
    {false, false, false, 101 * SECOND, 100 * SECOND + DENET_GROUP_LINGER_NS, false},
    {false, false, false, 99 * SECOND, 100 * SECOND + DENET_GROUP_LINGER_NS, true},
    {false, false, false, 0, 100 * SECOND + DENET_GROUP_LINGER_NS, true},
    {true, false, false, 101 * SECOND, 101 * SECOND, false},
    {true, false, false, 99 * SECOND, 101 * SECOND, true},
    {false, false, true, 101 * SECOND, 9999 * SECOND, true},
    {true, false, true, 101 * SECOND, 9999 * SECOND, true},
    {false, true, false, 101 * SECOND, 9999 * SECOND, true},
};

START_TEST(empty_group_lingers_and_ends_after_its_last_report) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(10);
  struct denet_group_report report;
  rule.uses.pid = ends[_i].by_pid;
  rule.instance = ends[_i].is_fixed ? by_rule : by_exe;
  struct denet_group *group = get(&groups, &rule, "a");
  denet_group_join(group, true);
  denet_group_leave(group, 100 * SECOND);
  if (ends[_i].has_member)
    denet_group_join(get(&groups, &rule, "a"), true);
  if (ends[_i].reported_ns)
    denet_group_take_report(get(&groups, &rule, "a"), ends[_i].reported_ns, &report);
  denet_groups_expire(&groups, ends[_i].now_ns);
  ck_assert_int_eq(find(&groups, "a") != NULL, ends[_i].stays);
}
END_TEST

START_TEST(all_groups_that_are_due_expire_together) {
  OWN_GROUPS groups = {0};
  struct denet_rule rule = make_rule(100);
  struct denet_group_report report;
  for (int i = 0; i < 50; i++) {
    char raw[16];
    snprintf(raw, sizeof(raw), "g%d", i);
    come_and_go(&groups, &rule, raw, SECOND);
    if (i % 2)
      denet_group_join(get(&groups, &rule, raw), true);
    denet_group_take_report(get(&groups, &rule, raw), 2 * SECOND, &report);
  }
  denet_groups_expire(&groups, SECOND + DENET_GROUP_LINGER_NS);
  ck_assert_uint_eq(groups.count, 25);
  for (size_t i = 0; i < groups.count; i++)
    ck_assert_uint_eq(groups.groups[i]->members, 1);
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_groups groups = {0};
  struct denet_rule rule = make_rule(1);
  denet_groups_done(&groups);
  get(&groups, &rule, "a");
  denet_groups_done(&groups);
  denet_groups_done(&groups);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, same_raw_name_is_the_same_group);
  ADD_TEST(suite, names_that_collide_once_made_safe_stay_distinct);
  ADD_TEST(suite, names_are_distinct_where_a_dot_is_shown_as_an_underscore);
  ADD_TEST(suite, no_group_has_the_name_of_the_monitor_itself);
  ADD_TEST(suite, too_many_instances_go_to_other);
  ADD_TEST(suite, each_rule_has_its_own_limit_and_other);
  ADD_TABLE(suite, other_is_named_after_its_rule, others);
  ADD_TEST(suite, other_of_a_long_rule_name_is_still_one);
  ADD_TEST(suite, a_process_named_as_other_is_not_in_it);
  ADD_TEST(suite, empty_group_stays_until_a_report_has_its_values);
  ADD_TEST(suite, longest_empty_group_makes_room);
  ADD_TEST(suite, other_never_makes_room);
  ADD_TABLE(suite, group_is_fixed_if_its_name_holds_nothing_of_a_process, templates);
  ADD_TABLE(suite, empty_group_lingers_and_ends_after_its_last_report, ends);
  ADD_TEST(suite, all_groups_that_are_due_expire_together);
  ADD_TEST(suite, done_may_be_called_twice);
}
