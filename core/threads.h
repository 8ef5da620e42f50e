/* Counters that the kernel keeps for each thread, added up for the process, exited threads
 * included as far as they were seen. */
#pragma once

#include "metric.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_threads; /* of one process; owned by it */

/* NULL when there is no memory. */
struct denet_threads *denet_threads_new(void);
void denet_threads_free(struct denet_threads *threads); /* NULL is fine */

/* One pass: begin, then visit each thread once in any order, then end. */
void denet_threads_begin(struct denet_threads *threads);

/* Whether the thread has run since its counters were last added: run_ns (CPU time, ns) and
 * timeslices (both from /proc/PID/task/TID/schedstat) tell. Marks it as alive. 0 not, 1 it has,
 * -ENOMEM. */
int denet_threads_visit(struct denet_threads *threads, pid_t tid, uint64_t run_ns,
                        uint64_t timeslices);

/* Adds what the counters of the thread visited last have gained since they were added last. A
 * thread that is new gains all that it has. */
void denet_threads_add(struct denet_threads *threads, const struct denet_values *counters);

/* Ends the pass. If it was complete, the threads that were not visited are forgotten, and what they
 * had stays in the sums; after one that failed half-way they are kept. */
void denet_threads_end(struct denet_threads *threads, bool complete);

/* Raises each sum that is below the value in least: what is known of the process as a whole
 * includes threads that exited unseen. */
void denet_threads_raise(struct denet_threads *threads, const struct denet_values *least);

/* The sums over all threads that ever were. Borrowed. */
const struct denet_values *denet_threads_sums(const struct denet_threads *threads);
