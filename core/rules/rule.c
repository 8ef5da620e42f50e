#include "core/rules/rule.h"

#include "core/model/metric.h"
#include "core/model/process.h"
#include "core/rules/hint.h"
#include "core/rules/template.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct condition_key {
  const char *key;
  enum denet_field field;
  enum denet_pattern_kind pattern; /* not used for a pid file */
  bool required;
} condition_keys[] = {
    {"Comm", DENET_FIELD_COMM, DENET_PATTERN_EXACT, false},
    {"CommandLine", DENET_FIELD_COMMAND_LINE, DENET_PATTERN_REGEX, false},
    {"CommandLineAll", DENET_FIELD_COMMAND_LINE, DENET_PATTERN_REGEX, true},
    {"Executable", DENET_FIELD_EXECUTABLE, DENET_PATTERN_GLOB, false},
    {"User", DENET_FIELD_USER, DENET_PATTERN_EXACT, false},
    {"Unit", DENET_FIELD_UNIT, DENET_PATTERN_GLOB, false},
    {"Container", DENET_FIELD_CONTAINER, DENET_PATTERN_GLOB, false},
    {"Cgroup", DENET_FIELD_CGROUP, DENET_PATTERN_GLOB, false},
    {"PidFile", DENET_FIELD_PID_FILE, DENET_PATTERN_EXACT, false},
};

const char *const denet_off_cpu_modes[] = {"off", "times", "stacks", NULL};

static const struct denet_option options[] = {
    {"Children", DENET_OPTION_BOOLEAN, offsetof(struct denet_rule, children), 0, 0, NULL},
    {"Instance", DENET_OPTION_STRING, offsetof(struct denet_rule, instance), 0, 0, NULL},
    {"MaxInstances", DENET_OPTION_COUNT, offsetof(struct denet_rule, max_instances), 1, 100000,
     NULL},
    {"Records", DENET_OPTION_BOOLEAN, offsetof(struct denet_rule, records), 0, 0, NULL},
    {"OffCPU", DENET_OPTION_WORD, offsetof(struct denet_rule, off_cpu), 0, 0, denet_off_cpu_modes},
};

static struct denet_setting string_setting(const char *key, const char *string) {
  return (struct denet_setting){.key = key, .type = DENET_SETTING_STRING, .string = string};
}

/* Starts a rule with the defaults. key is the configuration's word for the rule's name, NULL for
 * the default rule, which has none. */
static int start_rule(struct denet_rule *rule, const char *key, const char *name,
                      const char *instance, struct denet_error *error) {
  *rule = (struct denet_rule){0};
  struct denet_setting setting = string_setting(key, name);
  if (key && name[0] == '\0')
    return denet_setting_refuse(&setting, error, "must not be empty");
  *rule = (struct denet_rule){
      .name = strdup(name),
      .instance = strdup(instance),
      .children = true,
      .records = true,
      .max_instances = 100,
      .report = DENET_REPORT_ALL,
      .off_cpu = DENET_OFF_CPU_INHERITED,
  };
  return rule->name && rule->instance ? 0 : denet_error_set(error, -ENOMEM, "out of memory");
}

int denet_rule_init(struct denet_rule *rule, const char *name, struct denet_error *error) {
  return start_rule(rule, "Rule", name, "%{rule}", error);
}

void denet_rule_done(struct denet_rule *rule) {
  if (!rule)
    return;
  for (size_t i = 0; i < rule->condition_count; i++) {
    denet_pattern_free(rule->conditions[i].pattern);
    free(rule->conditions[i].pid_file);
  }
  free(rule->conditions);
  free(rule->instance);
  free(rule->name);
  *rule = (struct denet_rule){0};
}

/* Appends the condition. setting holds its pattern or path without '!' and '~': an error shows that
 * text, and its position is one in it. The kernel keeps 15 bytes of a process's name, so a longer
 * name is cut; error says so though the result is 0. */
static int add_condition(struct denet_rule *rule, struct denet_condition condition,
                         enum denet_pattern_kind kind, const struct denet_setting *setting,
                         struct denet_error *error) {
  struct denet_error reason;
  struct denet_setting shown = *setting;
  char name[DENET_COMM_BYTES];
  if (condition.field == DENET_FIELD_COMM && kind == DENET_PATTERN_EXACT) {
    snprintf(name, sizeof(name), "%s", setting->string);
    shown.string = name;
  }
  struct denet_condition *grown =
      reallocarray(rule->conditions, rule->condition_count + 1, sizeof(condition));
  rule->conditions = grown ? grown : rule->conditions;
  int rc = grown ? 0 : -ENOMEM;
  if (!rc && condition.field != DENET_FIELD_PID_FILE)
    rc = denet_pattern_new(kind, shown.string, &reason, &condition.pattern);
  else if (!rc && !(condition.pid_file = strdup(shown.string)))
    rc = -ENOMEM;
  if (rc == -EINVAL)
    return denet_setting_refuse(&shown, error, "%s", reason.text);
  if (rc)
    return denet_error_set(error, rc, "out of memory");
  if (condition.pattern && !condition.negated) {
    condition.first_capture = rule->groups;
    rule->groups += denet_pattern_groups(condition.pattern);
  }
  rule->conditions[rule->condition_count++] = condition;
  if (strlen(shown.string) < strlen(setting->string))
    denet_error_set(error, 0,
                    "%s \"%s\": the kernel keeps 15 bytes of a name, so the name \"%s\" matches; "
                    "CommandLine matches the whole command line",
                    setting->key, setting->string, name);
  denet_hint_write(&condition, kind, setting, error);
  return 0;
}

/* User 1000, without quotes, is the user "1000". */
static int set_condition(struct denet_rule *rule, const struct condition_key *key,
                         const struct denet_setting *given, struct denet_error *error) {
  struct denet_setting setting = *given;
  double number = given->number;
  char digits[24];
  if (key->field == DENET_FIELD_USER && setting.type == DENET_SETTING_NUMBER && number >= 0 &&
      number <= UINT32_MAX && number == (double)(uint32_t)number) {
    snprintf(digits, sizeof(digits), "%u", (unsigned)number);
    setting = string_setting(given->key, digits);
  }
  int rc = denet_setting_expect(&setting, DENET_SETTING_STRING, error);
  if (rc < 0)
    return rc;
  struct denet_condition condition = {.field = key->field, .negated = setting.string[0] == '!'};
  condition.required = key->required || condition.negated;
  const char *mark = setting.string + condition.negated;
  enum denet_pattern_kind kind = key->pattern;
  if (*mark == '~' && kind != DENET_PATTERN_REGEX && key->field != DENET_FIELD_PID_FILE)
    kind = mark[1] == 'i' ? DENET_PATTERN_REGEX_ANY_CASE : DENET_PATTERN_REGEX;
  size_t start = condition.negated;
  if (kind != key->pattern)
    start += kind == DENET_PATTERN_REGEX_ANY_CASE ? strlen("~i") : strlen("~");
  struct denet_setting pattern = string_setting(given->key, setting.string + start);
  if (pattern.string[0] == '\0')
    return denet_setting_refuse(&setting, error, "nothing to compare with at character %zu",
                                start + 1);
  if (key->field == DENET_FIELD_PID_FILE && pattern.string[0] != '/')
    return denet_setting_refuse(&setting, error,
                                "must be an absolute path, with / at character %zu", start + 1);
  return add_condition(rule, condition, kind, &pattern, error);
}

static int set_report(struct denet_rule *rule, const struct denet_setting *setting,
                      struct denet_error *error) {
  static const char separators[] = " \t,";
  unsigned report = 0;
  int rc = denet_setting_expect(setting, DENET_SETTING_STRING, error);
  if (rc)
    return rc;
  const char *word = setting->string + strspn(setting->string, separators);
  if (*word == '\0')
    return denet_setting_refuse(setting, error, "no word at character %zu",
                                (size_t)(word - setting->string) + 1);
  for (size_t length; *word; word += length + strspn(word + length, separators)) {
    char copy[16];
    length = strcspn(word, separators);
    snprintf(copy, sizeof(copy), "%.*s", (int)length, word);
    int bit = length < sizeof(copy) ? denet_report_parse(copy) : -EINVAL;
    if (bit < 0)
      return denet_setting_refuse(setting, error, "unknown word %s at character %zu", copy,
                                  (size_t)(word - setting->string) + 1);
    report |= (unsigned)bit;
  }
  rule->report = rule->report_given ? rule->report | report : report;
  rule->report_given = true;
  return 0;
}

int denet_rule_set(struct denet_rule *rule, const struct denet_setting *setting,
                   struct denet_error *error) {
  if (strcasecmp(setting->key, "Report") == 0)
    return set_report(rule, setting, error);
  for (size_t i = 0; i < DENET_COUNT_OF(condition_keys); i++)
    if (strcasecmp(condition_keys[i].key, setting->key) == 0)
      return set_condition(rule, &condition_keys[i], setting, error);
  return denet_option_set(options, DENET_COUNT_OF(options), rule, setting, error);
}

static int check_instance(struct denet_rule *rule, const char *key, struct denet_error *error) {
  struct denet_setting setting = string_setting(key, rule->instance);
  struct denet_error reason;
  int rc = denet_template_check(rule->instance, rule->groups, &reason, &rule->uses);
  return rc < 0 ? denet_setting_refuse(&setting, error, "%s", reason.text) : 0;
}

int denet_rule_init_process(struct denet_rule *rule, const char *name, const char *regex,
                            struct denet_error *error) {
  const char *key = regex ? "ProcessMatch" : "Process";
  struct denet_setting setting = string_setting(key, regex ? regex : name);
  struct denet_condition condition = {.field = regex ? DENET_FIELD_COMMAND_LINE : DENET_FIELD_COMM};
  enum denet_pattern_kind kind = regex ? DENET_PATTERN_REGEX : DENET_PATTERN_EXACT;
  int rc = start_rule(rule, key, name, regex ? name : "%{rule}", error);
  rule->children = false;
  if (!rc) /* here '!' and '~' are parts of the text */
    rc = add_condition(rule, condition, kind, &setting, error);
  return rc ? rc : check_instance(rule, key, error);
}

int denet_rule_init_default(struct denet_rule *rule, struct denet_error *error) {
  int rc = start_rule(rule, NULL, "", "%{exe}", error);
  rule->children = false;
  rule->records = false;
  rule->skip_kernel_threads = true;
  rule->max_instances = 50;
  return rc;
}

void denet_rule_inherit_off_cpu(struct denet_rule *rule, enum denet_off_cpu_mode inherited) {
  if (rule->off_cpu == DENET_OFF_CPU_INHERITED)
    rule->off_cpu = inherited;
  rule->report &= ~(unsigned)DENET_REPORT_REASONS;
  if (rule->off_cpu == DENET_OFF_CPU_NONE)
    rule->report &= ~(unsigned)DENET_REPORT_OFF_CPU;
  if (rule->off_cpu == DENET_OFF_CPU_STACKS && rule->report & DENET_REPORT_OFF_CPU)
    rule->report |= DENET_REPORT_REASONS;
}

void denet_rule_forgo_stacks(struct denet_rule *rule) {
  if (rule->off_cpu != DENET_OFF_CPU_STACKS)
    return;
  rule->forgoes_stacks = true;
  rule->off_cpu = DENET_OFF_CPU_TIMES;
  denet_rule_inherit_off_cpu(rule, DENET_OFF_CPU_TIMES);
}

int denet_rule_finish(struct denet_rule *rule, struct denet_error *error) {
  /* Only the default rule has no name, and it matches every process on purpose. */
  if (rule->condition_count == 0 && rule->name[0] != '\0')
    return denet_error_set(error, -EINVAL, "no condition: every process would match");
  int rc = check_instance(rule, "Instance", error);
  if (rc < 0)
    return rc;
  rule->fields = rule->uses & ((1u << DENET_FIELDS) - 1);
  for (size_t i = 0; i < rule->condition_count; i++)
    rule->fields |= 1u << rule->conditions[i].field;
  return 0;
}

/* Returns whether the exact pattern is the name of the user or the digits of the number. */
static bool match_user(const struct denet_pattern *pattern,
                       const struct denet_attributes *attributes) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%" PRIu64, attributes->uid);
  return denet_pattern_matches(pattern, attributes->field[DENET_FIELD_USER], NULL, 0) ||
         denet_pattern_matches(pattern, denet_text_of(digits), NULL, 0);
}

/* Returns whether the pattern matches one of the names, which have NULs between them. */
static bool match_names(const struct denet_condition *condition, struct denet_text names,
                        struct denet_captures *captures) {
  bool matches = false;
  for (size_t at = 0; at <= names.length && !matches;) {
    struct denet_text name = denet_text_of(names.bytes + at);
    matches = denet_pattern_matches(condition->pattern, name, captures, condition->first_capture);
    at += name.length + 1;
  }
  return matches;
}

static bool condition_holds(const struct denet_condition *condition,
                            const struct denet_attributes *attributes,
                            struct denet_captures *captures) {
  struct denet_text text = attributes->field[condition->field];
  bool is_user = condition->field == DENET_FIELD_USER && denet_pattern_literal(condition->pattern);
  if (condition->field == DENET_FIELD_PID_FILE)
    return condition->pid != 0 && (attributes->pid == condition->pid) != condition->negated;
  if (!text.bytes && (!is_user || attributes->uid == UINT64_MAX))
    return false; /* it is absent */
  bool matches;
  if (is_user)
    matches = match_user(condition->pattern, attributes);
  else if (DENET_CGROUP_FIELDS & 1u << condition->field)
    matches = match_names(condition, text, captures);
  else
    matches = denet_pattern_matches(condition->pattern, text, captures, condition->first_capture);
  return matches != condition->negated;
}

bool denet_rule_matches(const struct denet_rule *rule, const struct denet_attributes *attributes,
                        struct denet_captures *out_captures) {
  if (rule->skip_kernel_threads && attributes->kernel_thread)
    return false;
  struct denet_captures captures = {0};
  unsigned wanted = 0; /* fields with a condition that is not required */
  unsigned met = 0;    /* those of them with one that holds */
  /* Does not stop at the first that holds: another one may have captures for the name. */
  for (size_t i = 0; i < rule->condition_count; i++) {
    const struct denet_condition *condition = &rule->conditions[i];
    bool holds = condition_holds(condition, attributes, &captures);
    if (condition->required && !holds)
      return false;
    wanted |= (unsigned)!condition->required << condition->field;
    met |= (unsigned)(!condition->required && holds) << condition->field;
  }
  if (met != wanted)
    return false;
  *out_captures = captures;
  return true;
}
