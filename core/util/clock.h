/* The clocks of this host. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t denet_clock_ns(clockid_t clock) {
  struct timespec now = {0};
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Returns CLOCK_MONOTONIC in ns: for time-outs and intervals. */
static inline uint64_t denet_clock_monotonic_ns(void) { return denet_clock_ns(CLOCK_MONOTONIC); }

/* Returns CLOCK_BOOTTIME in ns: the clock of processes' start times, suspension included. */
static inline uint64_t denet_clock_boot_ns(void) { return denet_clock_ns(CLOCK_BOOTTIME); }

/* Returns CLOCK_REALTIME in ms since 1970. */
static inline uint64_t denet_clock_unix_ms(void) {
  return denet_clock_ns(CLOCK_REALTIME) / 1000000;
}
