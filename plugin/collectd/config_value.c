#include "plugin/collectd/config_value.h"

void denet_config_value_value(const oconfig_item_t *item, int index,
                              struct denet_setting *out_setting) {
  const oconfig_value_t *value = &item->values[index];
  struct denet_setting setting = {.key = item->key};
  switch (value->type) {
  case OCONFIG_TYPE_NUMBER:
    setting.type = DENET_SETTING_NUMBER;
    setting.number = value->value.number;
    break;
  case OCONFIG_TYPE_BOOLEAN:
    setting.type = DENET_SETTING_BOOLEAN;
    setting.boolean = value->value.boolean;
    break;
  default:
    setting.type = DENET_SETTING_STRING;
    setting.string = value->value.string;
    break;
  }
  *out_setting = setting;
}

int denet_config_value_setting(const oconfig_item_t *item, struct denet_setting *out_setting,
                               struct denet_error *error) {
  if (item->children_num)
    return denet_error_set(error, -EINVAL, "%s: one value is needed, not a block", item->key);
  if (item->values_num != 1)
    return denet_error_set(error, -EINVAL, "%s: one value is needed, not %d", item->key,
                           item->values_num);
  denet_config_value_value(item, 0, out_setting);
  return 0;
}
