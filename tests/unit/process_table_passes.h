/* Passes over a table, as a source makes them. */
#pragma once

#include "core/model/process_table.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define OWN_ROSTER DENET_CLEANUP(denet_process_table_done) struct denet_process_table

static inline struct denet_process *see(struct denet_process_table *table, pid_t pid) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_upsert(table, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

/* A whole pass over pids, which end with 0. */
static inline void pass(struct denet_process_table *table, const pid_t *pids) {
  ck_assert_int_eq(denet_process_table_begin(table), 0);
  for (; *pids; pids++)
    see(table, *pids);
  denet_process_table_end(table, true);
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
#define EXPECT_THERE(table, ...) expect_pids((table).processes, (table).count, PIDS(__VA_ARGS__))
#define EXPECT_GONE(table, ...) expect_pids((table).gone, (table).gone_count, PIDS(__VA_ARGS__))

/* The next of a row of numbers below sides that only *random says. */
static inline unsigned roll(uint64_t *random, unsigned sides) {
  *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(*random >> 33) % sides;
}

static const int seeds[10]; /* of the runs of a test that goes by chance */
