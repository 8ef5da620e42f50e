/* Measures the waits of a thread: time on the wall clock, less the CPU time in it and the time in
 * run queues, as the scheduler counts both. The rest is the time that the thread was blocked. */
#pragma once

#include <stdatomic.h>

#include "workload.h"

/* Written by threads, read by any. In ns, except the number of waits. */
struct waits {
  _Atomic uint64_t wall_ns, cpu_ns, runqueue_ns, count;
};

struct moment {
  uint64_t wall_ns, cpu_ns, runqueue_ns;
};

/* The calling thread's schedstat, open from its first wait on. */
static _Thread_local int schedstat_file = -1;

/* Returns how long the calling thread has waited for a CPU. */
static inline uint64_t read_runqueue_ns(void) {
  char text[96];
  unsigned long long waited_ns = 0;
  if (schedstat_file < 0)
    schedstat_file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  ssize_t length = pread(schedstat_file, text, sizeof(text) - 1, 0);
  check(length > 0);
  text[length] = '\0';
  check(sscanf(text, "%*u %llu", &waited_ns) == 1);
  return waited_ns;
}

/* For a thread that ends before its process. */
static inline void end_waits(void) {
  close(schedstat_file);
  schedstat_file = -1;
}

/* Reads all three at one moment: again if the thread lost the CPU between two of them. */
static inline struct moment read_moment(void) {
  for (;;) {
    struct moment moment = {.runqueue_ns = read_runqueue_ns()};
    moment.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    moment.wall_ns = clock_ns(CLOCK_MONOTONIC);
    if (read_runqueue_ns() == moment.runqueue_ns)
      return moment;
  }
}

/* Adds the wait that began at before and ends now. */
static inline void add_wait(struct waits *waits, struct moment before) {
  struct moment after = read_moment();
  atomic_fetch_add(&waits->runqueue_ns, after.runqueue_ns - before.runqueue_ns);
  atomic_fetch_add(&waits->cpu_ns, after.cpu_ns - before.cpu_ns);
  atomic_fetch_add(&waits->wall_ns, after.wall_ns - before.wall_ns);
  atomic_fetch_add(&waits->count, 1);
}

static inline long long blocked_ns(struct waits *waits) {
  return (long long)(atomic_load(&waits->wall_ns) - atomic_load(&waits->cpu_ns) -
                     atomic_load(&waits->runqueue_ns));
}
