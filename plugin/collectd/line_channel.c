#include "plugin/collectd/line_channel.h"

#include "core/util/cleanup.h"

#define PLUGIN_NAME "denet"
#define JSON_KEY "json"
#define LOST_KEY "lost"

enum { VALUE_KIND, VALUE_PID, VALUE_T0_MS, VALUE_COUNT };

/* Not const only because data_set_t wants it so. */
static data_source_t sources[VALUE_COUNT] = {
    [VALUE_KIND] = {.name = "kind", .type = DS_TYPE_DERIVE, .min = NAN, .max = NAN},
    [VALUE_PID] = {.name = "pid", .type = DS_TYPE_DERIVE, .min = NAN, .max = NAN},
    [VALUE_T0_MS] = {.name = "t0_ms", .type = DS_TYPE_DERIVE, .min = NAN, .max = NAN},
};

static const data_set_t line_set = {.type = DENET_LINE_TYPE, .ds_num = VALUE_COUNT, .ds = sources};

static void destroy_metadata(meta_data_t **metadata) { meta_data_destroy(*metadata); }

/* The value list's meta data, owned by the caller; NULL without memory. */
static meta_data_t *make_metadata(struct denet_text json) {
  /* collectd copies a string, and ours need not end with a NUL. */
  DENET_FREE char *text = strndup(json.bytes, json.length);
  DENET_CLEANUP(destroy_metadata) meta_data_t *metadata = meta_data_create();
  if (!text || !metadata || meta_data_add_string(metadata, JSON_KEY, text))
    return NULL;
  return DENET_TAKE(metadata);
}

int denet_line_channel_send(const struct denet_line *line, uint64_t *out_lost_count) {
  value_t values[VALUE_COUNT] = {
      [VALUE_KIND] = {.derive = line->kind},
      [VALUE_PID] = {.derive = line->pid},
      [VALUE_T0_MS] = {.derive = (derive_t)line->t0_ms},
  };
  value_list_t list = {
      .values = values,
      .values_len = VALUE_COUNT,
      .time = cdtime(),
      .interval = TIME_T_TO_CDTIME_T_STATIC(1), /* means nothing here, but 0 is not allowed */
      .plugin = PLUGIN_NAME,
      .type = DENET_LINE_TYPE,
  };
  if (strlen(line->instance) >= sizeof(list.plugin_instance))
    return ENAMETOOLONG;
  sstrncpy(list.plugin_instance, line->instance, sizeof(list.plugin_instance));
  sstrncpy(list.host, hostname_g, sizeof(list.host));
  DENET_CLEANUP(destroy_metadata) meta_data_t *metadata = make_metadata(line->json);
  if (!metadata)
    return ENOMEM;
  list.meta = metadata;
  int error = plugin_write(DENET_WRITER, &line_set, &list);
  uint64_t lost_count;
  if (!meta_data_get_unsigned_int(metadata, LOST_KEY, &lost_count))
    *out_lost_count = lost_count;
  return error;
}

static bool is_line(const data_set_t *set, const value_list_t *list) {
  return !strcmp(set->type, DENET_LINE_TYPE) && !strcmp(list->plugin, PLUGIN_NAME) &&
         set->ds_num == VALUE_COUNT && list->values_len == VALUE_COUNT && list->meta &&
         list->values[VALUE_KIND].derive >= DENET_LINE_METADATA &&
         list->values[VALUE_KIND].derive <= DENET_LINE_END;
}

bool denet_line_channel_receive(const data_set_t *set, const value_list_t *list,
                                struct denet_received *out_received) {
  char *json = NULL;
  if (!is_line(set, list) || meta_data_get_string(list->meta, JSON_KEY, &json))
    return false;
  *out_received = (struct denet_received){
      .json = json,
      .line = {.kind = (enum denet_line_kind)list->values[VALUE_KIND].derive,
               .instance = list->plugin_instance,
               .pid = (pid_t)list->values[VALUE_PID].derive,
               .t0_ms = (uint64_t)list->values[VALUE_T0_MS].derive,
               .json = denet_text_of(json)},
  };
  return true;
}

void denet_received_done(struct denet_received *received) {
  free(received->json);
  *received = (struct denet_received){0};
}

void denet_line_channel_tell_lost(const value_list_t *list, uint64_t lost_count) {
  meta_data_add_unsigned_int(list->meta, LOST_KEY, lost_count);
}
