/* The adaptive interval: BaseInterval in the first second of a process's life, growing linearly to
 * MaxInterval at ten seconds, then MaxInterval. While it grows it is a whole number of
 * BaseIntervals, so that all young processes are sampled in the same ticks. */
#pragma once

#include <stdint.h>

struct denet_interval {
  uint64_t base_ns, max_ns; /* 0 < base <= max */
};

/* Returns the time between a sample of a process of this age and the next one. */
uint64_t denet_interval_for_age(const struct denet_interval *interval, uint64_t age_ns);

/* Returns the moment nearest to ns that is a whole number of base intervals after origin_ns. */
uint64_t denet_interval_align(const struct denet_interval *interval, uint64_t origin_ns,
                              uint64_t ns);

/* Returns how long to pause after work that took took_ns: as long, so that denet never uses more
 * than half a CPU, but at most 10 s. Longer work has stalled, or its host was suspended. */
uint64_t denet_interval_backoff(uint64_t took_ns);
