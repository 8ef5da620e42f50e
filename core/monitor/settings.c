#include "core/monitor/settings.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_BASE_NS UINT64_C(100000000)
#define DEFAULT_MAX_NS UINT64_C(1000000000)

#define FIELD(name) offsetof(struct denet_settings, name)

static const struct denet_option options[] = {
    {"BaseInterval", DENET_OPTION_SECONDS, FIELD(base_interval_ns), 0.01, 3600, NULL},
    {"MaxInterval", DENET_OPTION_SECONDS, FIELD(max_interval_ns), 0.01, 3600, NULL},
    {"Source", DENET_OPTION_STRING, FIELD(source), 0, 0, NULL},
    {"ProcPath", DENET_OPTION_STRING, FIELD(proc_path), 0, 0, NULL},
    {"SinceProcessStart", DENET_OPTION_BOOLEAN, FIELD(since_process_start), 0, 0, NULL},
    {"OffCPU", DENET_OPTION_WORD, FIELD(off_cpu), 0, 0, denet_off_cpu_modes},
    {"StackPeriod", DENET_OPTION_SECONDS, FIELD(profiler.period_ns), 0.0001, 3600, NULL},
    {"StackRate", DENET_OPTION_COUNT, FIELD(profiler.rate), 2, 10000, NULL},
    {"StackBytes", DENET_OPTION_COUNT, FIELD(profiler.stack_bytes), 256, DENET_OFF_CPU_STACK_MOST,
     NULL},
    {"StackBuffer", DENET_OPTION_MEBIBYTES, FIELD(profiler.ring_bytes), 0.1, 1024, NULL},
    {"SymbolMemory", DENET_OPTION_MEBIBYTES, FIELD(profiler.symbol_bytes), 1, 65536, NULL},
    {"MaxThreadedProcesses", DENET_OPTION_COUNT, FIELD(profiler.exited_most), 1, 4194304, NULL},
};

int denet_settings_init(struct denet_settings *settings) {
  *settings = (struct denet_settings){.base_interval_ns = DEFAULT_BASE_NS,
                                      .max_interval_ns = DEFAULT_MAX_NS,
                                      .source = strdup("auto"),
                                      .proc_path = strdup("/proc"),
                                      .off_cpu = DENET_OFF_CPU_TIMES,
                                      .profiler = {.period_ns = 1000000,
                                                   .rate = 200,
                                                   .stack_bytes = 8192,
                                                   .ring_bytes = DENET_OFF_CPU_RING_BYTES,
                                                   .exited_most = DENET_OFF_CPU_EXITED_MOST,
                                                   .symbol_bytes = UINT64_C(64) << 20}};
  return settings->source && settings->proc_path ? 0 : -ENOMEM;
}

void denet_settings_done(struct denet_settings *settings) {
  for (size_t i = 0; i < settings->rule_count; i++)
    denet_rule_done(&settings->rules[i]);
  free(settings->rules);
  free(settings->source);
  free(settings->proc_path);
  *settings = (struct denet_settings){0};
}

int denet_settings_set(struct denet_settings *settings, const struct denet_setting *setting,
                       struct denet_error *error) {
  return denet_option_set(options, DENET_COUNT_OF(options), settings, setting, error);
}

int denet_settings_add_rule(struct denet_settings *settings, struct denet_rule *rule,
                            struct denet_error *error) {
  for (size_t i = 0; i < settings->rule_count; i++)
    if (!strcmp(settings->rules[i].name, rule->name))
      return denet_error_set(error, -EEXIST, "there is a rule of this name already");
  struct denet_rule *grown =
      reallocarray(settings->rules, settings->rule_count + 1, sizeof(*settings->rules));
  if (!grown)
    return denet_error_set(error, -ENOMEM, "out of memory");
  settings->rules = grown;
  settings->rules[settings->rule_count++] = *rule;
  *rule = (struct denet_rule){0};
  return 0;
}

int denet_settings_check(const struct denet_settings *settings, struct denet_error *error) {
  const char *source = settings->source;
  if (!strcasecmp(source, "auto") || !strcasecmp(source, "bpf") || !strcasecmp(source, "procfs"))
    return 0;
  return denet_error_set(error, -EINVAL, "Source \"%s\": must be auto, bpf or procfs", source);
}

int denet_settings_finish(struct denet_settings *settings, struct denet_error *error) {
  if (!settings->rule_count) {
    DENET_CLEANUP(denet_rule_done) struct denet_rule rule = {0};
    int failure = denet_rule_init_default(&rule, error);
    if (!failure)
      failure = denet_rule_finish(&rule, error);
    if (!failure)
      failure = denet_settings_add_rule(settings, &rule, error);
    if (failure)
      return failure;
  }
  for (size_t i = 0; i < settings->rule_count; i++)
    denet_rule_inherit_off_cpu(&settings->rules[i], settings->off_cpu);
  if (settings->base_interval_ns > settings->max_interval_ns) {
    double base = (double)settings->base_interval_ns / 1e9;
    denet_error_set(error, 0,
                    "BaseInterval %g is above MaxInterval %g: both are ignored, and 0.1 and 1 are "
                    "used",
                    base, (double)settings->max_interval_ns / 1e9);
    settings->base_interval_ns = DEFAULT_BASE_NS;
    settings->max_interval_ns = DEFAULT_MAX_NS;
  }
  return 0;
}
