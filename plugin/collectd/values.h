/* Groups as value lists in collectd's pipeline, all with one time stamp. */
#pragma once

#include "core/monitor/monitor.h"
#include "plugin/collectd/collectd_api.h"

/* Copies of reports, so that they can be dispatched without the sampler's lock. Zeroed is empty;
 * the memory is used again. */
struct denet_values_batch {
  struct denet_group_report *reports; /* owned; their group pointers point into groups */
  struct denet_group *groups;         /* owned copies, without what they own */
  size_t count, capacity;
  size_t lost; /* for want of memory */
};

void denet_values_batch_done(struct denet_values_batch *batch);
void denet_values_batch_clear(struct denet_values_batch *batch);

/* Adds a copy. The context is the batch: an each() of denet_monitor_report(). */
void denet_values_batch_add(void *context, const struct denet_group_report *report);

/* Dispatches the batch and then the monitor's own figures under plugin; records_lost: lines that
 * the writer has lost. */
void denet_values_dispatch(const char *plugin, const struct denet_values_batch *batch,
                           const struct denet_monitor_stats *stats, uint64_t records_lost,
                           unsigned source_id);
