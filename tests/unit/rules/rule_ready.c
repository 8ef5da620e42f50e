/* Rules that come ready: Process, ProcessMatch, and the one that is there without any. */
#include "tests/unit/rule_lines.h"

static const struct {
  const char *name;
  struct denet_text comm;
  bool matches;
} processes[] = {
    {"sshd", BYTES("sshd"), true},
    {"sshd", BYTES("sshd2"), false},
    {"systemd-journald", BYTES("systemd-journal"), true},
    {"!sshd", BYTES("!sshd"), true},
    {"!sshd", BYTES("other"), false},
    {"~ss", BYTES("~ss"), true},
    {"~ss", BYTES("sshd"), false},
    {"100%{", BYTES("100%{"), true},
};

START_TEST(process_is_an_exact_name_whatever_its_bytes) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init_process(&rule, processes[_i].name, &error), 0);
  ck_assert_msg(denet_rule_finish(&rule, &error) == 0, "%s", error.text);
  ck_assert_str_eq(rule.name, processes[_i].name);
  ck_assert_str_eq(rule.instance, "%{rule}");
  ck_assert(!rule.children);
  ck_assert(rule.records);
  struct denet_attributes attributes = {.field = {[DENET_FIELD_COMM] = processes[_i].comm}};
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_matches(&rule, &attributes, &captures), processes[_i].matches);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(process_without_a_name_is_refused) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init_process(&rule, "", &error), -EINVAL);
  ck_assert_str_eq(error.text, "Process \"\": must not be empty");
  denet_rule_done(&rule);
}
END_TEST

START_TEST(process_match_names_by_its_captures) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(
      denet_rule_init_process_match(&rule, "shard-%{1}", "shard\\.py ([0-9]+)", &error), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, &error), 0);
  ck_assert_str_eq(rule.name, "shard-%{1}");
  ck_assert_str_eq(rule.instance, "shard-%{1}");
  ck_assert(!rule.children);
  ck_assert_uint_eq(rule.fields, BIT(COMMAND_LINE));
  struct denet_attributes attributes = {
      .field = {[DENET_FIELD_COMMAND_LINE] = BYTES("python shard.py 12")}};
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_uint_eq(captures.group[0].length, 2);
  ck_assert_mem_eq(captures.group[0].bytes, "12", 2);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(process_match_takes_an_exclamation_mark_literally) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init_process_match(&rule, "x", "!y", NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  struct denet_attributes attributes = {.field = {[DENET_FIELD_COMMAND_LINE] = BYTES("a!y")}};
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  attributes.field[DENET_FIELD_COMMAND_LINE] = (struct denet_text)BYTES("z");
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  const char *name, *regex, *sentence;
} refused_matches[] = {
    {"", "x", "ProcessMatch \"\": must not be empty"},
    {"x", "", "ProcessMatch \"\": Empty pattern at character 1"},
    {"x", "a(", "ProcessMatch \"a(\": Unmatched ( or \\( at character 2"},
    {"x-%{1}", "a",
     "ProcessMatch \"x-%{1}\": %{1} at character 3: the regular expressions have no group 1"},
    {"x-%{foo}", "a", "ProcessMatch \"x-%{foo}\": unknown placeholder %{foo} at character 3"},
};

START_TEST(bad_process_match_is_refused_with_its_position) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init_process_match(&rule, refused_matches[_i].name,
                                                 refused_matches[_i].regex, &error),
                   -EINVAL);
  ck_assert_str_eq(error.text, refused_matches[_i].sentence);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(default_rule_matches_every_process_but_kernel_threads) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init_default(&rule, &error), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, &error), 0);
  ck_assert_str_eq(rule.name, "");
  ck_assert_str_eq(rule.instance, "%{exe}");
  ck_assert_uint_eq(rule.max_instances, 50);
  ck_assert(!rule.children);
  ck_assert(!rule.records);
  ck_assert_uint_eq(rule.fields, BIT(EXECUTABLE));
  struct denet_attributes attributes = {.pid = 2};
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_ptr_null(captures.group[0].bytes);
  attributes.kernel_thread = true;
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_of_the_user_sees_kernel_threads) {
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"CommandLine", "^\\[kswapd(.*)\\]$"}});
  struct denet_attributes attributes = {.kernel_thread = true,
                                        .field = {[DENET_FIELD_COMMAND_LINE] = BYTES("[kswapd0]")}};
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  denet_rule_done(&rule);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, process_is_an_exact_name_whatever_its_bytes, processes);
  ADD_TEST(suite, process_without_a_name_is_refused);
  ADD_TEST(suite, process_match_names_by_its_captures);
  ADD_TEST(suite, process_match_takes_an_exclamation_mark_literally);
  ADD_TABLE(suite, bad_process_match_is_refused_with_its_position, refused_matches);
  ADD_TEST(suite, default_rule_matches_every_process_but_kernel_threads);
  ADD_TEST(suite, rule_of_the_user_sees_kernel_threads);
}
