/* The adaptive interval: BaseInterval in the first second of a process's life, growing linearly to
 * MaxInterval at ten seconds, then MaxInterval. While it grows it is a whole number of
 * BaseIntervals, so that all young processes are sampled in the same ticks. */
#pragma once

#include <stdint.h>

#define DENET_INTERVAL_YOUNG_NS UINT64_C(1000000000)
#define DENET_INTERVAL_OLD_NS UINT64_C(10000000000)
#define DENET_BACKOFF_MOST_NS UINT64_C(10000000000)

struct denet_interval {
  uint64_t base_ns, max_ns; /* 0 < base <= max */
};

/* Returns the time between a sample of a process of this age and the next one. */
static inline uint64_t denet_interval_for_age(const struct denet_interval *interval,
                                              uint64_t age_ns) {
  if (age_ns <= DENET_INTERVAL_YOUNG_NS)
    return interval->base_ns;
  if (age_ns >= DENET_INTERVAL_OLD_NS)
    return interval->max_ns;
  double grown = (double)(age_ns - DENET_INTERVAL_YOUNG_NS) /
                 (double)(DENET_INTERVAL_OLD_NS - DENET_INTERVAL_YOUNG_NS);
  uint64_t exact_ns =
      interval->base_ns + (uint64_t)(grown * (double)(interval->max_ns - interval->base_ns));
  uint64_t whole_ns = (exact_ns + interval->base_ns / 2) / interval->base_ns * interval->base_ns;
  return whole_ns < interval->max_ns ? whole_ns : interval->max_ns;
}

/* Returns the moment nearest to ns that is a whole number of base intervals after origin_ns. */
static inline uint64_t denet_interval_align(const struct denet_interval *interval,
                                            uint64_t origin_ns, uint64_t ns) {
  if (ns <= origin_ns)
    return origin_ns;
  return origin_ns +
         (ns - origin_ns + interval->base_ns / 2) / interval->base_ns * interval->base_ns;
}

/* Returns how long to pause after work that took took_ns: as long, so that denet never uses more
 * than half a CPU, but at most 10 s. Longer work has stalled, or its host was suspended. */
static inline uint64_t denet_interval_backoff(uint64_t took_ns) {
  return took_ns < DENET_BACKOFF_MOST_NS ? took_ns : DENET_BACKOFF_MOST_NS;
}
