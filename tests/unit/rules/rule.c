#include "core/rules/rule.h"

#include "core/model/metric.h"
#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BIT(field) (1u << DENET_FIELD_##field)
#define UID (1u << DENET_FIELDS)
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

/* A name of 15 bytes, the longest that the kernel keeps, and a user number above INT_MAX. */
static const struct denet_attributes postgres = {
    .pid = 4242,
    .uid = 3000000114,
    .field = {[DENET_FIELD_COMM] = BYTES("postgres-worker"),
              [DENET_FIELD_COMMAND_LINE] = BYTES("/usr/bin/postgres -D /srv/pg15"),
              [DENET_FIELD_EXECUTABLE] = BYTES("/usr/lib/postgresql/15/bin/postgres"),
              [DENET_FIELD_USER] = BYTES("pgsql"),
              [DENET_FIELD_UNIT] = BYTES("outer.service\0postgresql@15-main.service\0"
                                         "inner\\x2da.scope\0innerx2da.scope"),
              [DENET_FIELD_CONTAINER] = BYTES("4c01db0b339c\0"
                                              "4c01db0b339c4c01"),
              [DENET_FIELD_CGROUP] = BYTES("/system.slice/postgresql@15-main.service")},
};

static bool matches(const struct denet_rule *rule, const struct denet_attributes *attributes) {
  struct denet_captures captures;
  return denet_rule_matches(rule, attributes, &captures);
}

/* What is refused of a pattern or a number is in pattern.c and option.c. */
static const struct {
  struct denet_setting setting;
  const char *sentence; /* NULL: there is no such option */
} refused[] = {
    {STRING("CommandLine", "!foo("), "CommandLine \"foo(\": Unmatched ( or \\( at character 4"},
    {STRING("comm", "!~[a"), "comm \"[a\": Unmatched [, [^, [:, [., or [= at character 1"},
    {STRING("Executable", "/usr/[ab"), "Executable \"/usr/[ab\": Unclosed [ at character 6"},
    {STRING("Unit", "x\\"), "Unit \"x\\\": Nothing behind \\ at character 2"},
    {STRING("Cgroup", "![!]"), "Cgroup \"[!]\": Unclosed [ at character 1"},
    {STRING("Comm", ""), "Comm \"\": nothing to compare with at character 1"},
    {STRING("Comm", "!"), "Comm \"!\": nothing to compare with at character 2"},
    {STRING("Unit", "~i"), "Unit \"~i\": nothing to compare with at character 3"},
    {STRING("Unit", "~ia("), "Unit \"a(\": Unmatched ( or \\( at character 2"},
    {STRING("CommandLine", "(?i)a("), "CommandLine \"(?i)a(\": Unmatched ( or \\( at character 6"},
    {STRING("PidFile", "~/x"), "PidFile \"~/x\": must be an absolute path, with / at character 1"},
    {STRING("Comm", "!~"), "Comm \"!~\": nothing to compare with at character 3"},
    {STRING("PidFile", "run/x.pid"),
     "PidFile \"run/x.pid\": must be an absolute path, with / at character 1"},
    {STRING("PidFile", "!x.pid"),
     "PidFile \"!x.pid\": must be an absolute path, with / at character 2"},
    {NUMBER("User", 1000.5), "User 1000.5: must be a string in quotes"},
    {BOOLEAN("Comm", true), "Comm true: must be a string in quotes"},
    {NUMBER("MaxInstances", 0.5), "MaxInstances 0.5: must be a whole number from 1 to 100000"},
    {STRING("Children", "yes"), "Children \"yes\": must be true or false"},
    {NUMBER("Records", 1), "Records 1: must be true or false"},
    {STRING("Instance", ""), "Instance \"\": must not be empty"},
    {STRING("Report", ""), "Report \"\": no word at character 1"},
    {STRING("Report", " ,"), "Report \" ,\": no word at character 3"},
    {STRING("Report", "cpu, disk"), "Report \"cpu, disk\": unknown word disk at character 6"},
    {STRING("Report", "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"),
     "Report \"aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd\": unknown word aaaaaaaaaabbbbb at "
     "character 1"},
    {BOOLEAN("Report", true), "Report true: must be a string in quotes"},
    {{.key = "Comm", .type = DENET_SETTING_BLOCK}, "Comm: one value is needed, not a block"},
    {{.key = "User", .type = DENET_SETTING_VALUES, .number = 2},
     "User: one value is needed, not 2"},
    {STRING("Comand", "x"), NULL},
    {STRING("Commandline ", "x"), NULL},
    {{.key = "", .type = DENET_SETTING_BLOCK}, NULL},
};

START_TEST(bad_line_is_refused_with_option_value_and_position) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_error error = {"untouched"};
  const char *sentence = refused[_i].sentence;
  ck_assert_int_eq(denet_rule_set(&rule, &refused[_i].setting, &error),
                   sentence ? -EINVAL : DENET_UNKNOWN_OPTION);
  ck_assert_str_eq(error.text, sentence ? sentence : "untouched");
  ck_assert_uint_eq(rule.condition_count, 0);
  ck_assert_uint_eq(rule.groups, 0);
  ck_assert_uint_eq(rule.max_instances, 100);
  ck_assert_uint_eq(rule.report, DENET_REPORT_ALL);
  ck_assert_str_eq(rule.instance, "%{rule}");
}
END_TEST

START_TEST(rule_without_a_name_is_refused) {
  struct denet_rule rule;
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init(&rule, "", &error), -EINVAL);
  ck_assert_str_eq(error.text, "Rule \"\": must not be empty");
  denet_rule_done(&rule);
}
END_TEST

START_TEST(rule_lives_on_after_a_refused_line) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  set_lines(&rule, (struct line[MOST_LINES]){{"CommandLine", "pg([0-9])"}});
  struct denet_setting bad = STRING("CommandLine", "(a)(b");
  ck_assert_int_eq(denet_rule_set(&rule, &bad, NULL), -EINVAL);
  set_lines(&rule, (struct line[MOST_LINES]){{"Comm", "~(post)"}, {"Instance", "%{1}-%{2}"}});
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  struct denet_captures captures;
  ck_assert(denet_rule_matches(&rule, &postgres, &captures));
  expect_text(captures.group[1], "post");
}
END_TEST

/* The lines of a rule, the fields that conditions and template need, or why it is refused. */
static const struct {
  struct line lines[MOST_LINES];
  unsigned fields;
  const char *sentence;
} finished[] = {
    {{{"Comm", "x"}}, BIT(COMM), NULL},
    {{{"Comm", "!~x"}}, BIT(COMM), NULL},
    {{{"CommandLine", "x"}}, BIT(COMMAND_LINE), NULL},
    {{{"CommandLineAll", "x"}}, BIT(COMMAND_LINE), NULL},
    {{{"Executable", "x"}, {"User", "x"}}, BIT(EXECUTABLE) | BIT(USER), NULL},
    {{{"Unit", "x"}, {"Cgroup", "x"}, {"PidFile", "/x"}},
     BIT(UNIT) | BIT(CGROUP) | BIT(PID_FILE),
     NULL},
    {{{"PidFile", "/x"}, {"Instance", "%{exe}"}}, BIT(PID_FILE) | BIT(EXECUTABLE), NULL},
    {{{"PidFile", "/x"}, {"Instance", "%{unit}%{cgroup}"}},
     BIT(PID_FILE) | BIT(UNIT) | BIT(CGROUP),
     NULL},
    {{{"PidFile", "/x"}, {"Instance", "%{user}-%{comm}-%{pid}-%{slot}"}},
     BIT(PID_FILE) | BIT(USER) | BIT(COMM),
     NULL},
    {{{NULL, NULL}}, 0, "no condition: every process would match"},
    {{{"Report", "cpu"}, {"Instance", "x"}}, 0, "no condition: every process would match"},
    {{{"Comm", "x"}, {"Instance", "x-%{foo}"}},
     0,
     "Instance \"x-%{foo}\": unknown placeholder %{foo} at character 3"},
    {{{"Comm", "!~(x)"}, {"Instance", "%{1}"}},
     0,
     "Instance \"%{1}\": %{1} at character 1: the regular expressions have no group 1"},
    {{{"Comm", "~(x)"}, {"Instance", "a%{1}%{3}"}, {"CommandLine", "(y)"}},
     0,
     "Instance \"a%{1}%{3}\": %{3} at character 6: the regular expressions have no group 3"},
};

START_TEST(finished_rule_has_its_fields_or_is_refused_as_a_whole) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  struct denet_error error = {""};
  const char *sentence = finished[_i].sentence;
  set_lines(&rule, finished[_i].lines);
  ck_assert_int_eq(denet_rule_finish(&rule, &error), sentence ? -EINVAL : 0);
  ck_assert_str_eq(error.text, sentence ? sentence : "");
  ck_assert_uint_eq(rule.fields, finished[_i].fields);
}
END_TEST

START_TEST(options_replace_the_documented_defaults) {
  static const struct denet_setting settings[] = {
      BOOLEAN("children", false), BOOLEAN("RECORDS", false), NUMBER("maxInstances", 100000),
      STRING("instance", "%{pid}-%{slot}"), NUMBER("User", 1000)};
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
  ck_assert(matches(&rule, &(struct denet_attributes){.uid = 1000}));
  ck_assert(!matches(&rule, &(struct denet_attributes){.uid = 100}));
}
END_TEST

#define OFF DENET_OFF_CPU_NONE
#define TIMES DENET_OFF_CPU_TIMES
#define STACKS DENET_OFF_CPU_STACKS
#define ALL DENET_REPORT_ALL
#define CPU DENET_REPORT_CPU
#define IO DENET_REPORT_IO
#define OFF_CPU DENET_REPORT_OFF_CPU
#define REASONS DENET_REPORT_REASONS

/* The lines of a rule, the mode of rules that have none, and what comes of it. */
static const struct {
  struct line lines[MOST_LINES];
  enum denet_off_cpu_mode inherited, mode;
  unsigned report;
} reports[] = {
    {{{"Report", "cpu"}}, TIMES, TIMES, CPU},
    {{{"report", "CPU,Memory"}}, TIMES, TIMES, CPU | DENET_REPORT_MEMORY},
    {{{"Report", " ,cpu,\t io , "}}, TIMES, TIMES, CPU | IO},
    {{{"Report", "cpu"}, {"Report", "io"}}, TIMES, TIMES, CPU | IO},
    {{{"Report", "cpu"}, {"Report", "all"}}, TIMES, TIMES, ALL},
    {{{"Report", "all"}, {"Report", "cpu"}}, TIMES, TIMES, ALL},
    {{{"Report", "cpu memory io faults threads switches uptime off_cpu"}}, TIMES, TIMES, ALL},
    {{{"Report", "off_cpu off_cpu"}}, TIMES, TIMES, OFF_CPU},
    {{{NULL, NULL}}, OFF, OFF, ALL & ~OFF_CPU},
    {{{NULL, NULL}}, TIMES, TIMES, ALL},
    {{{NULL, NULL}}, STACKS, STACKS, ALL | REASONS},
    {{{"offcpu", "off"}}, STACKS, OFF, ALL & ~OFF_CPU},
    {{{"offcpu", "times"}}, STACKS, TIMES, ALL},
    {{{"offcpu", "times"}}, OFF, TIMES, ALL},
    {{{"offcpu", "Stacks"}}, TIMES, STACKS, ALL | REASONS},
    {{{"Report", "cpu"}, {"OffCPU", "stacks"}}, TIMES, STACKS, CPU},
};

START_TEST(report_is_the_sum_of_its_words_and_agrees_with_the_off_cpu_mode) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  set_lines(&rule, reports[_i].lines);
  denet_rule_inherit_off_cpu(&rule, reports[_i].inherited);
  ck_assert_uint_eq(rule.off_cpu, reports[_i].mode);
  ck_assert_uint_eq(rule.report, reports[_i].report);
}
END_TEST

START_TEST(rule_without_its_stacks_reports_times) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = new_rule();
  denet_rule_inherit_off_cpu(&rule, TIMES);
  denet_rule_forgo_stacks(&rule);
  ck_assert(!rule.forgoes_stacks);
  rule.off_cpu = STACKS;
  denet_rule_inherit_off_cpu(&rule, TIMES);
  ck_assert_uint_eq(rule.report, ALL | REASONS);
  denet_rule_forgo_stacks(&rule);
  ck_assert(rule.forgoes_stacks);
  ck_assert_uint_eq(rule.off_cpu, TIMES);
  ck_assert_uint_eq(rule.report, ALL);
}
END_TEST

/* The lines of a rule, and whether it matches. */
static const struct {
  struct line lines[MOST_LINES];
  bool matches;
  unsigned absent; /* bit f: denet_field f of the process; UID */
} on_postgres[] = {
    {{{"Comm", "postgres-worker"}}, true, 0},
    {{{"comm", "postgres-worker"}}, true, 0},
    {{{"Comm", "postgres-work"}}, false, 0},
    {{{"Comm", "~^post"}}, true, 0},
    {{{"Comm", "!postgres-worker"}}, false, 0},
    {{{"Comm", "!mysqld"}}, true, 0},
    {{{"Comm", "!~worker$"}}, false, 0},
    /* A name that is longer than the kernel keeps is compared cut. */
    {{{"Comm", "postgres-workers"}}, true, 0},
    {{{"Comm", "!postgres-workers"}}, false, 0},
    {{{"Comm", "~^postgres-workers$"}}, false, 0},
    {{{"CommandLine", "-D /srv/pg([0-9]+)"}}, true, 0},
    {{{"COMMANDLINE", "^postgres"}}, false, 0},
    {{{"CommandLine", "!-D /srv"}}, false, 0},
    {{{"CommandLine", "~"}}, false, 0},
    {{{"Executable", "/usr/lib/postgresql/*/bin/postgres"}}, true, 0},
    {{{"Executable", "!/usr/*"}}, false, 0},
    {{{"Unit", "postgresql@*.service"}}, true, 0},
    {{{"Unit", "postgresql"}}, false, 0},
    {{{"Unit", "outer.service"}}, true, 0},
    {{{"Unit", "inner\\x2da.scope"}}, true, 0}, /* as systemctl prints it */
    {{{"Unit", "innerx2da.scope"}}, true, 0},   /* and as collectd reads that */
    {{{"Unit", "!inner*"}}, false, 0},
    {{{"Unit", "outer"}}, false, 0},
    {{{"Container", "4c01db0b339c"}}, true, 0},
    {{{"Container", "4c01db0b339c4c01"}}, true, 0},
    {{{"Container", "?*"}}, true, 0},
    {{{"Container", "!?*"}}, false, 0},
    {{{"Cgroup", "/system.slice/*"}}, true, 0},
    {{{"Cgroup", "!/user.slice/*"}}, true, 0},
    /* A user is its name or the digits of its number. */
    {{{"User", "pgsql"}}, true, 0},
    {{{"User", "3000000114"}}, true, 0},
    {{{"User", "03000000114"}}, false, 0},
    {{{"User", "300*"}}, false, 0},
    {{{"User", "root"}}, false, 0},
    {{{"User", "~^pg"}}, true, 0},
    {{{"User", "!~^PG"}}, true, 0},
    {{{"User", "!~i^PG"}}, false, 0},
    {{{"User", "~^30"}}, false, 0}, /* a regex sees the name alone */
    {{{"User", "!~x"}}, false, BIT(USER)},
    {{{"Comm", "~iPOSTGRES"}}, true, 0},
    {{{"Comm", "~POSTGRES"}}, false, 0},
    {{{"Executable", "~^/usr/lib/.*/postgres$"}}, true, 0},
    {{{"Executable", "!~i/POSTGRES$"}}, false, 0},
    {{{"Executable", "!~/POSTGRES$"}}, true, 0},
    {{{"Unit", "~@[0-9]+-main"}}, true, 0},
    {{{"Unit", "!~^x"}}, true, 0},
    {{{"Cgroup", "~i^/SYSTEM"}}, true, 0},
    {{{"Cgroup", "!~slice"}}, false, 0},
    {{{"CommandLine", "(?i)BIN/POSTGRES"}}, true, 0},
    {{{"CommandLine", "!(?i)BIN/POSTGRES"}}, false, 0},
    {{{"Comm", "~(?i)POST"}}, true, 0},
    {{{"User", "!root"}}, true, 0},
    {{{"User", "!pgsql"}}, false, 0},
    {{{"User", "!3000000114"}}, false, 0},
    {{{"User", "3000000114"}}, true, BIT(USER)},
    {{{"User", "!3000000114"}}, false, BIT(USER)},
    {{{"User", "pgsql"}}, false, BIT(USER)},
    {{{"User", "!root"}}, true, BIT(USER)},
    {{{"User", "!root"}}, false, BIT(USER) | UID},
    {{{"User", "18446744073709551615"}}, false, BIT(USER) | UID},
    /* The same condition twice: either. */
    {{{"Comm", "mysqld"}, {"Comm", "postgres-worker"}}, true, 0},
    {{{"Comm", "postgres-worker"}, {"Comm", "mysqld"}}, true, 0},
    {{{"CommandLine", "x"}, {"CommandLine", "-D"}}, true, 0},
    {{{"CommandLineAll", "postgres"}, {"commandlineall", "-D"}}, true, 0},
    {{{"CommandLineAll", "postgres"}, {"CommandLineAll", "x"}}, false, 0},
    {{{"CommandLineAll", "postgres"}, {"CommandLine", "x"}}, false, 0},
    {{{"CommandLineAll", "x"}, {"CommandLine", "postgres"}}, false, 0},
    {{{"CommandLineAll", "-D"}, {"CommandLine", "x"}, {"CommandLine", "postgres"}}, true, 0},
    {{{"CommandLineAll", "-D"}, {"CommandLineAll", "!postgres"}}, false, 0},
    {{{"CommandLineAll", "-D"}, {"CommandLineAll", "!x"}, {"Comm", "~post"}}, true, 0},
    {{{"CommandLineAll", ".*"}}, false, BIT(COMMAND_LINE)},
    /* Different conditions: all. */
    {{{"Comm", "~post"}, {"User", "pgsql"}}, true, 0},
    {{{"Comm", "~post"}, {"User", "root"}}, false, 0},
    {{{"Comm", "mysqld"}, {"Comm", "~post"}, {"User", "root"}, {"User", "pgsql"}}, true, 0},
    {{{"Comm", "~post"}, {"User", "root"}, {"User", "daemon"}}, false, 0},
    /* Negated ones: each, whatever the others on the field say. */
    {{{"Comm", "~post"}, {"Comm", "!~post"}}, false, 0},
    {{{"Comm", "!~post"}, {"Comm", "~post"}}, false, 0},
    {{{"Comm", "!mysqld"}, {"Comm", "!~post"}}, false, 0},
    {{{"Comm", "~^post"}, {"Comm", "!~master"}}, true, 0},
    {{{"Comm", "!mysqld"}, {"Comm", "oracle"}}, false, 0},
    /* A text that could not be read meets no condition, not even a negated one. */
    {{{"Comm", "postgres-worker"}}, false, BIT(COMM)},
    {{{"Comm", "!x"}}, false, BIT(COMM)},
    {{{"Comm", "!~x"}}, false, BIT(COMM)},
    {{{"CommandLine", ".*"}}, false, BIT(COMMAND_LINE)},
    {{{"CommandLine", "!x"}}, false, BIT(COMMAND_LINE)},
    {{{"Executable", "*"}}, false, BIT(EXECUTABLE)},
    {{{"Comm", "~post"}, {"Executable", "!x"}}, false, BIT(EXECUTABLE)},
    {{{"Unit", "!x"}}, false, BIT(UNIT)},
    {{{"Cgroup", "!x"}}, false, BIT(CGROUP)},
    /* A pid file, here named like the pid in it, is met by that pid. */
    {{{"PidFile", "/4242"}}, true, 0},
    {{{"PidFile", "/1"}}, false, 0},
    {{{"PidFile", "/0"}}, false, 0},
    {{{"PidFile", "!/4242"}}, false, 0},
    {{{"PidFile", "!/1"}}, true, 0},
    {{{"PidFile", "!/0"}}, false, 0},
};

START_TEST(conditions_on_one_field_are_either_and_on_several_all) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(on_postgres[_i].lines);
  struct denet_attributes attributes = postgres;
  for (unsigned f = 0; f < DENET_FIELDS; f++)
    if (on_postgres[_i].absent >> f & 1)
      attributes.field[f] = (struct denet_text){0};
  if (on_postgres[_i].absent & UID)
    attributes.uid = UINT64_MAX;
  struct denet_condition *first = &rule.conditions[0];
  ck_assert_int_eq(!first->pattern, first->pid_file != NULL);
  ck_assert_int_eq(first->pid, 0);
  if (first->pid_file)
    first->pid = (pid_t)strtol(first->pid_file + 1, NULL, 10);
  ck_assert_int_eq(matches(&rule, &attributes), on_postgres[_i].matches);
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
    {{{"CommandLine", "()(/)(u)(s)(r)(/)(b)"}, {"Comm", "~(p)(o)(s)(t)"}},
     11,
     {"", "/", "u", "s", "r", "/", "b", "p", "o"}},
    {{{"Comm", "postgres-worker"}}, 0, {NULL}},
    {{{"Executable", "~i/LIB/([^/]+)/([0-9]+)/"}}, 2, {"postgresql", "15"}},
    {{{"Unit", "~@([0-9]+)-"}, {"Cgroup", "~^/([a-z]+)\\."}}, 2, {"15", "system"}},
    {{{"CommandLine", "(?i)PG([0-9]+)"}}, 1, {"15"}},
    {{{"CommandLineAll", "(-D)"}, {"CommandLineAll", "pg([0-9]+)"}}, 2, {"-D", "15"}},
};

START_TEST(captures_are_numbered_over_the_regexes_of_a_rule) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = make_rule(captured[_i].lines);
  struct denet_captures captures, before;
  memset(&captures, 0xff, sizeof(captures));
  ck_assert_uint_eq(rule.groups, captured[_i].groups);
  ck_assert(denet_rule_matches(&rule, &postgres, &captures));
  for (size_t i = 0; i < DENET_CAPTURES; i++)
    expect_text(captures.group[i], captured[_i].expected[i]);
  /* Without a match they stay as they were. */
  memset(&captures, 0xff, sizeof(captures));
  before = captures;
  set_lines(&rule, (struct line[MOST_LINES]){{"User", "root"}});
  ck_assert(!denet_rule_matches(&rule, &postgres, &captures));
  ck_assert_mem_eq(&captures, &before, sizeof(captures));
}
END_TEST

/* The two forms of collectd's processes plugin, and a text of the field that they compare. */
static const struct {
  const char *name, *regex, *text; /* text is NULL if the rule is refused */
  bool matches;
  const char *sentence;
} forms[] = {
    {"sshd", NULL, "sshd", true, ""},
    {"sshd", NULL, "sshd2", false, ""},
    {"systemd-journald", NULL, "systemd-journal", true,
     "Process \"systemd-journald\": the kernel keeps 15 bytes of a name, so the name "
     "\"systemd-journal\" matches; CommandLine matches the whole command line"},
    {"!sshd", NULL, "!sshd", true, ""},
    {"!sshd", NULL, "other", false, ""},
    {"~ss", NULL, "~ss", true, ""},
    {"~ss", NULL, "sshd", false, ""},
    {"100%{", NULL, "100%{", true, ""},
    {"shard-%{1}", "!shard\\.py ([0-9]+)", "python !shard.py 12", true, ""},
    {"shard-%{1}", "!shard\\.py ([0-9]+)", "python shard.py 12", false, ""},
    {"", NULL, NULL, false, "Process \"\": must not be empty"},
    {"", "x", NULL, false, "ProcessMatch \"\": must not be empty"},
    {"x", "", NULL, false, "ProcessMatch \"\": Empty pattern at character 1"},
    {"x", "a(", NULL, false, "ProcessMatch \"a(\": Unmatched ( or \\( at character 2"},
    {"x-%{1}", "a", NULL, false,
     "ProcessMatch \"x-%{1}\": %{1} at character 3: the regular expressions have no group 1"},
};

/* And done() may follow in any case, even twice. */
START_TEST(process_and_process_match_take_all_literally) {
  struct denet_rule rule;
  struct denet_error error = {""};
  const char *name = forms[_i].name, *regex = forms[_i].regex, *text = forms[_i].text;
  enum denet_field field = regex ? DENET_FIELD_COMMAND_LINE : DENET_FIELD_COMM;
  ck_assert_int_eq(denet_rule_init_process(&rule, name, regex, &error), text ? 0 : -EINVAL);
  ck_assert_str_eq(error.text, forms[_i].sentence);
  if (text) {
    ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
    ck_assert_str_eq(rule.name, name);
    ck_assert_str_eq(rule.instance, regex ? name : "%{rule}");
    ck_assert(!rule.children && rule.records);
    ck_assert_uint_eq(rule.fields, 1u << field);
    ck_assert_uint_eq(rule.groups, regex ? 1 : 0);
    struct denet_attributes attributes = {.pid = 2};
    attributes.field[field] = denet_text_of(text);
    ck_assert_int_eq(matches(&rule, &attributes), forms[_i].matches);
  }
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

void add_cases(Suite *suite) {
  ADD_TABLE(suite, bad_line_is_refused_with_option_value_and_position, refused);
  ADD_TEST(suite, rule_without_a_name_is_refused);
  ADD_TEST(suite, rule_lives_on_after_a_refused_line);
  ADD_TABLE(suite, finished_rule_has_its_fields_or_is_refused_as_a_whole, finished);
  ADD_TEST(suite, options_replace_the_documented_defaults);
  ADD_TABLE(suite, report_is_the_sum_of_its_words_and_agrees_with_the_off_cpu_mode, reports);
  ADD_TEST(suite, rule_without_its_stacks_reports_times);
  ADD_TABLE(suite, conditions_on_one_field_are_either_and_on_several_all, on_postgres);
  ADD_TABLE(suite, captures_are_numbered_over_the_regexes_of_a_rule, captured);
  ADD_TABLE(suite, process_and_process_match_take_all_literally, forms);
  ADD_TEST(suite, default_rule_matches_every_process_except_kernel_threads);
}
