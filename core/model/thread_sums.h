/* Counters that the kernel keeps for each thread, added up for the process, exited threads
 * included as far as they were seen; and the time that the threads were blocked, which is what is
 * left of their ages. */
#pragma once

#include "core/model/values.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_thread_sums; /* of one process; owned by it */

/* /proc/PID/task/TID/schedstat. None of them ever falls. */
struct denet_thread_times {
  uint64_t run_ns, delay_ns; /* on a CPU; in a run queue, waits that have ended */
  uint64_t timeslices;
};

/* NULL when there is no memory. */
struct denet_thread_sums *denet_thread_sums_new(void);
void denet_thread_sums_free(struct denet_thread_sums *threads); /* NULL is fine */

/* One pass: begin, then visit each thread once in any order, then end. now_ns (boot clock) is when
 * it begins: before anything is read, so that no time that a thread runs meanwhile counts as
 * blocked. */
void denet_thread_sums_begin(struct denet_thread_sums *threads, uint64_t now_ns);

/* To be told between begin and the first visit. stamp: of the program that the process runs,
 * another number after each exec, 0 if it is not known. has_exited: the main thread has, though its
 * number is still there, as it is while others run; the time that it was blocked grows no more.
 * After an exec one thread is left. It has the number and the start of the main one, whichever it
 * was before (de_thread, fs/exec.c), and goes on as the one that it was as far as its times tell.
 */
void denet_thread_sums_note_main(struct denet_thread_sums *threads, pid_t tid, uint64_t stamp,
                                 bool has_exited);

/* Whether the thread has run since its counters were last added; its times tell. Marks it as alive.
 * 0 not, 1 it has, -ENOMEM. */
int denet_thread_sums_visit(struct denet_thread_sums *threads, pid_t tid,
                            const struct denet_thread_times *times);

/* False: its visit with these times is going to say that it has not. */
bool denet_thread_sums_may_have_run(const struct denet_thread_sums *threads, pid_t tid,
                                    const struct denet_thread_times *times);

/* What the thread visited last has used could not be read: its next visit says that it has run. */
void denet_thread_sums_owe(struct denet_thread_sums *threads);

/* Whether there is nothing to be asked of the thread's start, as far as is known before its visit.
 */
bool denet_thread_sums_knows(const struct denet_thread_sums *threads, pid_t tid);

/* Whether the thread visited last is not in the blocked time yet for want of its start, and what
 * puts it in: when it began, boot clock. */
bool denet_thread_sums_lacks_start(const struct denet_thread_sums *threads);
void denet_thread_sums_start(struct denet_thread_sums *threads, uint64_t start_ns);

/* Adds what the counters of the thread visited last have gained since they were added last. A
 * thread that is new gains all that it has. */
void denet_thread_sums_add(struct denet_thread_sums *threads, const struct denet_values *counters);

/* The first thread behind tid that has not been visited in this pass; 0 if there is none. */
pid_t denet_thread_sums_next_missing(const struct denet_thread_sums *threads, pid_t tid);

/* Ends the pass. If it was complete, the threads that were not visited are forgotten, and what they
 * had stays in the sums; after one that failed half-way they are kept. */
void denet_thread_sums_end(struct denet_thread_sums *threads, bool complete);

/* Raises each sum that is below the value in least: what is known of the process as a whole
 * includes threads that exited unseen. */
void denet_thread_sums_raise(struct denet_thread_sums *threads, const struct denet_values *least);

/* The sums over all threads that ever were. Borrowed. */
const struct denet_values *denet_thread_sums_sums(const struct denet_thread_sums *threads);

/* For how long the threads were blocked until now_ns, added up, ns: their ages but for the time in
 * which they ran or waited for a CPU. To be asked after a complete pass with the time at which that
 * began, and later for as long as none of them has run. Of a thread that has exited it is what it
 * was when this was last asked. Never falls, as a wait for a CPU that is still going on passes for
 * blocked time until it ends. False if no start is known. */
bool denet_thread_sums_blocked(struct denet_thread_sums *threads, uint64_t now_ns,
                               uint64_t *out_ns);
