#include "threads.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct thread {
  pid_t tid;
  bool alive;
  uint64_t run_ns;
  uint64_t timeslices;
  struct denet_values counters; /* as added to the sums */
};

struct denet_threads {
  struct thread *threads; /* sorted by tid; owned */
  size_t count;
  size_t capacity;
  size_t current; /* the one visited last */
  struct denet_values sums;
};

struct denet_threads *denet_threads_new(void) {
  return calloc(1, sizeof(struct denet_threads));
}

void denet_threads_free(struct denet_threads *threads) {
  if (threads)
    free(threads->threads);
  free(threads);
}

void denet_threads_begin(struct denet_threads *threads) {
  for (size_t i = 0; i < threads->count; i++)
    threads->threads[i].alive = false;
}

/* Where tid is, or would be inserted. */
static size_t find_place(const struct denet_threads *threads, pid_t tid) {
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

static int insert_thread(struct denet_threads *threads, size_t place, pid_t tid) {
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

int denet_threads_visit(struct denet_threads *threads, pid_t tid, uint64_t run_ns,
                        uint64_t timeslices) {
  size_t place = find_place(threads, tid);
  bool known = place < threads->count && threads->threads[place].tid == tid;
  if (!known && insert_thread(threads, place, tid))
    return -ENOMEM;
  struct thread *thread = threads->threads + place;
  threads->current = place;
  thread->alive = true;
  if (known && thread->run_ns == run_ns && thread->timeslices == timeslices)
    return 0;
  /* A thread's CPU time never falls: this is another thread with an old one's number. */
  if (run_ns < thread->run_ns)
    thread->counters.present = 0;
  thread->run_ns = run_ns;
  thread->timeslices = timeslices;
  return 1;
}

void denet_threads_add(struct denet_threads *threads, const struct denet_values *counters) {
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

void denet_threads_end(struct denet_threads *threads, bool complete) {
  size_t kept = 0;
  for (size_t i = 0; i < threads->count; i++)
    if (threads->threads[i].alive || !complete)
      threads->threads[kept++] = threads->threads[i];
  threads->count = kept;
}

void denet_threads_raise(struct denet_threads *threads, const struct denet_values *least) {
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_values_has(&threads->sums, m) && denet_values_has(least, m) &&
        threads->sums.value[m] < least->value[m])
      threads->sums.value[m] = least->value[m];
}

const struct denet_values *denet_threads_sums(const struct denet_threads *threads) {
  return &threads->sums;
}
