#include "core/monitor/interval.h"

#define YOUNG_NS UINT64_C(1000000000)
#define OLD_NS UINT64_C(10000000000)
#define BACKOFF_MOST_NS UINT64_C(10000000000)

uint64_t denet_interval_for_age(const struct denet_interval *interval, uint64_t age_ns) {
  if (age_ns <= YOUNG_NS)
    return interval->base_ns;
  if (age_ns >= OLD_NS)
    return interval->max_ns;
  double grown = (double)(age_ns - YOUNG_NS) / (double)(OLD_NS - YOUNG_NS);
  uint64_t exact_ns =
      interval->base_ns + (uint64_t)(grown * (double)(interval->max_ns - interval->base_ns));
  uint64_t whole_ns = (exact_ns + interval->base_ns / 2) / interval->base_ns * interval->base_ns;
  return whole_ns < interval->max_ns ? whole_ns : interval->max_ns;
}

uint64_t denet_interval_align(const struct denet_interval *interval, uint64_t origin_ns,
                              uint64_t ns) {
  if (ns <= origin_ns)
    return origin_ns;
  return origin_ns +
         (ns - origin_ns + interval->base_ns / 2) / interval->base_ns * interval->base_ns;
}

uint64_t denet_interval_backoff(uint64_t took_ns) {
  return took_ns < BACKOFF_MOST_NS ? took_ns : BACKOFF_MOST_NS;
}
