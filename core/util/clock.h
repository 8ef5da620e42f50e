/* The clocks of this host. */
#pragma once

#include <stdint.h>

/* Returns CLOCK_MONOTONIC in ns: for time-outs and intervals. */
uint64_t denet_clock_monotonic_ns(void);

/* Returns CLOCK_BOOTTIME in ns: the clock of processes' start times, suspension included. */
uint64_t denet_clock_boot_ns(void);

/* Returns CLOCK_REALTIME in ms since 1970. */
uint64_t denet_clock_unix_ms(void);
