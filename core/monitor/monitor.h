/* The monitor: runs one tick after the other over a source, and keeps what they add up to. Not
 * thread-safe: one caller at a time. */
#pragma once

#include "core/groups/group.h"
#include "core/monitor/interval.h"
#include "core/record/emitter.h"
#include "core/rules/rule.h"
#include "core/source/source.h"
#include "core/stacks/profiler.h"
#include "core/util/env.h"
#include "core/util/error.h"

struct denet_monitor; /* owned by whoever made it */

struct denet_monitor_settings {
  struct denet_interval interval;
  bool since_process_start; /* lines count since the process's start, not since it was first seen */
  const char *host_name;    /* for the metadata lines; borrowed, as is */
  const char *no_stacks;    /* why a rule that asked for stacks has none */
  struct denet_profiler *profiler; /* taken over with source; NULL: no rule has stacks */
  denet_sink sink;                 /* NULL: no lines */
  void *sink_context;
};

/* The monitor's own figures. */
struct denet_monitor_stats {
  uint64_t tick_ns; /* longest tick since the last report */
  uint64_t records, records_dropped;
  uint64_t processes, matched; /* on the host; in some tree */
  uint64_t lost; /* beginnings and ends of processes that could not be told or not be matched, and
                    what could not be told of followed threads */
};

/* Takes over source and the rules (their content is moved out of the array, which stays the
 * caller's); host is borrowed. 0 or -ENOMEM, then nothing has been taken. */
int denet_monitor_new(const struct denet_monitor_settings *settings, const struct denet_env *env,
                      struct denet_source *source, struct denet_rule *rules, size_t rule_count,
                      struct denet_error *error, struct denet_monitor **out_monitor);
void denet_monitor_free(struct denet_monitor *monitor); /* NULL is fine */

enum denet_tick_scope {
  DENET_TICK_DUE,   /* sample what is due */
  DENET_TICK_ALL,   /* sample everything, for a report; lines only where due */
  DENET_TICK_FINAL, /* sample everything and write a line of each tree: the monitor stops */
};

/* One tick. 0 or -errno with a sentence; what could be done was done, and the next tick mends the
 * rest. */
int denet_monitor_tick(struct denet_monitor *monitor, enum denet_tick_scope scope,
                       struct denet_error *error);

/* When the next tick is due, boot clock. */
uint64_t denet_monitor_next_ns(const struct denet_monitor *monitor);

/* A descriptor that is readable when denet_monitor_drain_events() should be called; -1: never. */
int denet_monitor_event_fd(const struct denet_monitor *monitor);

/* Hears what has happened since the last tick. If something should not wait, such as a process that
 * is wanted and has begun, the next one comes the base interval after the last. */
void denet_monitor_drain_events(struct denet_monitor *monitor);

/* Gives each group's values to each(); the rates are over the time since the last report. Call it
 * after a DENET_TICK_ALL. */
void denet_monitor_report(struct denet_monitor *monitor,
                          void (*each)(void *context, const struct denet_group_report *report),
                          void *context, struct denet_monitor_stats *out_stats);

/* The source in use, for its name and lacks. Borrowed. */
const struct denet_source *denet_monitor_source(const struct denet_monitor *monitor);

/* Whether lines find a writer. */
bool denet_monitor_has_writer(const struct denet_monitor *monitor);
