/* The adaptive interval: BaseInterval in the first second of a process's life, growing linearly to
 * MaxInterval at ten seconds, then MaxInterval (denet's own rule). As long as it grows it is a
 * whole number of BaseIntervals: then all young processes can be sampled in the same ticks. */
#pragma once

#include <stdint.h>

struct denet_interval {
  uint64_t base_ns, max_ns; /* 0 < base <= max */
};

/* How long after one sample of a process of this age the next one is due. */
uint64_t denet_interval_for_age(const struct denet_interval *interval, uint64_t age_ns);

/* The moment nearest to ns that is a whole number of base intervals after the origin, or the
 * origin. */
uint64_t denet_interval_align(const struct denet_interval *interval, uint64_t origin_ns,
                              uint64_t ns);

/* How long to rest after work: as long as it took, as the host is to have half of a CPU, but 10 s
 * at most. What takes longer did not work: it was stopped, held up or suspended with its host. */
uint64_t denet_interval_backoff(uint64_t took_ns);
