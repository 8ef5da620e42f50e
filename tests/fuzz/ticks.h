/* Ticks of a monitor with rules of each kind, and claims about its lines and values that hold for
 * any data of a source. */
#pragma once

#include "core/monitor/monitor.h"

/* Time since boot, which only the target changes. */
extern uint64_t ticks_now_ns;

/* Its clock is ticks_now_ns; users with odd numbers have no name. A target may set proc_path. */
extern struct denet_env ticks_env;

/* Starts a monitor, which owns source and profiler (NULL: none). One monitor at a time. */
struct denet_monitor *ticks_start(struct denet_source *source, struct denet_profiler *profiler,
                                  bool since_process_start);

/* Whether counts of the source may be as large as uint64_t allows, so that sums wrap around. */
extern bool ticks_may_wrap;

/* Runs a tick; after DENET_TICK_ALL a report, too. */
void ticks_tick(struct denet_monitor *monitor, enum denet_tick_scope scope);
