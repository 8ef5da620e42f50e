/* Configuration as collectd parsed it, turned into core's settings. */
#pragma once

#include "core/rules/option.h"
#include "plugin/collectd/collectd_api.h"

/* Fills out_setting with value number index of an option, which is in range. The texts are borrowed
 * from item. */
void denet_config_value_value(const oconfig_item_t *item, int index,
                              struct denet_setting *out_setting);

/* Fills out_setting with the only value of an option, likewise. 0; -EINVAL with a sentence if the
 * option has no value, several, or is a block. */
int denet_config_value_setting(const oconfig_item_t *item, struct denet_setting *out_setting,
                               struct denet_error *error);
