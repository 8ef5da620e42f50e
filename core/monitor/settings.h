/* The settings of a monitor: a table of options, and the rules. Free of any face: collectd's
 * configuration, a command line or a caller in Python fill the same struct. */
#pragma once

#include "core/rules/rule.h"
#include "core/stacks/profiler.h"

struct denet_settings {
  uint64_t base_interval_ns, max_interval_ns;
  char *source; /* see denet_source_open(); owned, as are proc_path and the rules */
  char *proc_path;
  bool since_process_start; /* records count since the process's start, not since its match */
  unsigned off_cpu;         /* enum denet_off_cpu_mode, of rules without one */
  struct denet_profiler_settings profiler;
  struct denet_rule *rules;
  size_t rule_count;
};

/* Fills settings with the defaults, without rules. 0 or -ENOMEM; done() may follow in any case. */
int denet_settings_init(struct denet_settings *settings);
void denet_settings_done(struct denet_settings *settings); /* zeroed is fine */

/* Sets the option that setting names. Returns as denet_option_set() does. */
int denet_settings_set(struct denet_settings *settings, const struct denet_setting *setting,
                       struct denet_error *error);

/* Appends a finished rule and takes it over; a rule of the same name is refused. 0; -EEXIST or
 * -ENOMEM with a sentence, then the rule stays the caller's. */
int denet_settings_add_rule(struct denet_settings *settings, struct denet_rule *rule,
                            struct denet_error *error);

/* Checks what no table of options can: 0, or -EINVAL with a sentence if Source names no source. */
int denet_settings_check(const struct denet_settings *settings, struct denet_error *error);

/* Completes the settings once all options and rules are in: adds the default rule if there is none,
 * and gives rules without an off-CPU mode the common one. 0 or -errno with a sentence. If
 * BaseInterval is above MaxInterval, both become their defaults: 0 with a sentence. */
int denet_settings_finish(struct denet_settings *settings, struct denet_error *error);
