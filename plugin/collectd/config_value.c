#include "plugin/collectd/config_value.h"

struct denet_setting denet_config_value(const oconfig_item_t *item, int index) {
  if (item->children_num)
    return (struct denet_setting){.key = item->key, .type = DENET_SETTING_BLOCK};
  if (index < 0 && item->values_num != 1)
    return (struct denet_setting){item->key, DENET_SETTING_VALUES, .number = item->values_num};
  const oconfig_value_t *value = &item->values[index < 0 ? 0 : index];
  if (value->type == OCONFIG_TYPE_NUMBER)
    return (struct denet_setting){item->key, DENET_SETTING_NUMBER, .number = value->value.number};
  if (value->type == OCONFIG_TYPE_BOOLEAN)
    return (struct denet_setting){item->key, DENET_SETTING_BOOLEAN,
                                  .boolean = value->value.boolean};
  return (struct denet_setting){item->key, DENET_SETTING_STRING, .string = value->value.string};
}
