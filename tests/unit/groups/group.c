#include "core/groups/group.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)
#define LINGER DENET_GROUP_LINGER_NS

/* Two rules, whose groups have the names of executables. Each test is a process of its own. */
static char rule_name[] = "web", other_name[] = "mail",
            long_name[] = "0123456789012345678901234567890123456789012345678901"
                          "234567890123456789012345678901234567890123456789";
#define RULE(name_)                                                                                \
  { .name = name_, .uses = 1u << DENET_FIELD_EXECUTABLE, .max_instances = 10 }
static struct denet_rule rule = RULE(rule_name), other_rule = RULE(other_name);
static struct denet_groups groups;

static struct denet_group *get_of(const struct denet_rule *of, const char *raw) {
  struct denet_group *group = NULL;
  ck_assert_int_eq(denet_groups_get(&groups, of, denet_text_of(raw), &group), 0);
  return group;
}

static struct denet_group *get(const char *raw) { return get_of(&rule, raw); }

static struct denet_group *join(const char *raw) {
  struct denet_group *group = get(raw);
  denet_group_join(group, true);
  return group;
}

static void report(struct denet_group *group, uint64_t now_ns) {
  struct denet_group_report report;
  denet_group_take_report(group, now_ns, &report);
}

/* Makes the group, empties it at that time, and reports it a second later. */
static void come_and_go(const char *raw, uint64_t gone_ns) {
  struct denet_group *group = join(raw);
  denet_group_leave(group, gone_ns);
  report(group, gone_ns + SECOND);
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
  struct denet_group *group = get("nginx");
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
  report(newest, 41 * SECOND);
  report(find("web-_other"), 41 * SECOND);
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

START_TEST(empty_group_lingers_and_ends_after_its_last_report) {
  rule.uses = ends[_i].uses;
  denet_group_leave(join("a"), 100 * SECOND);
  if (ends[_i].has_member)
    join("a");
  if (ends[_i].reported_ns)
    report(get("a"), ends[_i].reported_ns);
  denet_groups_expire(&groups, ends[_i].now_ns);
  ck_assert_int_eq(find("a") != NULL, ends[_i].stays);
}
END_TEST

START_TEST(all_groups_that_are_due_expire_together_except_that_of_the_others) {
  rule.max_instances = 1;
  join("g");
  come_and_go("h", SECOND); /* they are the others */
  rule.max_instances = 100;
  for (int i = 1; i < 50; i++) {
    char raw[16];
    snprintf(raw, sizeof(raw), "g%d", i);
    struct denet_group *group = join(raw);
    if (i % 2)
      denet_group_leave(group, SECOND);
    report(group, 2 * SECOND);
  }
  denet_groups_expire(&groups, SECOND + LINGER);
  ck_assert_uint_eq(groups.count, 25 + 1);
  for (size_t i = 0; i < groups.count; i++)
    ck_assert_uint_eq(groups.groups[i]->members, !groups.groups[i]->is_overflow);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, same_raw_name_is_the_same_group);
  ADD_TEST(suite, names_are_distinct_once_made_safe_and_where_a_dot_is_shown_as_an_underscore);
  ADD_TEST(suite, too_many_instances_go_to_other_of_their_rule);
  ADD_TABLE(suite, other_is_named_after_its_rule, others);
  ADD_TEST(suite, longest_empty_group_makes_room);
  ADD_TABLE(suite, empty_group_lingers_and_ends_after_its_last_report, ends);
  ADD_TEST(suite, all_groups_that_are_due_expire_together_except_that_of_the_others);
}
