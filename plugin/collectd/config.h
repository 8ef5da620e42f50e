/* collectd.conf's <Plugin denet>. */
#pragma once

#include "core/rules/rule.h"
#include "core/stacks/profiler.h"
#include "plugin/collectd/collectd_api.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_config {
  uint64_t base_interval_ns, max_interval_ns;
  char *source; /* owned, as are the other strings and the rules */
  char *proc_path;
  char *plugin_name;
  bool since_process_start;
  unsigned off_cpu; /* enum denet_off_cpu_mode, of rules that do not say */
  struct denet_profiler_settings profiler;
  struct denet_rule *rules;
  size_t rule_count;
};

/* The defaults of design.md, no rules. 0 or -ENOMEM. */
int denet_config_init(struct denet_config *config);
void denet_config_done(struct denet_config *config);

/* Takes one <Plugin denet> block; there may be several. What is wrong is logged with the rule's and
 * option's name and left out. 0; -1 when it has rules and not one can be used, or Source is none.
 */
int denet_config_read(struct denet_config *config, const oconfig_item_t *block);

/* Whether some rule asks for stacks; and has it do with times instead. */
bool denet_config_wants_stacks(const struct denet_config *config);
void denet_config_forgo_stacks(struct denet_config *config);

/* Once all blocks are read: checks what they say together; without any rule, makes the default one.
 * 0 or -ENOMEM. */
int denet_config_finish(struct denet_config *config);
