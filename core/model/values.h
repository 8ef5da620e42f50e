/* One value of each metric, in core's units: ns, bytes, plain counts. */
#pragma once

#include "core/model/metric.h"

/* An absent value is a cleared bit of present, never 0. */
struct denet_values {
  struct denet_metric_set present;
  uint64_t value[DENET_METRICS];
};

static inline bool denet_values_has(const struct denet_values *values, enum denet_metric metric) {
  return denet_metric_set_has(&values->present, metric);
}

static inline void denet_values_set(struct denet_values *values, enum denet_metric metric,
                                    uint64_t value) {
  denet_metric_set_add(&values->present, metric);
  values->value[metric] = value;
}

/* Sets the value unless a higher one is there: for counters, which never fall. */
static inline void denet_values_raise(struct denet_values *values, enum denet_metric metric,
                                      uint64_t value) {
  if (!denet_values_has(values, metric) || values->value[metric] < value)
    denet_values_set(values, metric, value);
}

/* Returns the value, 0 if it is absent. */
static inline uint64_t denet_values_get(const struct denet_values *values,
                                        enum denet_metric metric) {
  return denet_values_has(values, metric) ? values->value[metric] : 0;
}

/* Combines one more value as metrics.def says: by sum or by maximum. */
void denet_values_merge(struct denet_values *values, enum denet_metric metric, uint64_t value);

/* Combines all values of other into values. A value that only one of them has stays as it is. */
void denet_values_combine(struct denet_values *values, const struct denet_values *other);

/* Returns the CPU time, user and system, ns; 0 when both are absent. */
uint64_t denet_values_cpu_ns(const struct denet_values *values);

/* Splits cpu_ns into user and system time in the ratio of the two tick counts. Neither falls below
 * what values has already: the kernel's own way (cputime_adjust, kernel/sched/cputime.c). */
void denet_values_split_cpu(struct denet_values *values, uint64_t cpu_ns, uint64_t user_ticks,
                            uint64_t system_ticks);
