#include "plugin/collectd/config.h"

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"
#include "plugin/collectd/config_value.h"

#include <errno.h>
#include <strings.h>

#define LOG_NAME "denet plugin: "
#define DEFAULT_BASE_NS UINT64_C(100000000)
#define DEFAULT_MAX_NS UINT64_C(1000000000)

static const struct denet_option options[] = {
    {"BaseInterval", DENET_OPTION_SECONDS, offsetof(struct denet_config, base_interval_ns), 0.01,
     3600, NULL},
    {"MaxInterval", DENET_OPTION_SECONDS, offsetof(struct denet_config, max_interval_ns), 0.01,
     3600, NULL},
    {"Source", DENET_OPTION_STRING, offsetof(struct denet_config, source), 0, 0, NULL},
    {"ProcPath", DENET_OPTION_STRING, offsetof(struct denet_config, proc_path), 0, 0, NULL},
    {"PluginName", DENET_OPTION_STRING, offsetof(struct denet_config, plugin_name), 0, 0, NULL},
    {"SinceProcessStart", DENET_OPTION_BOOLEAN, offsetof(struct denet_config, since_process_start),
     0, 0, NULL},
    {"OffCPU", DENET_OPTION_WORD, offsetof(struct denet_config, off_cpu), 0, 0,
     denet_off_cpu_modes},
    {"StackPeriod", DENET_OPTION_SECONDS, offsetof(struct denet_config, profiler.period_ns), 0.0001,
     3600, NULL},
    {"StackRate", DENET_OPTION_COUNT, offsetof(struct denet_config, profiler.rate), 2, 10000, NULL},
    {"StackBytes", DENET_OPTION_COUNT, offsetof(struct denet_config, profiler.stack_bytes), 256,
     DENET_OFF_CPU_STACK_MOST, NULL},
    {"StackBuffer", DENET_OPTION_MEBIBYTES, offsetof(struct denet_config, profiler.ring_bytes), 0.1,
     1024, NULL},
    {"SymbolMemory", DENET_OPTION_MEBIBYTES, offsetof(struct denet_config, profiler.symbol_bytes),
     1, 65536, NULL},
    {"MaxThreadedProcesses", DENET_OPTION_COUNT,
     offsetof(struct denet_config, profiler.exited_most), 1, 4194304, NULL},
};

/* Logs a sentence about what somebody wrote, whatever bytes that has. */
__attribute__((format(printf, 2, 3))) static void complain(int level, const char *format, ...) {
  struct denet_error sentence;
  va_list arguments;
  va_start(arguments, format);
  denet_error_write(&sentence, format, arguments);
  va_end(arguments);
  plugin_log(level, LOG_NAME "%s", sentence.text);
}

int denet_config_init(struct denet_config *config) {
  *config = (struct denet_config){.base_interval_ns = DEFAULT_BASE_NS,
                                  .max_interval_ns = DEFAULT_MAX_NS,
                                  .off_cpu = DENET_OFF_CPU_TIMES,
                                  .profiler = {.period_ns = 1000000,
                                               .rate = 200,
                                               .stack_bytes = 8192,
                                               .ring_bytes = DENET_OFF_CPU_RING_BYTES,
                                               .exited_most = DENET_OFF_CPU_EXITED_MOST,
                                               .symbol_bytes = UINT64_C(64) << 20},
                                  .source = strdup("auto"),
                                  .proc_path = strdup("/proc"),
                                  .plugin_name = strdup("denet")};
  return config->source && config->proc_path && config->plugin_name ? 0 : -ENOMEM;
}

void denet_config_done(struct denet_config *config) {
  for (size_t i = 0; i < config->rule_count; i++)
    denet_rule_done(&config->rules[i]);
  free(config->rules);
  free(config->source);
  free(config->proc_path);
  free(config->plugin_name);
  *config = (struct denet_config){0};
}

/* The kernel keeps 15 bytes of a name, so a longer one that is looked for is cut. */
static void warn_of_long_name(const char *block, const char *rule, const char *name) {
  if (*name == '!')
    name++;
  if (*name != '~' && strlen(name) >= DENET_COMM_BYTES)
    complain(LOG_WARNING,
             "%s \"%s\": the kernel keeps 15 bytes of a name, so that \"%s\" matches what "
             "is called \"%.15s\". CommandLine matches the whole command line.",
             block, rule, name, name);
}

/* Lines that list several words (Report "cpu" "memory") are as many settings. 0, or -1 when the
 * rule cannot be used. */
static int read_rule_option(struct denet_rule *rule, const char *block,
                            const oconfig_item_t *item) {
  struct denet_error error = {0};
  struct denet_setting setting;
  if (!denet_rule_knows(item->key)) {
    complain(LOG_WARNING, "%s \"%s\": unknown option %s is ignored.", block, rule->name, item->key);
    return 0;
  }
  int count = item->values_num ? item->values_num : 1;
  for (int i = 0; i < count; i++) {
    int outcome = 0;
    if (item->values_num > 1 && !item->children_num)
      denet_config_value_value(item, i, &setting);
    else
      outcome = denet_config_value_setting(item, &setting, &error);
    if (!outcome)
      outcome = denet_rule_set(rule, &setting, &error);
    if (outcome) {
      complain(LOG_ERR, "%s \"%s\": %s. The rule is skipped.", block, rule->name, error.text);
      return -1;
    }
    if (!strcasecmp(item->key, "Comm"))
      warn_of_long_name(block, rule->name, setting.string);
  }
  return 0;
}

static bool has_rule(const struct denet_config *config, const char *name) {
  for (size_t i = 0; i < config->rule_count; i++)
    if (!strcmp(config->rules[i].name, name))
      return true;
  return false;
}

/* Takes the rule over. */
static int append_rule(struct denet_config *config, struct denet_rule *rule) {
  struct denet_rule *grown =
      reallocarray(config->rules, config->rule_count + 1, sizeof(*config->rules));
  if (!grown)
    return -ENOMEM;
  config->rules = grown;
  config->rules[config->rule_count++] = *rule;
  *rule = (struct denet_rule){0};
  return 0;
}

/* Starts the rule that the block's name and arguments say. -EINVAL with a sentence. */
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
  if (is_match)
    return denet_rule_init_process_match(rule, name, item->values[1].value.string, error);
  if (!strcasecmp(item->key, "Process"))
    return denet_rule_init_process(rule, name, error);
  return denet_rule_init(rule, name, error);
}

static void read_rule(struct denet_config *config, const oconfig_item_t *item) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  struct denet_error error = {0};
  bool has_name = item->values_num && item->values[0].type == OCONFIG_TYPE_STRING;
  const char *name = has_name ? item->values[0].value.string : "";
  if (start_rule(&rule, item, &error)) {
    complain(LOG_ERR, "%s \"%s\": %s. The rule is skipped.", item->key, name, error.text);
    return;
  }
  for (int i = 0; i < item->children_num; i++)
    if (read_rule_option(&rule, item->key, &item->children[i]))
      return;
  if (denet_rule_finish(&rule, &error))
    complain(LOG_ERR, "%s \"%s\": %s. The rule is skipped.", item->key, name, error.text);
  else if (has_rule(config, name))
    complain(LOG_ERR, "%s \"%s\": there is a rule of this name already. The second one is skipped.",
             item->key, name);
  else if (append_rule(config, &rule))
    complain(LOG_ERR, "%s \"%s\": there is no memory. The rule is skipped.", item->key, name);
  else if (!strcasecmp(item->key, "Process"))
    warn_of_long_name(item->key, name, name);
}

static bool is_rule(const oconfig_item_t *item) {
  return !strcasecmp(item->key, "Rule") || !strcasecmp(item->key, "Process") ||
         !strcasecmp(item->key, "ProcessMatch");
}

static void read_option(struct denet_config *config, const oconfig_item_t *item) {
  struct denet_error error = {0};
  struct denet_setting setting;
  if (!denet_option_is_known(options, DENET_COUNT_OF(options), item->key)) {
    complain(LOG_WARNING, "unknown option %s is ignored.", item->key);
    return;
  }
  int outcome = denet_config_value_setting(item, &setting, &error);
  if (!outcome)
    outcome = denet_option_set(options, DENET_COUNT_OF(options), config, &setting, &error);
  if (outcome)
    complain(LOG_ERR, "%s. The option is ignored.", error.text);
}

/* Replaces a string by its default. */
static void reset_string(char **string, const char *value) {
  char *copy = strdup(value);
  if (!copy)
    return;
  free(*string);
  *string = copy;
}

static void check_intervals(struct denet_config *config) {
  if (config->base_interval_ns > config->max_interval_ns) {
    complain(LOG_ERR,
             "BaseInterval %g is above MaxInterval %g. Both are ignored: 0.1 and 1 are used.",
             (double)config->base_interval_ns / 1e9, (double)config->max_interval_ns / 1e9);
    config->base_interval_ns = DEFAULT_BASE_NS;
    config->max_interval_ns = DEFAULT_MAX_NS;
  }
}

/* What one option alone cannot tell. */
static int check_options(struct denet_config *config) {
  /* collectd takes an identifier apart at '/' and at the first '-'. */
  const char *name = config->plugin_name;
  size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.");
  if (name[length] || length > 60) {
    complain(LOG_ERR,
             "PluginName \"%s\": must be letters, digits, '_' and '.', at most 60; it goes "
             "wrong at character %zu. \"denet\" is used.",
             name, length > 60 ? 61 : length + 1);
    reset_string(&config->plugin_name, "denet");
  }
  const char *source = config->source;
  if (!strcasecmp(source, "auto") || !strcasecmp(source, "bpf") || !strcasecmp(source, "procfs"))
    return 0;
  complain(LOG_ERR, "Source \"%s\": must be auto, bpf or procfs.", source);
  return -1;
}

int denet_config_read(struct denet_config *config, const oconfig_item_t *block) {
  bool has_rules = false;
  for (int i = 0; i < block->children_num; i++) {
    const oconfig_item_t *item = &block->children[i];
    if (is_rule(item))
      read_rule(config, item);
    else
      read_option(config, item);
    has_rules |= is_rule(item);
  }
  if (has_rules && !config->rule_count) {
    complain(LOG_ERR, "there are rules, and not one of them can be used.");
    return -1;
  }
  return check_options(config);
}

static int add_default_rule(struct denet_config *config) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
  int error = denet_rule_init_default(&rule, NULL);
  if (!error)
    error = denet_rule_finish(&rule, NULL);
  return error ? error : append_rule(config, &rule);
}

int denet_config_finish(struct denet_config *config) {
  check_intervals(config);
  int error = config->rule_count ? 0 : add_default_rule(config);
  for (size_t i = 0; i < config->rule_count; i++)
    denet_rule_inherit_off_cpu(&config->rules[i], config->off_cpu);
  return error;
}

bool denet_config_wants_stacks(const struct denet_config *config) {
  for (size_t i = 0; i < config->rule_count; i++)
    if (config->rules[i].off_cpu == DENET_OFF_CPU_STACKS)
      return true;
  return false;
}

void denet_config_forgo_stacks(struct denet_config *config) {
  for (size_t i = 0; i < config->rule_count; i++)
    denet_rule_forgo_stacks(&config->rules[i]);
}
