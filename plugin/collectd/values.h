/* Sends groups as value lists to collectd's pipeline, all with one time stamp. */
#pragma once

#include "core/monitor/monitor.h"
#include "plugin/collectd/collectd_api.h"

/* A report with a copy of its group. */
struct denet_values_row {
  struct denet_group_report report; /* its group pointer is not valid */
  struct denet_group group;         /* what it owns is not valid */
};

/* Copies of reports, so that they can be dispatched without the loop's lock. A zeroed batch is
 * empty. To use its memory again, clear count and lost. */
struct denet_values_batch {
  struct denet_values_row *rows; /* owned */
  size_t count, capacity;
  size_t lost; /* reports for which there was no memory */
};

/* Adds a copy of the report; context is the batch. For denet_loop_report(). */
void denet_values_batch_add(void *context, const struct denet_group_report *report);

/* Dispatches the batch, then the monitor's own values as plugin instance _self. plugin is
 * collectd's plugin name; records_lost counts the lines that the writer lost. */
void denet_values_dispatch(const char *plugin, const struct denet_values_batch *batch,
                           const struct denet_monitor_stats *stats, uint64_t records_lost);
