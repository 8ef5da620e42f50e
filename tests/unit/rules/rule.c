#include "tests/unit/rule_lines.h"

static const struct {
  struct denet_setting setting;
  const char *sentence;
} refused[] = {
    {STRING("CommandLine", "foo("), "CommandLine \"foo(\": Unmatched ( or \\( at character 4"},
    {STRING("CommandLine", "!foo("), "CommandLine \"foo(\": Unmatched ( or \\( at character 4"},
    {STRING("Comm", "~a|*b"), "Comm \"a|*b\": Invalid preceding regular expression at character 3"},
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
    {NUMBER("MaxInstances", 1.5), "MaxInstances 1.5: must be a whole number from 1 to 100000"},
    {NUMBER("MaxInstances", NAN), "MaxInstances nan: must be a whole number from 1 to 100000"},
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
};

START_TEST(bad_line_is_refused_with_option_value_and_position) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_set(&rule, &refused[_i].setting, &error), -EINVAL);
  ck_assert_str_eq(error.text, refused[_i].sentence);
  ck_assert_int_eq(denet_rule_set(&rule, &refused[_i].setting, NULL), -EINVAL);
  ck_assert_uint_eq(rule.condition_count, 0);
  ck_assert_uint_eq(rule.groups, 0);
  ck_assert_uint_eq(rule.max_instances, 100);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
  ck_assert_str_eq(rule.instance, "%{rule}");
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_lives_on_after_a_refused_line) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  set_line(&rule, "CommandLine", "pg([0-9])");
  ck_assert_int_eq(
      denet_rule_set(&rule, &(struct denet_setting)STRING("CommandLine", "(a)(b"), NULL), -EINVAL);
  set_line(&rule, "Comm", "~(post)");
  set_line(&rule, "Instance", "%{1}-%{2}");
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  struct denet_attributes attributes = postgres_attributes();
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &attributes, &captures));
  ck_assert_mem_eq(captures.group[1].bytes, "post", 4);
  denet_rule_done(&rule);
}
END_TEST

static const char *const unknown_keys[] = {"Comand", "", "Name", "Commandline ", "\xff"};

START_TEST(unknown_option_is_an_outcome_without_a_sentence) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  struct denet_setting setting = STRING(unknown_keys[_i], "x");
  struct denet_error error = {"untouched"};
  ck_assert_int_eq(denet_rule_set(&rule, &setting, &error), DENET_UNKNOWN_OPTION);
  ck_assert_str_eq(error.text, "untouched");
  denet_rule_done(&rule);
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
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  for (size_t i = 0; i < MOST_LINES && unfinished[_i].lines[i].key; i++)
    set_line(&rule, unfinished[_i].lines[i].key, unfinished[_i].lines[i].value);
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_finish(&rule, &error), -EINVAL);
  ck_assert_str_eq(error.text, unfinished[_i].sentence);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), -EINVAL);
  denet_rule_done(&rule);
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
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  for (size_t i = 0; i < MOST_LINES && reports[_i].lines[i].key; i++)
    set_line(&rule, reports[_i].lines[i].key, reports[_i].lines[i].value);
  ck_assert_uint_eq(rule.report, reports[_i].report);
  denet_rule_done(&rule);
}
END_TEST

static const struct {
  struct line lines[MOST_LINES];
  unsigned fields;
} looked_at[] = {
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

START_TEST(subjects_are_those_of_conditions_and_placeholders) {
  struct denet_rule rule;
  make_rule(&rule, looked_at[_i].lines);
  ck_assert_uint_eq(rule.fields, looked_at[_i].fields);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(new_rule_has_the_documented_defaults) {
  struct denet_rule rule;
  char name[] = "postgres";
  ck_assert_int_eq(denet_rule_init(&rule, name, NULL), 0);
  name[0] = 'X';
  ck_assert_str_eq(rule.name, "postgres");
  ck_assert_str_eq(rule.instance, "%{rule}");
  ck_assert(rule.children);
  ck_assert(rule.records);
  ck_assert(!rule.skip_kernel_threads);
  ck_assert_uint_eq(rule.max_instances, 100);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
  denet_rule_done(&rule);
}
END_TEST

#define REASONS DENET_REPORT_REASONS
#define ALL_BUT_OFF_CPU (DENET_REPORT_ALL & ~DENET_REPORT_OFF_CPU)

/* What a rule says of its off-CPU times, and what all others do. */
static const struct {
  const char *word; /* NULL: nothing */
  enum denet_off_cpu_mode inherited, mode;
  unsigned report;
} modes[] = {
    {NULL, DENET_OFF_CPU_NONE, DENET_OFF_CPU_NONE, ALL_BUT_OFF_CPU},
    {NULL, DENET_OFF_CPU_TIMES, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {NULL, DENET_OFF_CPU_STACKS, DENET_OFF_CPU_STACKS, DENET_REPORT_ALL | REASONS},
    {"off", DENET_OFF_CPU_STACKS, DENET_OFF_CPU_NONE, ALL_BUT_OFF_CPU},
    {"times", DENET_OFF_CPU_STACKS, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {"times", DENET_OFF_CPU_NONE, DENET_OFF_CPU_TIMES, DENET_REPORT_ALL},
    {"Stacks", DENET_OFF_CPU_TIMES, DENET_OFF_CPU_STACKS, DENET_REPORT_ALL | REASONS},
};

START_TEST(off_cpu_mode_is_the_rules_or_inherited_and_the_report_agrees) {
  struct denet_rule rule;
  struct denet_setting setting = STRING("offcpu", modes[_i].word);
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  if (modes[_i].word)
    ck_assert_int_eq(denet_rule_set(&rule, &setting, NULL), 0);
  denet_rule_inherit_off_cpu(&rule, modes[_i].inherited);
  ck_assert_uint_eq(rule.off_cpu, modes[_i].mode);
  ck_assert_uint_eq(rule.report, modes[_i].report);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_that_reports_no_off_cpu_times_reports_no_reasons) {
  static const struct denet_setting settings[] = {STRING("Report", "cpu"),
                                                  STRING("OffCPU", "stacks")};
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  for (size_t i = 0; i < DENET_COUNT_OF(settings); i++)
    ck_assert_int_eq(denet_rule_set(&rule, &settings[i], NULL), 0);
  denet_rule_inherit_off_cpu(&rule, DENET_OFF_CPU_TIMES);
  ck_assert_uint_eq(rule.report, DENET_REPORT_CPU);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_without_its_stacks_reports_times) {
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
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
  denet_rule_done(&rule);
}
END_TEST

START_TEST(options_replace_the_defaults) {
  static const struct denet_setting settings[] = {
      BOOLEAN("children", false), BOOLEAN("RECORDS", false), NUMBER("maxInstances", 100000),
      STRING("instance", "%{pid}-%{slot}"), STRING("Comm", "x")};
  struct denet_rule rule;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  for (size_t i = 0; i < DENET_COUNT_OF(settings); i++)
    ck_assert_int_eq(denet_rule_set(&rule, &settings[i], NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert(!rule.children);
  ck_assert(!rule.records);
  ck_assert_uint_eq(rule.max_instances, 100000);
  ck_assert_str_eq(rule.instance, "%{pid}-%{slot}");
  ck_assert(rule.uses.pid && rule.uses.slot);
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_may_be_done_twice_and_half_built) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init(&rule, "", &error), -EINVAL);
  ck_assert_str_eq(error.text, "Rule \"\": must not be empty");
  denet_rule_done(&rule);
  denet_rule_done(&rule);
  denet_rule_done(NULL);
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
  ADD_TABLE(suite, subjects_are_those_of_conditions_and_placeholders, looked_at);
  ADD_TEST(suite, new_rule_has_the_documented_defaults);
  ADD_TEST(suite, options_replace_the_defaults);
  ADD_TABLE(suite, off_cpu_mode_is_the_rules_or_inherited_and_the_report_agrees, modes);
  ADD_TEST(suite, rule_that_reports_no_off_cpu_times_reports_no_reasons);
  ADD_TEST(suite, rule_without_its_stacks_reports_times);
  ADD_TEST(suite, rule_may_be_done_twice_and_half_built);
  ADD_TABLE(suite, pid_file_holds_a_number_alone_on_its_line, pid_texts);
  ADD_TABLE(suite, unit_is_the_innermost_one_of_the_path, units);
}
