/* The monitor: runs one tick after the other over a source, and keeps the groups and trees that
 * they add up to. Not thread-safe: one caller at a time. */
#pragma once

#include "core/groups/group.h"
#include "core/monitor/interval.h"
#include "core/record/emitter.h"
#include "core/rules/rule.h"
#include "core/source/source.h"
#include "core/stacks/profiler.h"
#include "core/util/env.h"
#include "core/util/error.h"
#include "core/util/log.h"

struct denet_monitor; /* owned by its maker */

struct denet_monitor_settings {
  struct denet_interval interval;
  bool since_process_start; /* records count since the process's start, not since its match */
  const char *host_name;    /* for metadata lines; borrowed, as is */
  const char *no_stacks;    /* why stacks that a rule asks for are not available; "": they are */
  struct denet_profiler *profiler; /* taken over; NULL: no rule has stacks */
  denet_sink sink;                 /* NULL: no lines */
  void *sink_context;
  struct denet_log log; /* copied */
};

/* The monitor's own figures, which _self reports. */
struct denet_monitor_stats {
  unsigned source_id;                /* of the source in use (struct denet_source) */
  uint64_t tick_ns;                  /* the longest tick since the last report */
  uint64_t records, records_dropped; /* lines that the sink has taken, or refused */
  uint64_t processes, matched;       /* on the host; in some tree */
  uint64_t lost; /* starts and ends of processes that the source has not seen, that could not be
                    matched or were matched late because a text stalled; losses of the profiler */
};

/* Makes a monitor, which takes over source, profiler and the rules (their content; the array stays
 * the caller's). env is borrowed. 0 or -ENOMEM with a sentence, then nothing is taken over. */
int denet_monitor_new(const struct denet_monitor_settings *settings, const struct denet_env *env,
                      struct denet_source *source, struct denet_rule *rules, size_t rule_count,
                      struct denet_error *error, struct denet_monitor **out_monitor);
void denet_monitor_free(struct denet_monitor *monitor); /* NULL is fine */

enum denet_tick_scope {
  DENET_TICK_DUE,   /* samples what is due */
  DENET_TICK_ALL,   /* samples everything, for a report; lines only where due */
  DENET_TICK_FINAL, /* samples everything and writes a line of each tree: the monitor stops */
};

/* Runs one tick. 0 or -errno with a sentence: then the next tick does what this one could not. */
int denet_monitor_tick(struct denet_monitor *monitor, enum denet_tick_scope scope,
                       struct denet_error *error);

/* Returns when the next tick is due, boot clock. */
uint64_t denet_monitor_next_ns(const struct denet_monitor *monitor);

/* Reads the events of the source, when its event_fd is readable. After the exec of a program that a
 * rule with records matches, the next tick is due one base interval after the last. */
void denet_monitor_drain_events(struct denet_monitor *monitor);

/* Gives each group's values to each(), after a DENET_TICK_ALL. Rates are since the last report. */
void denet_monitor_report(struct denet_monitor *monitor,
                          void (*each)(void *context, const struct denet_group_report *report),
                          void *context, struct denet_monitor_stats *out_stats);

/* Returns the source in use, borrowed. */
const struct denet_source *denet_monitor_source(const struct denet_monitor *monitor);
