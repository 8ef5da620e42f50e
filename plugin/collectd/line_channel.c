#include "plugin/collectd/line_channel.h"

int denet_line_channel_send(const struct denet_line *line, uint64_t *out_lost_count) {
  /* Not const only because data_set_t is declared so. */
  static data_source_t source = {.name = "message", .type = DS_TYPE_ABSOLUTE};
  static const data_set_t set = {.type = DENET_LINE_TYPE, .ds_num = 1, .ds = &source};
  struct denet_line_message message = {.line = line, .lost_count = *out_lost_count};
  value_t value = {.absolute = (uintptr_t)&message};
  value_list_t list = {.values = &value, .values_len = 1, .plugin = "denet"};
  int error = plugin_write(DENET_WRITER, &set, &list);
  *out_lost_count = message.lost_count;
  return error;
}

struct denet_line_message *denet_line_channel_receive(const data_set_t *set,
                                                      const value_list_t *list) {
  if (strcmp(set->type, DENET_LINE_TYPE) != 0 || list->values_len != 1)
    return NULL;
  /* NOLINTNEXTLINE(performance-no-int-to-ptr): the list carries an address. */
  return (struct denet_line_message *)(uintptr_t)list->values[0].absolute;
}
