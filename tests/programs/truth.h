/* What a thread knows of its own waits: how long they were on the clock of the wall, less what it
 * ran in them and what it waited for a CPU, as the scheduler counts both. What is left is how long
 * it was blocked. */
#pragma once

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>

#include "talk.h"

/* Written by one thread alone and read by any. All of it in ns, but for the count of waits. */
struct truth {
  _Atomic uint64_t wall_ns, cpu_ns, runqueue_ns, waits;
};

struct moment {
  uint64_t wall_ns, cpu_ns, runqueue_ns;
};

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The calling thread's file of the scheduler, open from its first wait on. */
static _Thread_local int schedstat_file = -1;

/* How long the calling thread has waited for a CPU so far. */
static inline uint64_t read_runqueue_ns(void) {
  char text[96];
  unsigned long long waited_ns = 0;
  if (schedstat_file < 0)
    schedstat_file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  ssize_t length = pread(schedstat_file, text, sizeof(text) - 1, 0);
  if (length <= 0)
    exit(5);
  text[length] = '\0';
  if (sscanf(text, "%*u %llu", &waited_ns) != 1)
    exit(5);
  return waited_ns;
}

/* For a thread that ends before its process does. */
static inline void end_waits(void) {
  close(schedstat_file);
  schedstat_file = -1;
}

/* All three at one moment: whoever lost the CPU between two of them looks again. */
static inline struct moment look(void) {
  for (;;) {
    struct moment moment = {.runqueue_ns = read_runqueue_ns()};
    moment.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    moment.wall_ns = clock_ns(CLOCK_MONOTONIC);
    if (read_runqueue_ns() == moment.runqueue_ns)
      return moment;
  }
}

static inline void add_wait(struct truth *truth, struct moment before) {
  struct moment after = look();
  atomic_fetch_add(&truth->runqueue_ns, after.runqueue_ns - before.runqueue_ns);
  atomic_fetch_add(&truth->cpu_ns, after.cpu_ns - before.cpu_ns);
  atomic_fetch_add(&truth->wall_ns, after.wall_ns - before.wall_ns);
  atomic_fetch_add(&truth->waits, 1);
}

static inline int64_t blocked_ns(struct truth *truth) {
  return (int64_t)(atomic_load(&truth->wall_ns) - atomic_load(&truth->cpu_ns) -
                   atomic_load(&truth->runqueue_ns));
}

static inline void sleep_ns(uint64_t ns) {
  struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
  while (nanosleep(&time, &time))
    ;
}

/* Runs for so long, for CPU time: what others take does not count. */
static inline void burn_ns(uint64_t ns) { burn_seconds(CLOCK_THREAD_CPUTIME_ID, (double)ns / 1e9); }
