#include "core/model/thread_sums.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct thread {
  pid_t tid;
  bool alive;
  bool has_exited; /* the main one, which stays until all are gone */
  bool has_start;  /* counts for the blocked time */
  bool is_owed;    /* has run, but its counters could not be added */
  bool follows;    /* another thread had its number before, and began at start_ns */
  uint64_t start_ns;
  uint64_t visited_ns; /* when the pass began in which it was visited last */
  struct denet_thread_times times;
  struct denet_values counters; /* as added to the sums */
};

struct denet_thread_sums {
  struct thread *threads; /* sorted by tid; owned */
  size_t count;
  size_t capacity;
  size_t current;  /* the one visited last */
  uint64_t now_ns; /* when this pass began */
  uint64_t stamp;  /* of the program */
  pid_t execd_tid; /* whose next visit is the first after an exec; or 0 */
  struct denet_values sums;
  /* At t the threads were blocked for counted * t + rest, none of them running meanwhile. Signed
   * and of more than 64 bits, which ten thousand threads fill in 21 days. */
  size_t counted;
  __int128 rest;
  __int128 blocked_ns; /* the most that it came to be */
  uint64_t asked_ns;   /* when that was last looked at */
  bool is_known;
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
    threads->threads[i].alive = false;
}

/* Where tid is, or would be inserted. */
static size_t find_place(const struct denet_thread_sums *threads, pid_t tid) {
  size_t low = 0, high = threads->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (threads->threads[middle].tid < tid)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int insert_thread(struct denet_thread_sums *threads, size_t place, pid_t tid) {
  if (threads->count == threads->capacity) {
    size_t capacity = threads->capacity ? 2 * threads->capacity : 4;
    struct thread *grown = reallocarray(threads->threads, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    threads->threads = grown;
    threads->capacity = capacity;
  }
  struct thread *at = threads->threads + place;
  memmove(at + 1, at, (threads->count - place) * sizeof(*at));
  *at = (struct thread){.tid = tid};
  threads->count++;
  return 0;
}

static bool is_known_at(const struct denet_thread_sums *threads, size_t place, pid_t tid) {
  return place < threads->count && threads->threads[place].tid == tid;
}

/* What has to be added to a time to have for how long the thread was blocked until then. */
static __int128 find_rest(const struct thread *thread) {
  return -((__int128)thread->start_ns + thread->times.run_ns + thread->times.delay_ns);
}

static void begin_counting(struct denet_thread_sums *threads, struct thread *thread,
                           uint64_t start_ns) {
  thread->has_start = true;
  thread->start_ns = start_ns;
  threads->rest += find_rest(thread);
  threads->counted++;
  threads->is_known = true;
}

/* The thread stays in the blocked time with what it had when it was known last. Until blocked time
 * was last asked for nothing had run since the visit. */
static void stop_counting(struct denet_thread_sums *threads, struct thread *thread) {
  if (!thread->has_start)
    return;
  bool was_asked = threads->asked_ns > thread->visited_ns;
  threads->rest += was_asked ? threads->asked_ns : thread->visited_ns;
  threads->counted--;
  thread->has_start = false;
}

/* The number is another thread's from now on. */
static void succeed(struct denet_thread_sums *threads, struct thread *thread) {
  stop_counting(threads, thread);
  *thread = (struct thread){.tid = thread->tid, .follows = true, .start_ns = thread->start_ns};
}

void denet_thread_sums_note_main(struct denet_thread_sums *threads, pid_t tid, uint64_t stamp,
                                 bool has_exited) {
  size_t place = find_place(threads, tid);
  struct thread *main_one = is_known_at(threads, place, tid) ? threads->threads + place : NULL;
  bool is_back = main_one && main_one->has_exited && !has_exited;
  if (is_back || (threads->stamp && stamp && threads->stamp != stamp))
    threads->execd_tid = tid;
  if (stamp)
    threads->stamp = stamp;
  if (!main_one || !has_exited)
    return;
  stop_counting(threads, main_one);
  main_one->has_exited = true;
}

/* Whether a thread that had the times before can have those now. */
static bool can_become(const struct denet_thread_times *before,
                       const struct denet_thread_times *now) {
  return before->run_ns <= now->run_ns && before->delay_ns <= now->delay_ns &&
         before->timeslices <= now->timeslices;
}

static bool is_ahead(const struct denet_thread_times *a, const struct denet_thread_times *b) {
  return a->run_ns + a->delay_ns > b->run_ns + b->delay_ns;
}

/* Puts the thread that exec'd in the main one's place: of those that can have come to these times
 * the one that is next to them. The main one goes where that was, to be forgotten from there. */
static void settle_exec(struct denet_thread_sums *threads, struct thread *main_one,
                        const struct denet_thread_times *times) {
  struct thread *best =
      !main_one->has_exited && can_become(&main_one->times, times) ? main_one : NULL;
  for (size_t i = 0; i < threads->count; i++) {
    struct thread *thread = threads->threads + i;
    if (!thread->has_exited && can_become(&thread->times, times) &&
        (!best || is_ahead(&thread->times, &best->times)))
      best = thread;
  }
  threads->execd_tid = 0;
  if (!best)
    succeed(threads, main_one);
  if (!best || best == main_one)
    return;
  struct thread moved = *main_one;
  moved.tid = best->tid;
  best->tid = main_one->tid;
  *main_one = *best;
  *best = moved;
}

static void take_times(struct denet_thread_sums *threads, struct thread *thread,
                       const struct denet_thread_times *times) {
  __int128 before = find_rest(thread);
  thread->times = *times;
  if (thread->has_start)
    threads->rest += find_rest(thread) - before;
}

int denet_thread_sums_visit(struct denet_thread_sums *threads, pid_t tid,
                            const struct denet_thread_times *times) {
  size_t place = find_place(threads, tid);
  bool is_new = !is_known_at(threads, place, tid);
  if (is_new && insert_thread(threads, place, tid))
    return -ENOMEM;
  struct thread *thread = threads->threads + place;
  threads->current = place;
  if (threads->execd_tid == tid)
    settle_exec(threads, thread, times);
  const struct denet_thread_times before = thread->times;
  bool is_other = times->run_ns < before.run_ns || times->delay_ns < before.delay_ns;
  if (is_other)
    succeed(threads, thread);
  take_times(threads, thread, times);
  thread->alive = true;
  thread->visited_ns = threads->now_ns;
  bool was_owed = thread->is_owed;
  thread->is_owed = false;
  return is_new || is_other || was_owed || times->run_ns != before.run_ns ||
         times->timeslices != before.timeslices;
}

bool denet_thread_sums_may_have_run(const struct denet_thread_sums *threads, pid_t tid,
                                    const struct denet_thread_times *times) {
  size_t place = find_place(threads, tid);
  if (!is_known_at(threads, place, tid) || threads->execd_tid == tid)
    return true;
  const struct thread *thread = threads->threads + place;
  return thread->is_owed || times->run_ns != thread->times.run_ns ||
         times->delay_ns < thread->times.delay_ns || times->timeslices != thread->times.timeslices;
}

void denet_thread_sums_owe(struct denet_thread_sums *threads) {
  threads->threads[threads->current].is_owed = true;
}

static bool lacks_start(const struct thread *thread) {
  return !thread->has_start && !thread->has_exited;
}

bool denet_thread_sums_lacks_start(const struct denet_thread_sums *threads) {
  return lacks_start(threads->threads + threads->current);
}

bool denet_thread_sums_knows(const struct denet_thread_sums *threads, pid_t tid) {
  size_t place = find_place(threads, tid);
  return is_known_at(threads, place, tid) && !lacks_start(threads->threads + place);
}

void denet_thread_sums_start(struct denet_thread_sums *threads, uint64_t start_ns) {
  struct thread *thread = threads->threads + threads->current;
  /* One that exec'd has the start of the main one whose place it took. Its own is not known. */
  bool is_borrowed = thread->follows && thread->start_ns == start_ns;
  uint64_t used_ns = thread->times.run_ns + thread->times.delay_ns;
  uint64_t none_blocked_ns = threads->now_ns > used_ns ? threads->now_ns - used_ns : 0;
  begin_counting(threads, thread, is_borrowed ? none_blocked_ns : start_ns);
}

void denet_thread_sums_add(struct denet_thread_sums *threads, const struct denet_values *counters) {
  struct thread *thread = threads->threads + threads->current;
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    if (!denet_values_has(counters, m))
      continue;
    uint64_t now = counters->value[m];
    uint64_t before = denet_values_has(&thread->counters, m) ? thread->counters.value[m] : 0;
    uint64_t sum = denet_values_has(&threads->sums, m) ? threads->sums.value[m] : 0;
    denet_values_set(&threads->sums, m, now > before ? sum + now - before : sum);
    denet_values_set(&thread->counters, m, now);
  }
}

pid_t denet_thread_sums_next_missing(const struct denet_thread_sums *threads, pid_t tid) {
  for (size_t i = find_place(threads, tid + 1); i < threads->count; i++)
    if (!threads->threads[i].alive)
      return threads->threads[i].tid;
  return 0;
}

void denet_thread_sums_end(struct denet_thread_sums *threads, bool complete) {
  size_t kept = 0;
  for (size_t i = 0; i < threads->count; i++) {
    if (threads->threads[i].alive || !complete)
      threads->threads[kept++] = threads->threads[i];
    else
      stop_counting(threads, &threads->threads[i]);
  }
  threads->count = kept;
}

void denet_thread_sums_raise(struct denet_thread_sums *threads, const struct denet_values *least) {
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_values_has(&threads->sums, m) && denet_values_has(least, m) &&
        threads->sums.value[m] < least->value[m])
      threads->sums.value[m] = least->value[m];
}

const struct denet_values *denet_thread_sums_sums(const struct denet_thread_sums *threads) {
  return &threads->sums;
}

bool denet_thread_sums_blocked(struct denet_thread_sums *threads, uint64_t now_ns,
                               uint64_t *out_ns) {
  __int128 blocked_ns = (__int128)threads->counted * now_ns + threads->rest;
  if (blocked_ns > threads->blocked_ns)
    threads->blocked_ns = blocked_ns;
  if (now_ns > threads->asked_ns)
    threads->asked_ns = now_ns;
  if (threads->is_known)
    *out_ns = (uint64_t)threads->blocked_ns;
  return threads->is_known;
}
