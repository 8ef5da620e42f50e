/* What the programs of the benchmarks have in common. */
#pragma once

#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double read_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Keeps this process and its children to the last CPU that it may use. */
static inline void keep_to_last_cpu(void) {
  cpu_set_t allowed, last;
  if (sched_getaffinity(0, sizeof(allowed), &allowed))
    err(1, "sched_getaffinity");
  CPU_ZERO(&last);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && !CPU_COUNT(&last); cpu--)
    if (CPU_ISSET(cpu, &allowed))
      CPU_SET(cpu, &last);
  if (sched_setaffinity(0, sizeof(last), &last))
    err(1, "sched_setaffinity");
}

static inline int compare(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/* Sorts the values. Returns the one below which the share of them is: 0.5 is the median. */
static inline double find_quantile(double *values, size_t count, double share) {
  qsort(values, count, sizeof(*values), compare);
  double place = share * (double)(count - 1);
  size_t at = (size_t)place;
  double next = at + 1 < count ? values[at + 1] : values[at];
  return values[at] + (place - (double)at) * (next - values[at]);
}
