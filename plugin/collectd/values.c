#include "plugin/collectd/values.h"

#include "core/util/array.h"
#include "plugin/collectd/types.h"

void denet_values_batch_add(void *context, const struct denet_group_report *report) {
  struct denet_values_batch *batch = context;
  if (denet_array_reserve(&batch->rows, &batch->capacity, batch->count + 1, sizeof(*batch->rows)))
    batch->lost++;
  else
    batch->rows[batch->count++] = (struct denet_values_row){*report, *report->group};
}

static void dispatch(value_list_t *list, const char *type, const char *type_instance,
                     value_t *values, size_t count) {
  snprintf(list->type, sizeof(list->type), "%s", type);
  snprintf(list->type_instance, sizeof(list->type_instance), "%s", type_instance);
  list->values = values;
  list->values_len = count;
  plugin_dispatch_values(list);
}

static value_t make_value(enum denet_kind kind, double value, uint64_t count) {
  value_t made = {.gauge = value};
  if (kind == DENET_COUNTER)
    made.derive = (derive_t)count;
  return made;
}

/* Dispatches the value lists of the metrics. A list with an absent value is left out. */
static void dispatch_metrics(value_list_t *list, const struct denet_group *group) {
  for (size_t i = 0; i < DENET_COUNT_OF(denet_lists); i++) {
    value_t values[DENET_LIST_SOURCES];
    bool is_whole = denet_metric_info[denet_lists[i].metrics[0]].report & group->report;
    for (unsigned k = 0; k < denet_lists[i].count && is_whole; k++) {
      enum denet_metric m = denet_lists[i].metrics[k];
      uint64_t value = group->values.value[m] / denet_lists[i].divisor;
      is_whole = denet_values_has(&group->values, m);
      values[k] = make_value(denet_metric_info[m].kind, (double)value, value);
    }
    if (is_whole)
      dispatch(list, denet_lists[i].type, denet_lists[i].type_instance, values,
               denet_lists[i].count);
  }
}

static void dispatch_derived(value_list_t *list, const struct denet_group_report *report,
                             unsigned wanted) {
  for (size_t i = 0; i < DENET_COUNT_OF(denet_derived_lists); i++) {
    enum denet_derived d = denet_derived_lists[i].derived;
    const struct denet_derived_info *info = &denet_derived_info[d];
    if (!(report->derived_present >> d & 1) || !(info->report & wanted))
      continue;
    value_t value = make_value(info->kind, report->derived[d], (uint64_t)report->derived[d]);
    dispatch(list, denet_derived_lists[i].type, denet_derived_lists[i].type_instance, &value, 1);
  }
}

static void dispatch_self(value_list_t *list, const struct denet_monitor_stats *stats,
                          uint64_t records_lost) {
  const struct {
    const char *type, *type_instance;
    value_t value;
  } rows[] = {
      {"duration", "tick", {.gauge = (gauge_t)stats->tick_ns / 1e9}},
      {"derive", "records", {.derive = (derive_t)stats->records}},
      {"derive", "records_dropped", {.derive = (derive_t)stats->records_dropped}},
      {"derive", "records_lost", {.derive = (derive_t)records_lost}},
      {"count", "processes", {.gauge = (gauge_t)stats->processes}},
      {"count", "matched", {.gauge = (gauge_t)stats->matched}},
      {"gauge", "source", {.gauge = stats->source_id}},
      {"derive", "bpf_lost", {.derive = (derive_t)stats->lost}},
  };
  /* The procfs source cannot count what it misses. */
  size_t count = DENET_COUNT_OF(rows) - (stats->source_id != DENET_SOURCE_ID_BPF);
  snprintf(list->plugin_instance, sizeof(list->plugin_instance), "_self");
  for (size_t i = 0; i < count; i++) {
    value_t value = rows[i].value;
    dispatch(list, rows[i].type, rows[i].type_instance, &value, 1);
  }
}

void denet_values_dispatch(const char *plugin, const struct denet_values_batch *batch,
                           const struct denet_monitor_stats *stats, uint64_t records_lost) {
  value_list_t list = VALUE_LIST_INIT;
  list.time = cdtime();
  list.interval = plugin_get_interval();
  snprintf(list.plugin, sizeof(list.plugin), "%s", plugin);
  for (size_t i = 0; i < batch->count; i++) {
    const struct denet_group *group = &batch->rows[i].group;
    snprintf(list.plugin_instance, sizeof(list.plugin_instance), "%s", group->name);
    dispatch_metrics(&list, group);
    dispatch_derived(&list, &batch->rows[i].report, group->report);
  }
  dispatch_self(&list, stats, records_lost);
}
