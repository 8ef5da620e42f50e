#include "tests/unit/rule_lines.h"

static const struct {
  struct line lines[MOST_LINES];
  bool matches;
} one_process[] = {
    {{{"Comm", "postgres"}}, true},
    {{{"comm", "postgres"}}, true},
    {{{"Comm", "postgre"}}, false},
    {{{"Comm", "~^post"}}, true},
    {{{"Comm", "~^gres"}}, false},
    {{{"Comm", "!postgres"}}, false},
    {{{"Comm", "!mysqld"}}, true},
    {{{"Comm", "!~gres$"}}, false},
    {{{"Comm", "!~sql"}}, true},
    {{{"CommandLine", "-D /srv/pg([0-9]+)"}}, true},
    {{{"COMMANDLINE", "^postgres"}}, false},
    {{{"CommandLine", "!-D /srv"}}, false},
    {{{"CommandLine", "~"}}, false},
    {{{"Executable", "/usr/lib/postgresql/*/bin/postgres"}}, true},
    {{{"Executable", "/usr/*"}}, true},
    {{{"Executable", "postgres"}}, false},
    {{{"Executable", "!/usr/*"}}, false},
    {{{"User", "pgsql"}}, true},
    {{{"User", "114"}}, true},
    {{{"User", "0114"}}, false},
    {{{"User", "root"}}, false},
    {{{"User", "!root"}}, true},
    {{{"User", "!pgsql"}}, false},
    {{{"User", "!114"}}, false},
    {{{"Unit", "postgresql@*.service"}}, true},
    {{{"Unit", "postgresql"}}, false},
    {{{"Cgroup", "/system.slice/*"}}, true},
    {{{"Cgroup", "!/user.slice/*"}}, true},
    /* The same condition twice: either. */
    {{{"Comm", "mysqld"}, {"Comm", "postgres"}}, true},
    {{{"Comm", "postgres"}, {"Comm", "mysqld"}}, true},
    {{{"Comm", "mysqld"}, {"Comm", "~^oracle"}}, false},
    /* Different conditions: all. */
    {{{"Comm", "postgres"}, {"User", "pgsql"}}, true},
    {{{"Comm", "postgres"}, {"User", "root"}}, false},
    {{{"Comm", "mysqld"}, {"Comm", "postgres"}, {"User", "root"}, {"User", "114"}}, true},
    {{{"Comm", "postgres"}, {"User", "root"}, {"User", "daemon"}}, false},
    /* Negated ones: each, whatever the others on the field say. */
    {{{"Comm", "postgres"}, {"Comm", "!postgres"}}, false},
    {{{"Comm", "!postgres"}, {"Comm", "postgres"}}, false},
    {{{"Comm", "!mysqld"}, {"Comm", "!oracle"}}, true},
    {{{"Comm", "!mysqld"}, {"Comm", "!postgres"}}, false},
    {{{"Comm", "~^post"}, {"Comm", "!~worker"}}, true},
    {{{"Comm", "!mysqld"}, {"Comm", "oracle"}}, false},
};

START_TEST(conditions_on_one_subject_are_either_and_on_several_all) {
  struct denet_rule rule;
  make_rule(&rule, one_process[_i].lines);
  struct denet_attributes attributes = postgres_attributes();
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_matches(&rule, &attributes, &captures), one_process[_i].matches);
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  enum denet_field field;
  struct line lines[MOST_LINES];
} on_absent_text[] = {
    {DENET_FIELD_COMM, {{"Comm", "x"}}},
    {DENET_FIELD_COMM, {{"Comm", "!x"}}},
    {DENET_FIELD_COMM, {{"Comm", "!~x"}}},
    {DENET_FIELD_COMMAND_LINE, {{"CommandLine", ".*"}}},
    {DENET_FIELD_COMMAND_LINE, {{"CommandLine", "!x"}}},
    {DENET_FIELD_EXECUTABLE, {{"Executable", "*"}}},
    {DENET_FIELD_EXECUTABLE, {{"Executable", "!x"}}},
    {DENET_FIELD_UNIT, {{"Unit", "!x"}}},
    {DENET_FIELD_CGROUP, {{"Cgroup", "!x"}}},
    {DENET_FIELD_EXECUTABLE, {{"Comm", "postgres"}, {"Executable", "!x"}}},
    {DENET_FIELD_PID_FILE, {{"PidFile", "/run/x.pid"}}},
    {DENET_FIELD_PID_FILE, {{"PidFile", "!/run/x.pid"}}},
};

START_TEST(negated_condition_needs_a_readable_text) {
  struct denet_rule rule;
  make_rule(&rule, on_absent_text[_i].lines);
  struct denet_attributes attributes = postgres_attributes();
  attributes.field[on_absent_text[_i].field] = (struct denet_text){0};
  struct denet_captures captures;
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  const char *user;
  uint64_t uid;
  struct denet_text name;
  bool matches;
} users[] = {
    {"1000", 1000, {NULL, 0}, true},         {"1000", 1001, {NULL, 0}, false},
    {"root", 0, {NULL, 0}, false},           {"!root", 1000, {NULL, 0}, true},
    {"!1000", 1000, {NULL, 0}, false},       {"!1000", 1001, {NULL, 0}, true},
    {"0", 0, BYTES("root"), true},           {"root", 0, BYTES("root"), true},
    {"!0", 0, BYTES("root"), false},         {"4294967295", 4294967295, {NULL, 0}, true},
    {"1000", 7, BYTES("1000"), true},        {"~root", 0, BYTES("root"), false},
    {"!root", UINT64_MAX, {NULL, 0}, false}, {"18446744073709551615", UINT64_MAX, {NULL, 0}, false},
    {"10*", 1000, {NULL, 0}, false},         {"\xff", 7, BYTES("\xff"), true},
};

START_TEST(user_is_a_name_or_the_digits_of_the_uid) {
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"User", users[_i].user}});
  struct denet_attributes attributes = {.uid = users[_i].uid};
  attributes.field[DENET_FIELD_USER] = users[_i].name;
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_matches(&rule, &attributes, &captures), users[_i].matches);
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  const char *condition;
  struct denet_text comm;
  bool matches;
} comms[] = {
    {"systemd-journald", BYTES("systemd-journal"), true},
    {"systemd-journal", BYTES("systemd-journal"), true},
    {"systemd-journalctl", BYTES("systemd-journal"), true},
    {"!systemd-journald", BYTES("systemd-journal"), false},
    {"systemd-journa", BYTES("systemd-journal"), false},
    {"~^systemd-journald$", BYTES("systemd-journal"), false},
    {"~^systemd-journal$", BYTES("systemd-journal"), true},
    {"foo )bar", BYTES("foo )bar"), true},
    {"\xff\xfe", BYTES("\xff\xfe"), true},
    {"a", BYTES("a\0b"), true},
    {"a", BYTES(""), false},
    {"~^$", BYTES(""), true},
};

START_TEST(name_longer_than_the_kernel_keeps_is_compared_cut) {
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"Comm", comms[_i].condition}});
  struct denet_attributes attributes = {.field = {[DENET_FIELD_COMM] = comms[_i].comm}};
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_matches(&rule, &attributes, &captures), comms[_i].matches);
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  const char *path;
  pid_t in_file;
  bool matches;
} pid_files[] = {
    {"/run/x.pid", 4242, true},   {"/run/x.pid", 1, false}, {"/run/x.pid", 0, false},
    {"!/run/x.pid", 4242, false}, {"!/run/x.pid", 1, true}, {"!/run/x.pid", 0, false},
};

START_TEST(pid_file_is_met_by_its_pid) {
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"PidFile", pid_files[_i].path}});
  ck_assert_str_eq(rule.conditions[0].pid_file, "/run/x.pid");
  ck_assert_ptr_null(rule.conditions[0].pattern);
  ck_assert_int_eq(rule.conditions[0].pid, 0);
  rule.conditions[0].pid = pid_files[_i].in_file;
  struct denet_attributes attributes = postgres_attributes();
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_matches(&rule, &attributes, &captures), pid_files[_i].matches);
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  size_t groups;
  const char *expected[DENET_CAPTURES]; /* NULL: absent */
} captured[] = {
    {{{"CommandLine", "pg([0-9]+)"}}, 1, {"15"}},
    {{{"Comm", "~^(p)(o)"}, {"CommandLine", "pg([0-9])([0-9])"}}, 4, {"p", "o", "1", "5"}},
    {{{"CommandLine", "pg([0-9])"}, {"Comm", "~^(post)"}}, 2, {"1", "post"}},
    /* Either may match; each keeps its own numbers. */
    {{{"CommandLine", "mysql([0-9]+)"}, {"CommandLine", "pg([0-9]+)"}}, 2, {NULL, "15"}},
    {{{"CommandLine", "pg([0-9]+)"}, {"CommandLine", "mysql([0-9]+)"}}, 2, {"15"}},
    {{{"CommandLine", "(-D)"}, {"CommandLine", "pg([0-9]+)"}}, 2, {"-D", "15"}},
    /* Groups of a negated one have no number. */
    {{{"CommandLine", "!(mysql)"}, {"CommandLine", "pg([0-9]+)"}}, 1, {"15"}},
    {{{"Comm", "!~(x)(y)"}, {"Comm", "~(post)"}}, 1, {"post"}},
    {{{"CommandLine", "(x)?pg(1)(z)?"}, {"Comm", "~(gres)"}}, 4, {NULL, "1", NULL, "gres"}},
    {{{"CommandLine", "(/)(u)(s)(r)(/)(b)(i)"}, {"Comm", "~(p)(o)(s)(t)"}},
     11,
     {"/", "u", "s", "r", "/", "b", "i", "p", "o"}},
    {{{"CommandLine", "()(/)(u)(s)(r)(/)(b)(i)(n)(/)"}, {"Comm", "~(p)"}},
     11,
     {"", "/", "u", "s", "r", "/", "b", "i", "n"}},
    {{{"Comm", "postgres"}}, 0, {NULL}},
};

START_TEST(captures_are_numbered_over_the_regexes_of_a_rule) {
  struct denet_rule rule;
  make_rule(&rule, captured[_i].lines);
  ck_assert_uint_eq(rule.groups, captured[_i].groups);
  struct denet_attributes attributes = postgres_attributes();
  struct denet_captures captures;
  memset(&captures, 0xff, sizeof(captures));
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  for (size_t i = 0; i < DENET_CAPTURES; i++) {
    const char *expected = captured[_i].expected[i];
    ck_assert_msg((expected == NULL) == (captures.group[i].bytes == NULL), "group %zu", i + 1);
    if (!expected)
      continue;
    ck_assert_uint_eq(captures.group[i].length, strlen(expected));
    ck_assert_mem_eq(captures.group[i].bytes, expected, strlen(expected));
  }
  denet_rule_done(&rule);
}
END_TEST

START_TEST(captures_stay_as_they_were_without_a_match) {
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"CommandLine", "pg([0-9]+)"}, {"User", "root"}});
  struct denet_attributes attributes = postgres_attributes();
  struct denet_captures captures = {.group = {BYTES("kept")}};
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_str_eq(captures.group[0].bytes, "kept");
  denet_rule_done(&rule);
}
END_TEST

START_TEST(command_line_of_100_kilobytes_is_searched_to_its_end) {
  static char bytes[100 * 1024 + 1];
  memset(bytes, '\xff', sizeof(bytes) - 1);
  memcpy(bytes + sizeof(bytes) - 8, "shard=7", 8);
  struct denet_rule rule;
  make_rule(&rule, (struct line[MOST_LINES]){{"CommandLine", "shard=([0-9])$"}});
  struct denet_attributes attributes = {
      .field = {[DENET_FIELD_COMMAND_LINE] = {bytes, sizeof(bytes) - 1}}};
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_ptr_eq(captures.group[0].bytes, bytes + sizeof(bytes) - 2);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(user_may_be_a_bare_number) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_setting setting = NUMBER("User", 1000);
  ck_assert_int_eq(denet_rule_init(&rule, "x", NULL), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &setting, NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  struct denet_captures captures = {0};
  ck_assert(denet_rule_matches(&rule, &(struct denet_attributes){.uid = 1000}, &captures));
  ck_assert(!denet_rule_matches(&rule, &(struct denet_attributes){.uid = 100}, &captures));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, conditions_on_one_subject_are_either_and_on_several_all, one_process);
  ADD_TABLE(suite, negated_condition_needs_a_readable_text, on_absent_text);
  ADD_TABLE(suite, user_is_a_name_or_the_digits_of_the_uid, users);
  ADD_TEST(suite, user_may_be_a_bare_number);
  ADD_TABLE(suite, name_longer_than_the_kernel_keeps_is_compared_cut, comms);
  ADD_TABLE(suite, pid_file_is_met_by_its_pid, pid_files);
  ADD_TABLE(suite, captures_are_numbered_over_the_regexes_of_a_rule, captured);
  ADD_TEST(suite, captures_stay_as_they_were_without_a_match);
  ADD_TEST(suite, command_line_of_100_kilobytes_is_searched_to_its_end);
}
