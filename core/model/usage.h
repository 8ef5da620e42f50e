/* What a process costs: its values as a source measured them last, and what of them counts for its
 * groups and files. */
#pragma once

#include "core/model/values.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_thread_sums; /* thread_sums.h */

/* Where the counters of a process begin when it comes to count. Counters of a whole namespace,
 * which members do not add up, always begin as FIRST_SEEN. */
enum denet_baseline {
  DENET_BASELINE_FIRST_SEEN,       /* at 0: what it did before is not counted */
  DENET_BASELINE_BIRTH,            /* with all that it has done */
  DENET_BASELINE_BIRTH_IN_RECORDS, /* with all that it has done in the files, at 0 in the groups */
};

struct denet_usage {
  /* The source writes these. */
  struct denet_values now; /* as the kernel counts: counters since the birth of the process */
  uint64_t measured_ns;    /* when now was read, boot clock */
  uint64_t cpu_ns;         /* CPU time of all threads, exited ones included */
  uint64_t age_ns;         /* sum of the ages of all threads, likewise, at measured_ns */
  uint64_t net_namespace;  /* the number of its network namespace; 0: not known */
  bool io_by_thread;       /* I/O is summed over threads: the process's has that of children too */
  struct denet_thread_sums *threads; /* owned; NULL: none are summed here */
  struct denet_metric_set wanted;    /* metrics that were asked for since it counts */

  /* denet_usage_advance() writes these. */
  struct denet_metric_set counting; /* counters that go on from last */
  struct denet_metric_set counted;  /* counters that have a total */
  uint64_t last[DENET_METRICS];     /* counters: now as of the last advance */
  uint64_t zero[DENET_METRICS];     /* counters: the total is last - zero, mod 2^64 */
  uint64_t advanced_ns;             /* when, boot clock; 0: never */

  /* CPU time per time at its last sample, in cores. */
  double cpu_cores;
  uint64_t cores_ns;     /* when that sample was taken; 0: none was */
  uint64_t cores_cpu_ns; /* the total of CPU time then */
};

/* Frees the usage and what it owns. NULL is fine. */
void denet_usage_free(struct denet_usage *usage);

/* Takes now into the totals and stores in out_delta what the counters gained since the last
 * advance. A counter that begins does so as baseline says. One that ran backwards starts a new
 * series: its total stays, and it has no delta this time. */
void denet_usage_advance(struct denet_usage *usage, enum denet_baseline baseline,
                         struct denet_values *out_delta);

/* Stores the totals: counters since the process counts, which never fall; gauges as they are. */
void denet_usage_totals(const struct denet_usage *usage, struct denet_values *out_totals);

/* Returns the total of one counter, 0 if it has none. */
static inline uint64_t denet_usage_total(const struct denet_usage *usage,
                                         enum denet_metric metric) {
  return usage->last[metric] - usage->zero[metric];
}

/* Brings cpu_cores up to date if at least window_ns (not 0) have passed since it was. */
void denet_usage_rate(struct denet_usage *usage, uint64_t window_ns);

/* Notes the number of the network namespace, 0: not known. Counts of another one begin anew. */
void denet_usage_enter_net(struct denet_usage *usage, uint64_t namespace);

/* Stops counting: the process has left all trees, and counts again when it is a member again. */
void denet_usage_pause(struct denet_usage *usage);

/* Sets DENET_OFF_CPU, which never falls, to the time that the threads were blocked: what is left of
 * age_ns without CPU time and run queue delay. Does nothing where run queue delay is absent. */
void denet_usage_derive_off_cpu(struct denet_usage *usage);
