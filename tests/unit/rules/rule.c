#include "core/rules/rule.h"

#include "core/model/metric.h"
#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <errno.h>
#include <string.h>

#define BIT(field) (1u << DENET_FIELD_##field)
#define MOST_LINES 6

/* Lines of a <Rule> block, up to one without a key. */
struct line {
  const char *key, *value;
};

static struct denet_rule new_rule(void) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  return rule;
}

static void set_lines(struct denet_rule *rule, const struct line *lines) {
  for (size_t i = 0; i < MOST_LINES && lines[i].key; i++) {
    struct denet_setting setting = STRING(lines[i].key, lines[i].value);
    struct denet_error error = {""};
    int outcome = denet_rule_set(rule, &setting, &error);
    ck_assert_msg(outcome == 0, "%s: %d %s", lines[i].key, outcome, error.text);
  }
}

/* Returns a finished rule, to be freed by the caller. */
static struct denet_rule make_rule(const struct line *lines) {
  struct denet_rule rule = new_rule();
  struct denet_error error = {""};
  set_lines(&rule, lines);
  ck_assert_msg(denet_rule_finish(&rule, &error) == 0, "%s", error.text);
  return rule;
}

static struct denet_attributes postgres(void) {
  return (struct denet_attributes){
      .pid = 4242,
      .uid = 114,
      .field = {[DENET_FIELD_COMM] = BYTES("postgres"),
                [DENET_FIELD_COMMAND_LINE] = BYTES("/usr/bin/postgres -D /srv/pg15"),
                [DENET_FIELD_EXECUTABLE] = BYTES("/usr/lib/postgresql/15/bin/postgres"),
                [DENET_FIELD_USER] = BYTES("pgsql"),
                [DENET_FIELD_UNIT] = BYTES("postgresql@15-main.service"),
                [DENET_FIELD_CGROUP] = BYTES("/system.slice/postgresql@15-main.service")},
  };
}

static bool matches(const struct denet_rule *rule, const struct denet_attributes *attributes) {
  struct denet_captures captures;
  return denet_rule_matches(rule, attributes, &captures);
}

static bool matches_text(const struct denet_rule *rule, enum denet_field field,
                         struct denet_text text) {
  struct denet_attributes attributes = {.pid = 2};
  attributes.field[field] = text;
  return matches(rule, &attributes);
}

/* What is refused of a pattern or a number is in pattern.c and option.c. */
static const struct {
  struct denet_setting setting;
  const char *sentence;
} refused[] = {
    {STRING("CommandLine", "foo("), "CommandLine \"foo(\": Unmatched ( or \\( at character 4"},
    {STRING("CommandLine", "!foo("), "CommandLine \"foo(\": Unmatched ( or \\( at character 4"},
    {STRING("comm", "!~[a"), "comm \"[a\": Unmatched [, [^, [:, [., or [= at character 1"},
    {STRING("Executable", "/usr/[ab"), "Executable \"/usr/[ab\": Unclosed [ at character 6"},
    {STRING("Unit", "x\\"), "Unit \"x\\\": Nothing behind \\ at character 2"},
    {STRING("Cgroup", "![!]"), "Cgroup \"[!]\": Unclosed [ at character 1"},
    {STRING("Comm", ""), "Comm \"\": nothing to compare with at character 1"},
    {STRING("Comm", "!"), "Comm \"!\": nothing to compare with at character 2"},
    {STRING("Comm", "!~"), "Comm \"!~\": nothing to compare with at character 3"},
    {STRING("Comm", "~"), "Comm \"~\": nothing to compare with at character 2"},
    {STRING("CommandLine", ""), "CommandLine \"\": nothing to compare with at character 1"},
    {STRING("Executable", "!"), "Executable \"!\": nothing to compare with at character 2"},
    {STRING("User", ""), "User \"\": nothing to compare with at character 1"},
    {STRING("PidFile", ""), "PidFile \"\": nothing to compare with at character 1"},
    {STRING("PidFile", "run/x.pid"),
     "PidFile \"run/x.pid\": must be an absolute path, with / at character 1"},
    {STRING("PidFile", "!x.pid"),
     "PidFile \"!x.pid\": must be an absolute path, with / at character 2"},
    {NUMBER("User", 1000.5), "User 1000.5: must be a string in quotes"},
    {BOOLEAN("Comm", true), "Comm true: must be a string in quotes"},
    {NUMBER("MaxInstances", 0), "MaxInstances 0: must be a whole number from 1 to 100000"},
    {NUMBER("MaxInstances", 100001),
     "MaxInstances 100001: must be a whole number from 1 to 100000"},
    {STRING("MaxInstances", "9"), "MaxInstances \"9\": must be a number"},
    {STRING("Children", "yes"), "Children \"yes\": must be true or false"},
    {NUMBER("Records", 1), "Records 1: must be true or false"},
    {STRING("Instance", ""), "Instance \"\": must not be empty"},
    {NUMBER("Instance", 1), "Instance 1: must be a string in quotes"},
    {STRING("Report", ""), "Report \"\": no word at character 1"},
    {STRING("Report", " ,"), "Report \" ,\": no word at character 3"},
    {STRING("Report", "cpu, disk"), "Report \"cpu, disk\": unknown word disk at character 6"},
    {STRING("Report", "cpuu"), "Report \"cpuu\": unknown word cpuu at character 1"},
    {STRING("Report", "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"),
     "Report \"aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd\": unknown word aaaaaaaaaabbbbb at "
     "character 1"},
    {BOOLEAN("Report", true), "Report true: must be a string in quotes"},
    {{.key = "Comm", .type = DENET_SETTING_BLOCK}, "Comm: one value is needed, not a block"},
    {{.key = "User", .type = DENET_SETTING_VALUES, .number = 2},
     "User: one value is needed, not 2"},
    {{.key = "Records", .type = DENET_SETTING_VALUES}, "Records: one value is needed, not 0"},
};

START_TEST(bad_line_is_refused_with_option_value_and_position) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_set(&rule, &refused[_i].setting, &error), -EINVAL);
  ck_assert_str_eq(error.text, refused[_i].sentence);
  ck_assert_uint_eq(rule.condition_count, 0);
  ck_assert_uint_eq(rule.groups, 0);
  ck_assert_uint_eq(rule.max_instances, 100);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
  ck_assert_str_eq(rule.instance, "%{rule}");
}
END_TEST

START_TEST(rule_lives_on_after_a_refused_line) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  set_lines(&rule, (struct line[MOST_LINES]){{"CommandLine", "pg([0-9])"}});
  struct denet_setting bad = STRING("CommandLine", "(a)(b");
  ck_assert_int_eq(denet_rule_set(&rule, &bad, NULL), -EINVAL);
  set_lines(&rule, (struct line[MOST_LINES]){{"Comm", "~(post)"}, {"Instance", "%{1}-%{2}"}});
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  struct denet_attributes attributes = postgres();
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_mem_eq(captures.group[1].bytes, "post", 4);
}
END_TEST

static const char *const unknown_keys[] = {"Comand", "", "Name", "Commandline ", "\xff"};

START_TEST(unknown_option_is_an_outcome_without_a_sentence) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_setting setting = STRING(unknown_keys[_i], "x");
  struct denet_error error = {"untouched"};
  ck_assert_int_eq(denet_rule_set(&rule, &setting, &error), DENET_UNKNOWN_OPTION);
  setting.type = DENET_SETTING_BLOCK;
  ck_assert_int_eq(denet_rule_set(&rule, &setting, &error), DENET_UNKNOWN_OPTION);
  ck_assert_str_eq(error.text, "untouched");
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  const char *sentence;
} unfinished[] = {
    {{{NULL, NULL}}, "no condition: every process would match"},
    {{{"Report", "cpu"}, {"Instance", "x"}}, "no condition: every process would match"},
    {{{"Comm", "x"}, {"Instance", "x-%{foo}"}},
     "Instance \"x-%{foo}\": unknown placeholder %{foo} at character 3"},
    {{{"Comm", "x"}, {"Instance", "x%{rule"}}, "Instance \"x%{rule\": unclosed %{ at character 2"},
    {{{"Comm", "x"}, {"Instance", "%{1}"}},
     "Instance \"%{1}\": %{1} at character 1: the regular expressions have no group 1"},
    {{{"Comm", "!~(x)"}, {"Instance", "%{1}"}},
     "Instance \"%{1}\": %{1} at character 1: the regular expressions have no group 1"},
    {{{"Comm", "~(x)"}, {"Instance", "a%{1}%{3}"}, {"CommandLine", "(y)"}},
     "Instance \"a%{1}%{3}\": %{3} at character 6: the regular expressions have no group 3"},
};

START_TEST(rule_is_refused_as_a_whole_when_it_is_finished) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_error error = {""};
  set_lines(&rule, unfinished[_i].lines);
  ck_assert_int_eq(denet_rule_finish(&rule, &error), -EINVAL);
  ck_assert_str_eq(error.text, unfinished[_i].sentence);
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  unsigned report;
} reports[] = {
    {{{"Comm", "x"}}, DENET_REPORT_ALL},
    {{{"Report", "cpu"}}, DENET_REPORT_CPU},
    {{{"Report", "cpu memory"}}, DENET_REPORT_CPU | DENET_REPORT_MEMORY},
    {{{"report", "CPU,Memory"}}, DENET_REPORT_CPU | DENET_REPORT_MEMORY},
    {{{"Report", " ,cpu,\t io , "}}, DENET_REPORT_CPU | DENET_REPORT_IO},
    {{{"Report", "cpu"}, {"Report", "io"}}, DENET_REPORT_CPU | DENET_REPORT_IO},
    {{{"Report", "cpu"}, {"Report", "all"}}, DENET_REPORT_ALL},
    {{{"Report", "all"}, {"Report", "cpu"}}, DENET_REPORT_ALL},
    {{{"Report", "cpu memory io faults threads switches uptime off_cpu"}}, DENET_REPORT_ALL},
    {{{"Report", "off_cpu off_cpu"}}, DENET_REPORT_OFF_CPU},
};

START_TEST(report_words_add_up_and_the_first_replaces_all) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  set_lines(&rule, reports[_i].lines);
  ck_assert_uint_eq(rule.report, reports[_i].report);
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  unsigned fields;
} field_sets[] = {
    {{{"Comm", "x"}}, BIT(COMM)},
    {{{"Comm", "!~x"}}, BIT(COMM)},
    {{{"CommandLine", "x"}}, BIT(COMMAND_LINE)},
    {{{"Executable", "x"}, {"User", "x"}}, BIT(EXECUTABLE) | BIT(USER)},
    {{{"Unit", "x"}, {"Cgroup", "x"}, {"PidFile", "/x"}}, BIT(UNIT) | BIT(CGROUP) | BIT(PID_FILE)},
    {{{"PidFile", "/x"}, {"Instance", "%{exe}"}}, BIT(PID_FILE) | BIT(EXECUTABLE)},
    {{{"PidFile", "/x"}, {"Instance", "%{unit}%{cgroup}"}},
     BIT(PID_FILE) | BIT(UNIT) | BIT(CGROUP)},
    {{{"PidFile", "/x"}, {"Instance", "%{user}-%{comm}-%{pid}-%{slot}"}},
     BIT(PID_FILE) | BIT(USER) | BIT(COMM)},
};

START_TEST(fields_are_those_of_conditions_and_placeholders) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(field_sets[_i].lines);
  ck_assert_uint_eq(rule.fields, field_sets[_i].fields);
}
END_TEST

START_TEST(options_replace_the_documented_defaults) {
  static const struct denet_setting settings[] = {
      BOOLEAN("children", false), BOOLEAN("RECORDS", false), NUMBER("maxInstances", 100000),
      STRING("instance", "%{pid}-%{slot}"), STRING("Comm", "x")};
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  char name[] = "postgres";
  ck_assert_int_eq(denet_rule_init(&rule, name, NULL), 0);
  name[0] = 'X';
  ck_assert_str_eq(rule.name, "postgres");
  ck_assert_str_eq(rule.instance, "%{rule}");
  ck_assert(rule.children && rule.records && !rule.skip_kernel_threads);
  ck_assert_uint_eq(rule.max_instances, 100);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
  for (size_t i = 0; i < DENET_COUNT_OF(settings); i++)
    ck_assert_int_eq(denet_rule_set(&rule, &settings[i], NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert(!rule.children && !rule.records);
  ck_assert_uint_eq(rule.max_instances, 100000);
  ck_assert_uint_eq(rule.uses, DENET_USES_PID | DENET_USES_SLOT);
}
END_TEST

#define REASONS DENET_REPORT_REASONS
#define WITHOUT_OFF_CPU (DENET_REPORT_ALL & ~DENET_REPORT_OFF_CPU)

/* The lines of a rule, the mode of rules that have none, and what comes of it. */
static const struct {
  struct line lines[MOST_LINES];
  enum denet_off_cpu_mode inherited, mode;
  unsigned report;
} modes[] = {
    {{{NULL, NULL}}, DENET_OFF_CPU_NONE, DENET_OFF_CPU_NONE, WITHOUT_OFF_CPU},
    {{{NULL, NULL}}, DENET_OFF_CPU_TIMES, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {{{NULL, NULL}}, DENET_OFF_CPU_STACKS, DENET_OFF_CPU_STACKS, DENET_REPORT_ALL | REASONS},
    {{{"offcpu", "off"}}, DENET_OFF_CPU_STACKS, DENET_OFF_CPU_NONE, WITHOUT_OFF_CPU},
    {{{"offcpu", "times"}}, DENET_OFF_CPU_STACKS, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {{{"offcpu", "times"}}, DENET_OFF_CPU_NONE, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {{{"offcpu", "Stacks"}}, DENET_OFF_CPU_TIMES, DENET_OFF_CPU_STACKS, DENET_REPORT_ALL | REASONS},
    {{{"Report", "cpu"}, {"OffCPU", "stacks"}},
     DENET_OFF_CPU_TIMES,
     DENET_OFF_CPU_STACKS,
     DENET_REPORT_CPU},
};

START_TEST(off_cpu_mode_is_the_rules_or_inherited_and_the_report_agrees) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  set_lines(&rule, modes[_i].lines);
  denet_rule_inherit_off_cpu(&rule, modes[_i].inherited);
  ck_assert_uint_eq(rule.off_cpu, modes[_i].mode);
  ck_assert_uint_eq(rule.report, modes[_i].report);
}
END_TEST

START_TEST(rule_without_its_stacks_reports_times) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  denet_rule_inherit_off_cpu(&rule, DENET_OFF_CPU_TIMES);
  denet_rule_forgo_stacks(&rule);
  ck_assert(!rule.forgoes_stacks);
  rule.off_cpu = DENET_OFF_CPU_STACKS;
  denet_rule_inherit_off_cpu(&rule, DENET_OFF_CPU_TIMES);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL | REASONS);
  denet_rule_forgo_stacks(&rule);
  ck_assert(rule.forgoes_stacks);
  ck_assert_uint_eq(rule.off_cpu, DENET_OFF_CPU_TIMES);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  bool matches;
} on_postgres[] = {
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

START_TEST(conditions_on_one_field_are_either_and_on_several_all) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(on_postgres[_i].lines);
  struct denet_attributes attributes = postgres();
  ck_assert_int_eq(matches(&rule, &attributes), on_postgres[_i].matches);
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
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(on_absent_text[_i].lines);
  struct denet_attributes attributes = postgres();
  attributes.field[on_absent_text[_i].field] = (struct denet_text){0};
  ck_assert(!matches(&rule, &attributes));
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
  DENET_CLEANUP(denet_rule_done)
  struct denet_rule rule = make_rule((struct line[MOST_LINES]){{"User", users[_i].user}});
  struct denet_attributes attributes = {.uid = users[_i].uid,
                                        .field = {[DENET_FIELD_USER] = users[_i].name}};
  ck_assert_int_eq(matches(&rule, &attributes), users[_i].matches);
}
END_TEST

START_TEST(user_may_be_a_bare_number) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_setting setting = NUMBER("User", 1000);
  ck_assert_int_eq(denet_rule_set(&rule, &setting, NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert(matches(&rule, &(struct denet_attributes){.uid = 1000}));
  ck_assert(!matches(&rule, &(struct denet_attributes){.uid = 100}));
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
  DENET_CLEANUP(denet_rule_done)
  struct denet_rule rule = make_rule((struct line[MOST_LINES]){{"Comm", comms[_i].condition}});
  ck_assert_int_eq(matches_text(&rule, DENET_FIELD_COMM, comms[_i].comm), comms[_i].matches);
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
  DENET_CLEANUP(denet_rule_done)
  struct denet_rule rule = make_rule((struct line[MOST_LINES]){{"PidFile", pid_files[_i].path}});
  struct denet_attributes attributes = postgres();
  ck_assert_str_eq(rule.conditions[0].pid_file, "/run/x.pid");
  ck_assert_ptr_null(rule.conditions[0].pattern);
  ck_assert_int_eq(rule.conditions[0].pid, 0);
  rule.conditions[0].pid = pid_files[_i].in_file;
  ck_assert_int_eq(matches(&rule, &attributes), pid_files[_i].matches);
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
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(captured[_i].lines);
  struct denet_attributes attributes = postgres();
  struct denet_captures captures, before;
  memset(&captures, 0xff, sizeof(captures));
  ck_assert_uint_eq(rule.groups, captured[_i].groups);
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  for (size_t i = 0; i < DENET_CAPTURES; i++) {
    const char *expected = captured[_i].expected[i];
    ck_assert_msg((expected == NULL) == (captures.group[i].bytes == NULL), "group %zu", i + 1);
    if (!expected)
      continue;
    ck_assert_uint_eq(captures.group[i].length, strlen(expected));
    ck_assert_mem_eq(captures.group[i].bytes, expected, strlen(expected));
  }
  /* Without a match they stay as they were. */
  memset(&captures, 0xff, sizeof(captures));
  before = captures;
  set_lines(&rule, (struct line[MOST_LINES]){{"User", "root"}});
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_mem_eq(&captures, &before, sizeof(captures));
}
END_TEST

/* Process and ProcessMatch */

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
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init_process(&rule, processes[_i].name, &error), 0);
  ck_assert_msg(denet_rule_finish(&rule, &error) == 0, "%s", error.text);
  ck_assert_str_eq(rule.name, processes[_i].name);
  ck_assert_str_eq(rule.instance, "%{rule}");
  ck_assert(!rule.children && rule.records);
  ck_assert_int_eq(matches_text(&rule, DENET_FIELD_COMM, processes[_i].comm),
                   processes[_i].matches);
}
END_TEST

START_TEST(process_match_takes_all_literally_and_names_by_its_captures) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_attributes attributes = {
      .field = {[DENET_FIELD_COMMAND_LINE] = BYTES("python !shard.py 12")}};
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_init_process_match(&rule, "shard-%{1}", "!shard\\.py ([0-9]+)", NULL),
                   0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert_str_eq(rule.name, "shard-%{1}");
  ck_assert_str_eq(rule.instance, "shard-%{1}");
  ck_assert(!rule.children);
  ck_assert_uint_eq(rule.fields, BIT(COMMAND_LINE));
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_uint_eq(captures.group[0].length, 2);
  ck_assert_mem_eq(captures.group[0].bytes, "12", 2);
  ck_assert(!matches_text(&rule, DENET_FIELD_COMMAND_LINE, denet_text_of("shard.py 12")));
}
END_TEST

static const struct {
  const char *form, *name, *regex, *sentence;
} refused_rules[] = {
    {"Rule", "", NULL, "Rule \"\": must not be empty"},
    {"Process", "", NULL, "Process \"\": must not be empty"},
    {"ProcessMatch", "", "x", "ProcessMatch \"\": must not be empty"},
    {"ProcessMatch", "x", "", "ProcessMatch \"\": Empty pattern at character 1"},
    {"ProcessMatch", "x", "a(", "ProcessMatch \"a(\": Unmatched ( or \\( at character 2"},
    {"ProcessMatch", "x-%{1}", "a",
     "ProcessMatch \"x-%{1}\": %{1} at character 3: the regular expressions have no group 1"},
    {"ProcessMatch", "x-%{foo}", "a",
     "ProcessMatch \"x-%{foo}\": unknown placeholder %{foo} at character 3"},
};

/* And done() may follow, even twice. */
START_TEST(rule_that_cannot_begin_is_refused_with_its_position) {
  struct denet_rule rule;
  struct denet_error error = {""};
  const char *name = refused_rules[_i].name;
  int outcome = !strcmp(refused_rules[_i].form, "Rule") ? denet_rule_init(&rule, name, &error)
                : !strcmp(refused_rules[_i].form, "Process")
                    ? denet_rule_init_process(&rule, name, &error)
                    : denet_rule_init_process_match(&rule, name, refused_rules[_i].regex, &error);
  ck_assert_int_eq(outcome, -EINVAL);
  ck_assert_str_eq(error.text, refused_rules[_i].sentence);
  denet_rule_done(&rule);
  denet_rule_done(&rule);
  denet_rule_done(NULL);
}
END_TEST

/* The rule that stands for a configuration without rules. */
START_TEST(default_rule_matches_every_process_except_kernel_threads) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_attributes attributes = {.pid = 2};
  struct denet_captures captures;
  ck_assert_int_eq(denet_rule_init_default(&rule, NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert_str_eq(rule.name, "");
  ck_assert_str_eq(rule.instance, "%{exe}");
  ck_assert_uint_eq(rule.max_instances, 50);
  ck_assert(!rule.children && !rule.records);
  ck_assert_uint_eq(rule.fields, BIT(EXECUTABLE));
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_ptr_null(captures.group[0].bytes);
  attributes.kernel_thread = true;
  ck_assert(!denet_rule_matches(&rule, &attributes, &captures));
  rule.skip_kernel_threads = false; /* as of other rules */
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
}
END_TEST

static const struct {
  struct denet_text text;
  pid_t pid;
} pid_texts[] = {
    {BYTES("1"), 1},
    {BYTES("4242\n"), 4242},
    {BYTES(" \t\r\n 4242 \v\f\r\n"), 4242},
    {BYTES("2147483647"), 2147483647},
    {BYTES("00042"), 42},
    {BYTES("4242\n/var/lib/postgresql/15/main\n1700000000\n5432\n"), 4242},
    {BYTES("4242 \n17"), 4242},
    {BYTES("2147483648"), 0},
    {BYTES("18446744073709551617"), 0},
    {BYTES("99999999999999999999999999999999999999"), 0},
    {BYTES("0"), 0},
    {BYTES("-1"), 0},
    {BYTES("+1"), 0},
    {BYTES(""), 0},
    {BYTES(" \n"), 0},
    {BYTES("\n\nx"), 0},
    {BYTES("x4242"), 0},
    {BYTES("4242x"), 0},
    {BYTES("42 42"), 0},
    {BYTES("42\t\v42\n"), 0},
    {BYTES("0x10"), 0},
    {BYTES("4\0"), 0},
    {BYTES("\0004"), 0},
    {BYTES("\xb2\n"), 0},
    {BYTES("1e3"), 0},
    {{"42", 1}, 4},
    {{NULL, 0}, 0},
};

START_TEST(pid_file_holds_a_number_alone_on_its_line) {
  ck_assert_int_eq(denet_rule_parse_pid(pid_texts[_i].text), pid_texts[_i].pid);
}
END_TEST

static const struct {
  struct denet_text path;
  const char *unit; /* NULL: absent */
} units[] = {
    {BYTES("/system.slice/ssh.service"), "ssh.service"},
    {BYTES("/system.slice/system-postgresql.slice/postgresql@15-main.service"),
     "postgresql@15-main.service"},
    {BYTES("/user.slice/user-1000.slice/session-2.scope"), "session-2.scope"},
    {BYTES("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service"), "foo.service"},
    {BYTES("/user.slice/user-1000.slice/user@1000.service/app.slice"), "user@1000.service"},
    {BYTES("/system.slice/foo.service/workers/a"), "foo.service"},
    {BYTES("/system.slice/foo.socket"), "foo.socket"},
    {BYTES("/system.slice/-.mount"), "-.mount"},
    {BYTES("/system.slice/dev-sda2.swap"), "dev-sda2.swap"},
    {BYTES("init.scope"), "init.scope"},
    {BYTES("/init.scope/"), "init.scope"},
    {BYTES("//a.service//"), "a.service"},
    {BYTES("/system.slice/_cpu.service"), "cpu.service"},
    {BYTES("/system.slice/__x.service"), "_x.service"},
    {BYTES("/system.slice/\xff\xfe.service"), "\xff\xfe.service"},
    {BYTES("/system.slice"), NULL},
    {BYTES("/"), NULL},
    {BYTES(""), NULL},
    {{NULL, 0}, NULL},
    {BYTES("/.service"), NULL},
    {BYTES("/_.service"), NULL},
    {BYTES("/_"), NULL},
    {BYTES("/foo.services"), NULL},
    {BYTES("/foo.SERVICE"), NULL},
    {BYTES("/kubepods/pod12/abcdef"), NULL},
    {{"/a.serviceX", 10}, "a.service"},
};

START_TEST(unit_is_the_innermost_one_of_the_path) {
  struct denet_text unit = denet_rule_unit(units[_i].path);
  if (!units[_i].unit) {
    ck_assert_ptr_null(unit.bytes);
    return;
  }
  ck_assert_uint_eq(unit.length, strlen(units[_i].unit));
  ck_assert_mem_eq(unit.bytes, units[_i].unit, unit.length);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, bad_line_is_refused_with_option_value_and_position, refused);
  ADD_TEST(suite, rule_lives_on_after_a_refused_line);
  ADD_TABLE(suite, unknown_option_is_an_outcome_without_a_sentence, unknown_keys);
  ADD_TABLE(suite, rule_is_refused_as_a_whole_when_it_is_finished, unfinished);
  ADD_TABLE(suite, report_words_add_up_and_the_first_replaces_all, reports);
  ADD_TABLE(suite, fields_are_those_of_conditions_and_placeholders, field_sets);
  ADD_TEST(suite, options_replace_the_documented_defaults);
  ADD_TABLE(suite, off_cpu_mode_is_the_rules_or_inherited_and_the_report_agrees, modes);
  ADD_TEST(suite, rule_without_its_stacks_reports_times);
  ADD_TABLE(suite, conditions_on_one_field_are_either_and_on_several_all, on_postgres);
  ADD_TABLE(suite, negated_condition_needs_a_readable_text, on_absent_text);
  ADD_TABLE(suite, user_is_a_name_or_the_digits_of_the_uid, users);
  ADD_TEST(suite, user_may_be_a_bare_number);
  ADD_TABLE(suite, name_longer_than_the_kernel_keeps_is_compared_cut, comms);
  ADD_TABLE(suite, pid_file_is_met_by_its_pid, pid_files);
  ADD_TABLE(suite, captures_are_numbered_over_the_regexes_of_a_rule, captured);
  ADD_TABLE(suite, process_is_an_exact_name_whatever_its_bytes, processes);
  ADD_TEST(suite, process_match_takes_all_literally_and_names_by_its_captures);
  ADD_TABLE(suite, rule_that_cannot_begin_is_refused_with_its_position, refused_rules);
  ADD_TEST(suite, default_rule_matches_every_process_except_kernel_threads);
  ADD_TABLE(suite, pid_file_holds_a_number_alone_on_its_line, pid_texts);
  ADD_TABLE(suite, unit_is_the_innermost_one_of_the_path, units);
}
