/* Passes over a roster, as a source makes them. */
#pragma once

#include "core/model/process_table.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define OWN_ROSTER DENET_CLEANUP(denet_roster_done) struct denet_roster

static inline struct denet_process *see(struct denet_roster *roster, pid_t pid) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_roster_see(roster, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

/* A whole pass over pids, which end with 0. */
static inline void pass(struct denet_roster *roster, const pid_t *pids) {
  ck_assert_int_eq(denet_roster_begin(roster), 0);
  for (; *pids; pids++)
    see(roster, *pids);
  denet_roster_end(roster, true);
}

static inline void expect_pids(struct denet_process *const *processes, size_t count,
                               const pid_t *pids) {
  size_t i = 0;
  for (; pids[i]; i++) {
    ck_assert_uint_lt(i, count);
    ck_assert_int_eq(processes[i]->pid, pids[i]);
  }
  ck_assert_uint_eq(count, i);
}

#define PIDS(...) ((const pid_t[]){__VA_ARGS__ __VA_OPT__(, ) 0})
#define EXPECT_THERE(roster, ...) expect_pids((roster).processes, (roster).count, PIDS(__VA_ARGS__))
#define EXPECT_GONE(roster, ...) expect_pids((roster).gone, (roster).gone_count, PIDS(__VA_ARGS__))

/* The next of a row of numbers below sides that only *random says. */
static inline unsigned roll(uint64_t *random, unsigned sides) {
  *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(*random >> 33) % sides;
}

static const int seeds[10]; /* of the runs of a test that goes by chance */
