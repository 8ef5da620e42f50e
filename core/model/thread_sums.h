/* Counters that the kernel keeps for each thread, summed over all threads that a process ever had,
 * as far as they were seen; and the time that its threads were blocked: the rest of their ages. */
#pragma once

#include "core/model/values.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_thread_sums; /* of one process; owned by it */

/* The numbers in /proc/PID/task/TID/schedstat; none of them ever falls. */
struct denet_thread_times {
  uint64_t run_ns;   /* on a CPU */
  uint64_t delay_ns; /* in run queues, of waits that have ended */
  uint64_t timeslices;
};

/* Returns NULL when there is no memory. */
struct denet_thread_sums *denet_thread_sums_new(void);
void denet_thread_sums_free(struct denet_thread_sums *threads); /* NULL is accepted */

/* Begins a pass, in which each thread is visited once, in any order. now_ns (boot clock) is a time
 * before anything is read, so that time which a thread runs meanwhile is not counted as blocked. */
void denet_thread_sums_begin(struct denet_thread_sums *threads, uint64_t now_ns);

/* Notes the state of the main thread, between begin and the first visit. stamp differs after each
 * exec; 0: it is not known. has_exited: the main thread has exited and keeps its number while other
 * threads run; its blocked time no longer grows.
 * An exec leaves one thread, which takes the number and the start of the main thread (de_thread,
 * fs/exec.c). The times of its next visit show which thread it was before. */
void denet_thread_sums_note_main(struct denet_thread_sums *threads, pid_t tid, uint64_t stamp,
                                 bool has_exited);

/* Returns what denet_thread_sums_visit() would return. */
bool denet_thread_sums_may_have_run(const struct denet_thread_sums *threads, pid_t tid,
                                    const struct denet_thread_times *times);

/* Visits a thread. Returns 1 if it may have run since its counters were last added, else 0;
 * -ENOMEM. */
int denet_thread_sums_visit(struct denet_thread_sums *threads, pid_t tid,
                            const struct denet_thread_times *times);

/* Returns whether the start of a thread is needed before its blocked time can be counted. */
bool denet_thread_sums_lacks_start(const struct denet_thread_sums *threads, pid_t tid);

/* Sets the start (boot clock) of the thread visited last. */
void denet_thread_sums_start(struct denet_thread_sums *threads, uint64_t start_ns);

/* Adds the increase of the counters of the thread visited last; of a new thread all that it has. */
void denet_thread_sums_add(struct denet_thread_sums *threads, const struct denet_values *counters);

/* Returns the first thread above tid that this pass has not visited; 0 if there is none. */
pid_t denet_thread_sums_next_missing(const struct denet_thread_sums *threads, pid_t tid);

/* Ends the pass. If it was complete, threads that were not visited are removed, and their part
 * stays in the sums; otherwise they are kept. */
void denet_thread_sums_end(struct denet_thread_sums *threads, bool complete);

/* Puts the sums over all threads that ever were into now. A sum that is below the value in now is
 * raised to it: counters of the whole process include threads that exited unseen. */
void denet_thread_sums_take(struct denet_thread_sums *threads, struct denet_values *now);

/* Computes the time that the threads were blocked until now_ns, ns: their ages without run time and
 * run queue delay. now_ns is the begin of the last, complete pass, or later if no thread has run
 * since. A thread that exited has the time of the last call before. A wait for a CPU passes for
 * blocked time until it ends; so the result never falls, but may stand still. Returns false if no
 * start is known. */
bool denet_thread_sums_blocked(struct denet_thread_sums *threads, uint64_t now_ns,
                               uint64_t *out_ns);
