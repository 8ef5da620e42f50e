/* How a workload talks to the test that started it: "ready" first, then one line for each word it
 * is told; it ends at the end of its input, so that none is left behind. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static inline void say(const char *words) { dprintf(STDOUT_FILENO, "%s\n", words); }

/* The next word that the test says, without its newline; ends the process when there is none. */
static inline char *listen_for_word(void) {
  static char line[4096];
  for (size_t length = 0; length < sizeof(line) - 1; length++) {
    /* One byte at a time: a forked child goes on where its parent stopped reading. */
    if (read(STDIN_FILENO, &line[length], 1) != 1)
      exit(0);
    if (line[length] == '\n') {
      line[length] = '\0';
      return line;
    }
  }
  exit(9);
}

static inline double read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Busy for so long on that clock: CLOCK_MONOTONIC, or CLOCK_PROCESS_CPUTIME_ID for a known cost
 * whoever else wants the CPU. */
static inline void burn_seconds(clockid_t clock, double seconds) {
  for (double end = read_clock(clock) + seconds; read_clock(clock) < end;)
    for (volatile int i = 0; i < 10000; i++)
      ;
}

static inline void name_myself(const char *name) { prctl(PR_SET_NAME, name); }
