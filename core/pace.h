/* The adaptive interval: BaseInterval in the first second of a process's life, growing linearly to
 * MaxInterval at ten seconds, then MaxInterval (denet's own rule). */
#pragma once

#include <stdint.h>

struct denet_pace {
  uint64_t base_ns, max_ns; /* base <= max */
};

/* How long after one sample of a process of this age the next one is due. */
uint64_t denet_pace_interval(const struct denet_pace *pace, uint64_t age_ns);
