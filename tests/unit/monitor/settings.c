/* The settings of a monitor: defaults, limits, and what options and rules say together. */
#include "core/monitor/settings.h"

#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <errno.h>

static struct denet_settings settings;
static struct denet_error error;

static void begin(void) {
  error.text[0] = '\0';
  ck_assert_int_eq(denet_settings_init(&settings), 0);
}

static void set(const char *key, const char *value) {
  struct denet_setting setting = {key, DENET_SETTING_STRING, .string = value};
  ck_assert_int_eq(denet_settings_set(&settings, &setting, NULL), 0);
}

static int add_rule(const char *name) {
  struct denet_rule rule = scene_rule(name, "Comm", "app");
  int outcome = denet_settings_add_rule(&settings, &rule, &error);
  ck_assert_int_eq(rule.name == NULL, outcome == 0); /* taken over or not */
  denet_rule_done(&rule);
  return outcome;
}

static const struct {
  const char *key;
  double number;
  const char *sentence;
} refused[] = {
    {"BaseInterval", 0.009, "BaseInterval 0.009: must be from 0.01 to 3600 seconds"},
    {"MaxInterval", 3601, "MaxInterval 3601: must be from 0.01 to 3600 seconds"},
    {"StackPeriod", 0, "StackPeriod 0: must be from 0.0001 to 3600 seconds"},
    {"StackRate", 1, "StackRate 1: must be a whole number from 2 to 10000"},
    {"SymbolMemory", 0.5, "SymbolMemory 0.5: must be from 1 to 65536 MiB"},
    {"Source", 1, "Source 1: must be a string in quotes"},
};

START_TEST(value_out_of_its_limits_is_refused) {
  begin();
  struct denet_setting setting = {refused[_i].key, DENET_SETTING_NUMBER,
                                  .number = refused[_i].number};
  ck_assert_int_eq(denet_settings_set(&settings, &setting, &error), -EINVAL);
  ck_assert_str_eq(error.text, refused[_i].sentence);
  denet_settings_done(&settings);
}
END_TEST

START_TEST(two_rules_have_two_names) {
  begin();
  ck_assert_int_eq(add_rule("a"), 0);
  ck_assert_int_eq(add_rule("b"), 0);
  ck_assert_int_eq(add_rule("a"), -EEXIST);
  ck_assert_str_eq(error.text, "there is a rule of this name already");
  ck_assert_uint_eq(settings.rule_count, 2);
  denet_settings_done(&settings);
}
END_TEST

static const struct {
  const char *source;
  int outcome;
} sources[] = {{"auto", 0}, {"BPF", 0}, {"procfs", 0}, {"magic", -EINVAL}};

START_TEST(source_is_one_of_three) {
  begin();
  set("Source", sources[_i].source);
  ck_assert_int_eq(denet_settings_check(&settings, &error), sources[_i].outcome);
  denet_settings_done(&settings);
}
END_TEST

START_TEST(intervals_that_contradict_each_other_and_no_rules_become_the_defaults) {
  begin();
  settings.base_interval_ns = 20 * MILLISECOND;
  settings.max_interval_ns = 10 * MILLISECOND;
  ck_assert_int_eq(denet_settings_finish(&settings, &error), 0);
  ck_assert_str_eq(error.text, "BaseInterval 0.02 is above MaxInterval 0.01: both are ignored, and "
                               "0.1 and 1 are used");
  ck_assert_uint_eq(settings.base_interval_ns, SECOND / 10);
  ck_assert_uint_eq(settings.max_interval_ns, SECOND);
  ck_assert_uint_eq(settings.rule_count, 1);
  ck_assert_str_eq(settings.rules[0].instance, "%{exe}");
  denet_settings_done(&settings);
}
END_TEST

START_TEST(rule_without_an_off_cpu_mode_gets_the_common_one) {
  begin();
  set("OffCPU", "off");
  ck_assert_int_eq(add_rule("a"), 0);
  ck_assert_int_eq(add_rule("b"), 0);
  settings.rules[1].off_cpu = DENET_OFF_CPU_TIMES;
  ck_assert_int_eq(denet_settings_finish(&settings, &error), 0);
  ck_assert_str_eq(error.text, "");
  ck_assert_uint_eq(settings.rules[0].off_cpu, DENET_OFF_CPU_NONE);
  ck_assert_uint_eq(settings.rules[1].off_cpu, DENET_OFF_CPU_TIMES);
  denet_settings_done(&settings);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, value_out_of_its_limits_is_refused, refused);
  ADD_TEST(suite, two_rules_have_two_names);
  ADD_TABLE(suite, source_is_one_of_three, sources);
  ADD_TEST(suite, intervals_that_contradict_each_other_and_no_rules_become_the_defaults);
  ADD_TEST(suite, rule_without_an_off_cpu_mode_gets_the_common_one);
}
