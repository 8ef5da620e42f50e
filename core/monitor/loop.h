/* The thread that runs the ticks: collectd's read callback cannot change its own interval. */
#pragma once

#include "core/monitor/monitor.h"

struct denet_sampler; /* owned by whoever started it */

/* Starts the thread, which owns monitor from here on. Log lines are its own. 0 or -errno, then the
 * monitor is still the caller's. */
int denet_sampler_start(struct denet_monitor *monitor, struct denet_sampler **out_sampler);

/* Has the thread sample everything now and give the groups' values to each(), which only copies. 0;
 * -ETIMEDOUT, logged once, when a look at the host has been held up for 5 s. Not for two callers at
 * once. */
int denet_sampler_report(struct denet_sampler *sampler,
                         void (*each)(void *context, const struct denet_group_report *report),
                         void *context, struct denet_monitor_stats *out_stats);

/* Which number of source is in use, see struct denet_source. */
unsigned denet_sampler_source_gauge(const struct denet_sampler *sampler);

/* Takes the last sample of everything, ends the thread and frees the monitor. NULL is fine. False,
 * logged, when a look at the host has been held up for 10 s: the thread keeps all that it uses, and
 * may go on with it, but logs nothing more. */
bool denet_sampler_stop(struct denet_sampler *sampler);
