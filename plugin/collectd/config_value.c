#include "plugin/collectd/config_value.h"

struct denet_setting denet_config_value(const oconfig_item_t *item, int index) {
  struct denet_setting setting = {.key = item->key, .type = DENET_SETTING_BLOCK};
  if (item->children_num)
    return setting;
  setting.type = DENET_SETTING_VALUES;
  setting.number = item->values_num;
  if (index < 0 && item->values_num != 1)
    return setting;
  const oconfig_value_t *value = &item->values[index < 0 ? 0 : index];
  setting.type = value->type == OCONFIG_TYPE_NUMBER    ? DENET_SETTING_NUMBER
                 : value->type == OCONFIG_TYPE_BOOLEAN ? DENET_SETTING_BOOLEAN
                                                       : DENET_SETTING_STRING;
  if (setting.type == DENET_SETTING_NUMBER)
    setting.number = value->value.number;
  else if (setting.type == DENET_SETTING_BOOLEAN)
    setting.boolean = value->value.boolean;
  else
    setting.string = value->value.string;
  return setting;
}
