/* Configuration as collectd parsed it, turned into core's settings. */
#pragma once

#include "core/rules/option.h"
#include "plugin/collectd/collectd_api.h"

/* Returns value number index of an option, which is in range, or its only value if index is -1. The
 * texts are borrowed from item. The setting of a block, or of an option without one value if index
 * is -1, is one that every option refuses. */
struct denet_setting denet_config_value(const oconfig_item_t *item, int index);
