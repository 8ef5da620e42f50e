/* Reads collectd.conf's <Plugin denet> into the settings of a monitor. */
#pragma once

#include "core/monitor/settings.h"
#include "plugin/collectd/collectd_api.h"

struct denet_config {
  struct denet_settings settings;
  char *plugin_name; /* that values are dispatched under; owned */
};

/* Fills config with the defaults. 0 or -ENOMEM; done() may follow in any case. */
int denet_config_init(struct denet_config *config);
void denet_config_done(struct denet_config *config);

/* Reads one <Plugin denet> block; there may be several. What is wrong is logged with the names of
 * rule and option, and left out. 0; -1, logged, if the block has rules and not one can be used, or
 * if Source names no source: then collectd must not start. */
int denet_config_read(struct denet_config *config, const oconfig_item_t *block);
