/* The off-CPU time of one followed process, by reason and by thread, as the kernel's programs tell
 * it. Pure: knows the records' layout (bpf/off_cpu.h), not where they come from. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/model/values.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern const char *const denet_reason_names[DENET_REASONS];

/* A thread that was there in the last pass. */
struct denet_thread_wait_stats {
  pid_t tid;
  struct denet_wait_stats waits;
};

struct denet_process_wait_stats {
  uint64_t pass;                  /* the last one that told of it */
  uint64_t left_pass;             /* the last one before it was left alone; 0: it was not */
  struct denet_wait_stats before; /* of earlier times that it was followed */
  struct denet_wait_stats waits;  /* of all its threads */
  struct denet_thread_wait_stats *threads; /* owned */
  size_t count, capacity;
  bool is_over;         /* its last thread has exited: waits are final */
  bool is_met;          /* its mappings have been asked for, profiler.c, */
  uint64_t met_exec_id; /* in the program that it ran then */
};

/* What could not be told of followed threads, by cause. */
struct denet_off_cpu_losses {
  uint64_t threads;   /* there was no memory to follow them */
  uint64_t processes; /* what their exited threads, or all in the end, had waited for */
  uint64_t stacks;    /* samples */
};

/* Frees what it owns; zeroed is fine, and fresh. */
void denet_wait_stats_done(struct denet_process_wait_stats *off_cpu);

/* Takes a record of the pass (another number for each) into it. 0 or -ENOMEM. */
int denet_wait_stats_add_thread(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                                const struct denet_off_cpu_thread *record);
void denet_wait_stats_add_exited(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                                 const struct denet_off_cpu_sums *record);

/* What all its threads had in the end, which is told after the pass; of several such records the
 * one with the most says it. */
void denet_wait_stats_end(struct denet_process_wait_stats *off_cpu, uint64_t pass,
                          const struct denet_off_cpu_sums *record);

/* After the pass it is not followed any more; what it had so far stays. */
void denet_wait_stats_leave(struct denet_process_wait_stats *off_cpu, uint64_t pass);

/* After the pass it is followed, again maybe. If there was none since it was left alone, then the
 * kernel has not noticed, and goes on with the sums that it had. */
void denet_wait_stats_return(struct denet_process_wait_stats *off_cpu, uint64_t pass);

/* Puts the sums into values: OFF_CPU_*, none of which ever falls. */
void denet_wait_stats_take(const struct denet_process_wait_stats *off_cpu,
                           struct denet_values *values);

/* Takes the OFF_CPU_* apart: time by reason, ns. Returns their sum. */
uint64_t denet_wait_stats_reasons(const struct denet_values *values,
                                  uint64_t out_time_ns[DENET_REASONS]);

/* Adds part to sum; longest and shortest are those of both. */
void denet_wait_stats_add(struct denet_wait_stats *sum, const struct denet_wait_stats *part);

/* Time of all reasons together, ns. */
uint64_t denet_wait_stats_total(const struct denet_wait_stats *waits);
