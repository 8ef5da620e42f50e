#include "core/model/thread_sums.h"

#include "core/util/array.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct thread {
  pid_t tid;
  bool is_visited;   /* in this pass */
  bool has_exited;   /* the main thread, which stays until all are gone */
  bool has_start;    /* its blocked time is counted */
  bool is_unread;    /* it has run since its counters were added */
  bool is_successor; /* an earlier thread had its number, and started at start_ns */
  uint64_t start_ns;
  uint64_t visited_ns; /* the begin of the pass that visited it last */
  struct denet_thread_times times;
  struct denet_values counters; /* the part that is in the sums */
};

struct denet_thread_sums {
  struct thread *threads; /* sorted by tid; owned */
  size_t count, capacity;
  size_t current;  /* index of the thread visited last */
  uint64_t now_ns; /* the begin of this pass */
  uint64_t stamp;  /* of the program */
  pid_t execd_tid; /* the main thread if its next visit is the first after an exec; or 0 */
  struct denet_values sums;
  /* The blocked time at t, if no thread runs meanwhile, is started * t + offset_ns. Signed and of
   * more than 64 bits, which ten thousand threads fill in 21 days. */
  size_t started; /* threads with a start */
  __int128 offset_ns;
  __int128 blocked_ns; /* the highest so far */
  uint64_t asked_ns;   /* the latest time for which it was computed */
  bool has_start;      /* of any thread */
};

struct denet_thread_sums *denet_thread_sums_new(void) {
  return calloc(1, sizeof(struct denet_thread_sums));
}

void denet_thread_sums_free(struct denet_thread_sums *threads) {
  if (threads)
    free(threads->threads);
  free(threads);
}

void denet_thread_sums_begin(struct denet_thread_sums *threads, uint64_t now_ns) {
  threads->now_ns = now_ns;
  for (size_t i = 0; i < threads->count; i++)
    threads->threads[i].is_visited = false;
}

static int compare_tid(const void *item, const void *key) {
  pid_t left = ((const struct thread *)item)->tid, right = *(const pid_t *)key;
  return (left > right) - (left < right);
}

/* Returns where tid is, or would be inserted. */
static size_t find_index(const struct denet_thread_sums *threads, pid_t tid) {
  return denet_array_lower_bound(threads->threads, threads->count, sizeof(struct thread), &tid,
                                 compare_tid);
}

static struct thread *find_thread(const struct denet_thread_sums *threads, pid_t tid) {
  size_t i = find_index(threads, tid);
  return i < threads->count && threads->threads[i].tid == tid ? &threads->threads[i] : NULL;
}

/* Returns the thread's part of offset_ns: added to a time it is the blocked time until then. */
static __int128 find_offset(const struct thread *thread) {
  return -((__int128)thread->start_ns + thread->times.run_ns + thread->times.delay_ns);
}

/* Ends the blocked time of a thread at the last moment at which it was seen: its last visit, or
 * later if the blocked time was computed after that, as nothing had run until then. */
static void stop_counting(struct denet_thread_sums *threads, struct thread *thread) {
  if (!thread->has_start)
    return;
  threads->offset_ns +=
      threads->asked_ns > thread->visited_ns ? threads->asked_ns : thread->visited_ns;
  threads->started--;
  thread->has_start = false;
}

/* Another thread has the number from now on. */
static void replace_thread(struct denet_thread_sums *threads, struct thread *thread) {
  stop_counting(threads, thread);
  *thread = (struct thread){.tid = thread->tid, .is_successor = true, .start_ns = thread->start_ns};
}

void denet_thread_sums_note_main(struct denet_thread_sums *threads, pid_t tid, uint64_t stamp,
                                 bool has_exited) {
  struct thread *leader = find_thread(threads, tid);
  bool is_back = leader && leader->has_exited && !has_exited;
  if (is_back || (threads->stamp && stamp && threads->stamp != stamp))
    threads->execd_tid = tid;
  if (stamp)
    threads->stamp = stamp;
  if (!leader || !has_exited)
    return;
  stop_counting(threads, leader);
  leader->has_exited = true;
}

/* Puts the thread that exec'd in the place of the main thread: of those that can have come to these
 * times the one with the most time, the main thread if it is among several. The main thread takes
 * its place, and is removed with it. */
static void replace_leader(struct denet_thread_sums *threads, struct thread *leader,
                           const struct denet_thread_times *times) {
  struct thread *exec_thread = NULL, old = *leader;
  uint64_t most_ns = 0;
  for (size_t i = 0; i < threads->count; i++) {
    struct thread *thread = threads->threads + i;
    uint64_t used_ns = thread->times.run_ns + thread->times.delay_ns;
    if (thread->has_exited || thread->times.run_ns > times->run_ns ||
        thread->times.delay_ns > times->delay_ns || thread->times.timeslices > times->timeslices)
      continue;
    if (!exec_thread || used_ns > most_ns || (used_ns == most_ns && thread == leader)) {
      exec_thread = thread;
      most_ns = used_ns;
    }
  }
  threads->execd_tid = 0;
  if (!exec_thread)
    replace_thread(threads, leader);
  if (!exec_thread || exec_thread == leader)
    return;
  old.tid = exec_thread->tid;
  exec_thread->tid = leader->tid;
  *leader = *exec_thread;
  *exec_thread = old;
}

bool denet_thread_sums_may_have_run(const struct denet_thread_sums *threads, pid_t tid,
                                    const struct denet_thread_times *times) {
  const struct thread *thread = find_thread(threads, tid);
  return !thread || threads->execd_tid == tid || thread->is_unread ||
         times->run_ns != thread->times.run_ns || times->delay_ns < thread->times.delay_ns ||
         times->timeslices != thread->times.timeslices;
}

int denet_thread_sums_visit(struct denet_thread_sums *threads, pid_t tid,
                            const struct denet_thread_times *times) {
  bool has_run = denet_thread_sums_may_have_run(threads, tid, times);
  size_t i = threads->current = find_index(threads, tid);
  bool is_new = i == threads->count || threads->threads[i].tid != tid;
  if (is_new && denet_array_reserve(&threads->threads, &threads->capacity, threads->count + 1,
                                    sizeof(struct thread)))
    return -ENOMEM;
  struct thread *thread = threads->threads + i;
  if (is_new) {
    memmove(thread + 1, thread, (threads->count++ - i) * sizeof(*thread));
    *thread = (struct thread){.tid = tid};
  }
  if (threads->execd_tid == tid)
    replace_leader(threads, thread, times);
  if (times->run_ns < thread->times.run_ns || times->delay_ns < thread->times.delay_ns)
    replace_thread(threads, thread);
  __int128 before = find_offset(thread);
  thread->times = *times;
  if (thread->has_start)
    threads->offset_ns += find_offset(thread) - before;
  thread->is_visited = true;
  thread->visited_ns = threads->now_ns;
  thread->is_unread = has_run;
  return has_run;
}

bool denet_thread_sums_lacks_start(const struct denet_thread_sums *threads, pid_t tid) {
  const struct thread *thread = find_thread(threads, tid);
  return !thread || (!thread->has_start && !thread->has_exited);
}

void denet_thread_sums_start(struct denet_thread_sums *threads, uint64_t start_ns) {
  struct thread *thread = threads->threads + threads->current;
  uint64_t used_ns = thread->times.run_ns + thread->times.delay_ns;
  /* A thread that exec'd has the start of the main thread whose place it took. Its own is not
   * known: it counts as never blocked before now. */
  if (thread->is_successor && thread->start_ns == start_ns)
    start_ns = threads->now_ns > used_ns ? threads->now_ns - used_ns : 0;
  thread->has_start = threads->has_start = true;
  thread->start_ns = start_ns;
  threads->offset_ns += find_offset(thread);
  threads->started++;
}

void denet_thread_sums_add(struct denet_thread_sums *threads, const struct denet_values *counters) {
  struct thread *thread = threads->threads + threads->current;
  struct denet_metric_set rest = counters->present;
  thread->is_unread = false;
  for (unsigned m; denet_metric_set_take(&rest, &m);) {
    uint64_t now = counters->value[m], before = denet_values_get(&thread->counters, m);
    uint64_t sum = denet_values_get(&threads->sums, m);
    denet_values_set(&threads->sums, m, now > before ? sum + now - before : sum);
    denet_values_set(&thread->counters, m, now);
  }
}

pid_t denet_thread_sums_next_missing(const struct denet_thread_sums *threads, pid_t tid) {
  for (size_t i = find_index(threads, tid + 1); i < threads->count; i++)
    if (!threads->threads[i].is_visited)
      return threads->threads[i].tid;
  return 0;
}

void denet_thread_sums_end(struct denet_thread_sums *threads, bool complete) {
  size_t kept = 0;
  for (size_t i = 0; i < threads->count; i++) {
    if (threads->threads[i].is_visited || !complete)
      threads->threads[kept++] = threads->threads[i];
    else
      stop_counting(threads, &threads->threads[i]);
  }
  threads->count = kept;
}

void denet_thread_sums_take(struct denet_thread_sums *threads, struct denet_values *now) {
  struct denet_metric_set rest = threads->sums.present;
  for (unsigned m; denet_metric_set_take(&rest, &m);) {
    denet_values_raise(&threads->sums, m, denet_values_get(now, m));
    denet_values_set(now, m, threads->sums.value[m]);
  }
}

bool denet_thread_sums_blocked(struct denet_thread_sums *threads, uint64_t now_ns,
                               uint64_t *out_ns) {
  __int128 blocked_ns = (__int128)threads->started * now_ns + threads->offset_ns;
  if (blocked_ns > threads->blocked_ns)
    threads->blocked_ns = blocked_ns;
  if (now_ns > threads->asked_ns)
    threads->asked_ns = now_ns;
  if (threads->has_start)
    *out_ns = (uint64_t)threads->blocked_ns;
  return threads->has_start;
}
