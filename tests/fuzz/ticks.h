/* Ticks of a monitor with rules of every kind, and what holds of its lines and values whatever the
 * source tells. */
#pragma once

#include "core/monitor/monitor.h"

/* Takes over source and profiler (NULL: none); one monitor at a time. */
struct denet_monitor *ticks_start(const struct denet_env *env, struct denet_source *source,
                                  struct denet_profiler *profiler, bool since_process_start);

/* Whether the source tells of any counts, up to the largest there is: then sums may wrap around. */
extern bool ticks_may_wrap;

/* A DENET_TICK_ALL is followed by a report. */
void ticks_tick(struct denet_monitor *monitor, enum denet_tick_scope scope);
