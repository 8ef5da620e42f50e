/* A <Rule> block, and a process that is matched with it. An input is lines "KEY VALUE" of the
 * block, an empty line, and the process's name, command line, executable, user, unit and cgroup. */
#include "core/model/metric.h"
#include "core/rules/rule.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/setting.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 6 /* the fields except the pid file */

/* Regexes that the C library needs endless time or memory for: back-references, and repeats of
 * repeats. They are left out: who configures collectd can stop it in simpler ways. */
static bool is_too_much(const char *value) {
  size_t repeats = 0, groups = 0;
  for (const char *at = value; *at; at++) {
    if (*at == '\\' && isdigit((unsigned char)at[1]))
      return true;
    repeats += *at == '{' ? 4 : *at == '*' || *at == '+' || *at == '?' ? 1 : 0;
    groups += *at == '(' ? 1 : 0;
    if (*at == '{' && strtoul(at + 1, NULL, 10) > 9)
      return true;
  }
  return repeats > 8 || groups > 12 || strlen(value) > 200;
}

static void set(struct denet_rule *rule, struct denet_text line) {
  struct denet_setting setting = fuzz_setting_read(line);
  struct denet_error error = {""};
  if (!is_too_much(setting.string)) {
    size_t count = rule->condition_count;
    int outcome = denet_rule_set(rule, &setting, &error);
    CLAIM(outcome >= 0 || error.text[0]);
    CLAIM(!error.text[0] || fuzz_is_sentence(error.text)); /* a long name is a warning */
    CLAIM(rule->condition_count == count || (outcome == 0 && rule->condition_count == count + 1));
  }
  fuzz_setting_done(&setting);
}

/* Starts the rule of the first line. Returns false if there is no such rule. */
static bool start(struct denet_rule *rule, struct denet_text line) {
  struct denet_setting setting = fuzz_setting_read(line);
  struct denet_error error = {""};
  int outcome = -EINVAL;
  *rule = (struct denet_rule){0};
  const char *value = setting.string;
  if (!strcmp(setting.key, "Process"))
    outcome = denet_rule_init_process(rule, value, NULL, &error);
  else if (strcmp(setting.key, "ProcessMatch") != 0)
    outcome = denet_rule_init(rule, value, &error);
  else if (!is_too_much(value))
    outcome = denet_rule_init_process(rule, "%{1}-%{2}", value, &error);
  CLAIM(outcome == 0 || !error.text[0] || fuzz_is_sentence(error.text));
  fuzz_setting_done(&setting);
  return outcome == 0;
}

static void claim_rule(const struct denet_rule *rule) {
  CLAIM(rule->fields >> DENET_FIELDS == 0);
  CLAIM((rule->report & ~(unsigned)DENET_REPORT_ALL) == 0 && rule->report != 0);
  CLAIM(rule->max_instances >= 1 && rule->max_instances <= 100000);
  CLAIM(rule->off_cpu <= DENET_OFF_CPU_INHERITED);
  for (size_t i = 0; i < rule->condition_count; i++) {
    const struct denet_condition *condition = &rule->conditions[i];
    bool is_pid_file = condition->field == DENET_FIELD_PID_FILE;
    CLAIM(is_pid_file ? condition->pid_file[0] == '/' && !condition->pattern
                      : condition->pattern && !condition->pid_file);
    CLAIM(rule->fields >> condition->field & 1);
  }
}

/* Each text is an allocation of its own, so that a read behind its end is found. */
static void match(const struct denet_rule *rule, struct denet_text input) {
  struct denet_attributes attributes = {.pid = 42, .uid = 114};
  struct denet_captures captures = {0}, again = {0};
  struct denet_text line;
  char *texts[TEXTS] = {0};
  for (size_t i = 0; i < TEXTS && fuzz_take_line(&input, &line); i++) {
    texts[i] = fuzz_string(line);
    attributes.field[i] = denet_text_of(texts[i]);
  }
  bool is_match = denet_rule_matches(rule, &attributes, &captures);
  CLAIM(denet_rule_matches(rule, &attributes, &again) == is_match);
  CLAIM(!memcmp(&captures, &again, sizeof(captures)));
  for (size_t i = 0; i < DENET_CAPTURES; i++) {
    bool is_within = !captures.group[i].bytes;
    for (size_t text = 0; text < TEXTS && !is_within; text++)
      is_within = texts[text] && fuzz_is_within(captures.group[i], attributes.field[text]);
    CLAIM(is_within && (is_match || !captures.group[i].bytes));
  }
  for (size_t i = 0; i < TEXTS; i++)
    free(texts[i]);
}

void fuzz_one(struct denet_text rest) {
  struct denet_text line = {0};
  struct denet_rule rule;
  struct denet_error error = {""};
  fuzz_take_line(&rest, &line);
  bool is_there = start(&rule, line);
  while (is_there && fuzz_take_line(&rest, &line) && line.length)
    set(&rule, line);
  if (is_there && denet_rule_finish(&rule, &error) == 0) {
    claim_rule(&rule);
    match(&rule, rest);
  } else {
    CLAIM(!is_there || fuzz_is_sentence(error.text));
  }
  denet_rule_done(&rule);
}
