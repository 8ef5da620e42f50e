/* Configuration as collectd parsed it, turned into core's settings. */
#pragma once

#include "core/rules/option.h"
#include "plugin/collectd/collectd_api.h"

#include <stddef.h>

/* The line's only value as a setting, borrowed from item. 0, or -EINVAL with a sentence when it has
 * none, more than one, or is a block. */
int denet_config_value_setting(const oconfig_item_t *item, struct denet_setting *out_setting,
                               struct denet_error *error);

/* Value number index of a line as a setting (a line may list several). index is in range. */
void denet_config_value_value(const oconfig_item_t *item, int index,
                              struct denet_setting *out_setting);
