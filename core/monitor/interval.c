#include "core/monitor/interval.h"

#define YOUNG_NS UINT64_C(1000000000)
#define OLD_NS UINT64_C(10000000000)
#define REST_MOST_NS UINT64_C(10000000000)

uint64_t denet_pace_interval(const struct denet_pace *pace, uint64_t age_ns) {
  if (age_ns <= YOUNG_NS)
    return pace->base_ns;
  if (age_ns >= OLD_NS)
    return pace->max_ns;
  double grown = (double)(age_ns - YOUNG_NS) / (double)(OLD_NS - YOUNG_NS);
  uint64_t exact_ns = pace->base_ns + (uint64_t)(grown * (double)(pace->max_ns - pace->base_ns));
  uint64_t whole_ns = (exact_ns + pace->base_ns / 2) / pace->base_ns * pace->base_ns;
  return whole_ns < pace->max_ns ? whole_ns : pace->max_ns;
}

uint64_t denet_pace_align(const struct denet_pace *pace, uint64_t origin_ns, uint64_t ns) {
  if (ns <= origin_ns)
    return origin_ns;
  return origin_ns + (ns - origin_ns + pace->base_ns / 2) / pace->base_ns * pace->base_ns;
}

uint64_t denet_pace_rest(uint64_t took_ns) {
  return took_ns < REST_MOST_NS ? took_ns : REST_MOST_NS;
}
