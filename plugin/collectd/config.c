#include "plugin/collectd/config.h"

#include "core/util/cleanup.h"
#include "plugin/collectd/config_value.h"

#include <errno.h>
#include <pwd.h>
#include <strings.h>

#define LOG_NAME "denet plugin: "
#define PLUGIN_NAME_MOST 60 /* bytes */

/* The one option that only collectd has. */
static const struct denet_option plugin_name[] = {
    {"PluginName", DENET_OPTION_STRING, offsetof(struct denet_config, plugin_name), 0, 0, NULL}};

/* Logs a sentence that quotes the configuration: any byte may be in it. */
__attribute__((format(printf, 2, 3))) static void log_sentence(int level, const char *format, ...) {
  struct denet_error sentence;
  va_list arguments;
  va_start(arguments, format);
  denet_error_write(&sentence, format, arguments);
  va_end(arguments);
  plugin_log(level, LOG_NAME "%s", sentence.text);
}

int denet_config_init(struct denet_config *config) {
  config->plugin_name = strdup("denet");
  int error = denet_settings_init(&config->settings);
  return config->plugin_name ? error : -ENOMEM;
}

void denet_config_done(struct denet_config *config) {
  denet_settings_done(&config->settings);
  free(config->plugin_name);
  *config = (struct denet_config){0};
}

/* Reads one line of a rule. A line with several words (Report "cpu" "memory") is as many settings.
 * Returns 0, or -1 if the rule cannot be used. */
static int read_rule_option(struct denet_rule *rule, const char *block,
                            const oconfig_item_t *item) {
  for (int i = 0; i < item->values_num || !i; i++) {
    struct denet_error error = {0};
    struct denet_setting setting = denet_config_value(item, item->values_num > 1 ? i : -1);
    int outcome = denet_rule_set(rule, &setting, &error);
    if (outcome == DENET_UNKNOWN_OPTION) {
      log_sentence(LOG_WARNING, "%s \"%s\": unknown option %s is ignored.", block, rule->name,
                   item->key);
      return 0;
    }
    if (outcome) {
      log_sentence(LOG_ERR, "%s \"%s\": %s. The rule is skipped.", block, rule->name, error.text);
      return -1;
    }
    if (error.text[0])
      log_sentence(LOG_WARNING, "%s \"%s\": %s.", block, rule->name, error.text);
  }
  return 0;
}

/* Starts the rule that the block's key and arguments stand for. -EINVAL with a sentence. */
static int start_rule(struct denet_rule *rule, const oconfig_item_t *item,
                      struct denet_error *error) {
  bool is_match = !strcasecmp(item->key, "ProcessMatch");
  int wanted = is_match ? 2 : 1;
  bool are_strings = item->values_num == wanted;
  for (int i = 0; are_strings && i < wanted; i++)
    are_strings = item->values[i].type == OCONFIG_TYPE_STRING;
  if (!are_strings)
    return denet_error_set(error, -EINVAL, "needs %s",
                           is_match ? "two strings, a name and a regular expression"
                                    : "one string, its name");
  const char *name = item->values[0].value.string;
  if (!strcasecmp(item->key, "Rule"))
    return denet_rule_init(rule, name, error);
  const char *regex = is_match ? item->values[1].value.string : NULL;
  return denet_rule_init_process(rule, name, regex, error);
}

/* Returns whether there is no such user. */
static bool lacks_user(const char *name) {
  char texts[4096];
  struct passwd entry, *found = NULL;
  return name[strspn(name, "0123456789")] &&
         !getpwnam_r(name, &entry, texts, sizeof(texts), &found) && !found;
}

/* Warns of users that do not exist and of links to executables. The rule stays: both may change. */
static void check_conditions(const struct denet_rule *rule, const char *block) {
  for (size_t i = 0; i < rule->condition_count; i++) {
    const struct denet_condition *condition = &rule->conditions[i];
    const char *text = condition->pattern ? denet_pattern_literal(condition->pattern) : NULL;
    if (text && condition->field == DENET_FIELD_USER && lacks_user(text))
      log_sentence(LOG_WARNING,
                   "%s \"%s\": User \"%s%s\": there is no such user, so it %s nothing. denet goes "
                   "on looking for the user.",
                   block, rule->name, condition->negated ? "!" : "", text,
                   condition->negated ? "excludes" : "matches");
    bool is_path = text && condition->field == DENET_FIELD_EXECUTABLE && text[0] == '/';
    DENET_FREE char *path = is_path ? realpath(text, NULL) : NULL;
    if (path && strcmp(path, text) != 0)
      log_sentence(LOG_WARNING,
                   "%s \"%s\": Executable \"%s\": this is a link, and processes are compared with "
                   "the real path; Executable \"%s\" is probably meant.",
                   block, rule->name, text, path);
  }
}

static void read_rule(struct denet_config *config, const oconfig_item_t *item) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_error error = {0};
  bool has_name = item->values_num && item->values[0].type == OCONFIG_TYPE_STRING;
  const char *name = has_name ? item->values[0].value.string : "";
  int outcome = start_rule(&rule, item, &error);
  const struct denet_error warning = error;
  for (int i = 0; !outcome && i < item->children_num; i++)
    if (read_rule_option(&rule, item->key, &item->children[i]))
      return;
  if (!outcome)
    outcome = denet_rule_finish(&rule, &error);
  if (!outcome)
    check_conditions(&rule, item->key);
  if (!outcome)
    outcome = denet_settings_add_rule(&config->settings, &rule, &error);
  if (outcome)
    log_sentence(LOG_ERR, "%s \"%s\": %s. The rule is skipped.", item->key, name, error.text);
  else if (warning.text[0])
    log_sentence(LOG_WARNING, "%s \"%s\": %s.", item->key, name, warning.text);
}

/* collectd splits an identifier at '/' and at the first '-', so neither may be in the name. */
static int set_plugin_name(struct denet_config *config, const struct denet_setting *setting,
                           struct denet_error *error) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
  bool is_string = setting->type == DENET_SETTING_STRING;
  size_t length = is_string ? strspn(setting->string, allowed) : 0;
  length = length > PLUGIN_NAME_MOST ? PLUGIN_NAME_MOST : length;
  if (is_string && setting->string[length] && !strcasecmp(setting->key, plugin_name[0].key))
    return denet_setting_refuse(
        setting, error,
        "must be letters, digits, '_' and '.', at most %d; character %zu is not allowed",
        PLUGIN_NAME_MOST, length + 1);
  return denet_option_set(plugin_name, 1, config, setting, error);
}

static void read_option(struct denet_config *config, const oconfig_item_t *item) {
  struct denet_error error = {0};
  struct denet_setting setting = denet_config_value(item, -1);
  int outcome = denet_settings_set(&config->settings, &setting, &error);
  if (outcome == DENET_UNKNOWN_OPTION)
    outcome = set_plugin_name(config, &setting, &error);
  if (outcome == DENET_UNKNOWN_OPTION)
    log_sentence(LOG_WARNING, "unknown option %s is ignored.", item->key);
  else if (outcome)
    log_sentence(LOG_ERR, "%s. The option is ignored.", error.text);
}

int denet_config_read(struct denet_config *config, const oconfig_item_t *block) {
  bool has_rules = false;
  for (int i = 0; i < block->children_num; i++) {
    const oconfig_item_t *item = &block->children[i];
    bool is_rule = !strcasecmp(item->key, "Rule") || !strcasecmp(item->key, "Process") ||
                   !strcasecmp(item->key, "ProcessMatch");
    if (is_rule)
      read_rule(config, item);
    else
      read_option(config, item);
    has_rules |= is_rule;
  }
  if (has_rules && !config->settings.rule_count) {
    log_sentence(LOG_ERR, "there are rules, and not one of them can be used.");
    return -1;
  }
  struct denet_error error;
  int outcome = denet_settings_check(&config->settings, &error);
  if (outcome)
    log_sentence(LOG_ERR, "%s.", error.text);
  return outcome ? -1 : 0;
}
