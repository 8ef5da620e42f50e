#include "core/store/queue.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* Precedes each line's texts in the buffer. It is not aligned there: copied in and out. */
struct packed {
  struct denet_line line; /* with stale pointers */
  size_t instance_bytes;  /* with its NUL */
};

struct denet_queue {
  pthread_mutex_t lock;         /* of all below except draining and given_count, the taker's */
  pthread_cond_t taker_wakes;   /* the taker's wait may be over */
  pthread_cond_t flusher_wakes; /* all lines of one take have been given */
  struct denet_buffer filling;
  struct denet_buffer draining;
  size_t limit_bytes;
  uint64_t oldest_ns;    /* CLOCK_MONOTONIC of the push of filling's first line */
  uint64_t wanted_count; /* a flush waits until given_count is this */
  uint64_t stuck_count;  /* given_count when a flush timed out */
  bool is_closed;
  atomic_uint_fast64_t pushed_count; /* lines accepted */
  atomic_uint_fast64_t given_count;  /* of those, lines that each() has returned for */
};

/* Waits until deadline_ns at most; like any such wait it may end earlier without a reason. */
static void wait_until(struct denet_queue *queue, pthread_cond_t *condition, uint64_t deadline_ns) {
  struct timespec deadline = {(time_t)(deadline_ns / NS_PER_SECOND),
                              (long)(deadline_ns % NS_PER_SECOND)};
  pthread_cond_clockwait(condition, &queue->lock, CLOCK_MONOTONIC, &deadline);
}

int denet_queue_new(size_t bytes, struct denet_queue **out_queue) {
  struct denet_queue *queue = calloc(1, sizeof(*queue));
  if (!queue)
    return -ENOMEM;
  queue->limit_bytes = bytes;
  queue->stuck_count = UINT64_MAX; /* never */
  /* To make these cannot fail, and they own nothing (glibc). */
  pthread_cond_init(&queue->taker_wakes, NULL);
  pthread_cond_init(&queue->flusher_wakes, NULL);
  pthread_mutex_init(&queue->lock, NULL);
  /* All memory at once, so that no push waits for realloc() to move megabytes; the kernel provides
   * pages at their first use. */
  if (denet_buffer_reserve(&queue->filling, bytes) ||
      denet_buffer_reserve(&queue->draining, bytes)) {
    denet_queue_free(queue);
    return -ENOMEM;
  }
  *out_queue = queue;
  return 0;
}

void denet_queue_free(struct denet_queue *queue) {
  if (!queue)
    return;
  denet_buffer_done(&queue->filling);
  denet_buffer_done(&queue->draining);
  free(queue);
}

static bool is_half_full(const struct denet_queue *queue) {
  return queue->filling.length >= queue->limit_bytes / 2;
}

static int push_locked(struct denet_queue *queue, const struct denet_line *line) {
  struct denet_buffer *filling = &queue->filling;
  struct packed packed = {.line = *line, .instance_bytes = strlen(line->instance) + 1};
  size_t needed = sizeof(packed) + packed.instance_bytes + line->json.length;
  size_t reserved = line->kind == DENET_LINE_SAMPLE ? queue->limit_bytes / 8 : 0;
  size_t limit = queue->limit_bytes - reserved;
  bool was_empty = !filling->length, was_half_full = is_half_full(queue);
  if (queue->is_closed)
    return -EPIPE;
  if (needed > limit)
    return -EMSGSIZE;
  if (filling->length > limit - needed)
    return -ENOBUFS;
  /* These cannot fail: the buffer has a capacity of limit_bytes. */
  denet_buffer_append(filling, &packed, sizeof(packed));
  denet_buffer_append(filling, line->instance, packed.instance_bytes);
  denet_buffer_append(filling, line->json.bytes, line->json.length);
  queue->pushed_count++;
  if (was_empty)
    queue->oldest_ns = denet_clock_monotonic_ns();
  /* A wake-up is needed only if the taker's wait becomes shorter. */
  if (was_empty || was_half_full != is_half_full(queue))
    pthread_cond_signal(&queue->taker_wakes);
  return 0;
}

int denet_queue_push(struct denet_queue *queue, const struct denet_line *line) {
  pthread_mutex_lock(&queue->lock);
  int error = push_locked(queue, line);
  pthread_mutex_unlock(&queue->lock);
  return error;
}

static void wait_for_lines(struct denet_queue *queue, uint64_t wait_ns) {
  while (!queue->is_closed && queue->given_count >= queue->wanted_count && !is_half_full(queue)) {
    uint64_t deadline_ns = queue->oldest_ns + wait_ns;
    if (!queue->filling.length)
      pthread_cond_wait(&queue->taker_wakes, &queue->lock);
    else if (denet_clock_monotonic_ns() < deadline_ns)
      wait_until(queue, &queue->taker_wakes, deadline_ns);
    else
      return;
  }
}

static void give_lines(struct denet_queue *queue,
                       void (*each)(void *context, const struct denet_line *line), void *context) {
  const char *next = queue->draining.bytes, *end = next + queue->draining.length;
  while (next < end) {
    struct packed packed;
    memcpy(&packed, next, sizeof(packed));
    struct denet_line line = packed.line;
    line.instance = next + sizeof(packed);
    line.json.bytes = line.instance + packed.instance_bytes;
    each(context, &line);
    queue->given_count++;
    next = line.json.bytes + line.json.length;
  }
}

bool denet_queue_take(struct denet_queue *queue, uint64_t wait_ns,
                      void (*each)(void *context, const struct denet_line *line), void *context) {
  pthread_mutex_lock(&queue->lock);
  wait_for_lines(queue, wait_ns);
  queue->draining = DENET_EXCHANGE(queue->filling, queue->draining);
  denet_buffer_clear(&queue->filling);
  bool is_over = queue->is_closed && !queue->draining.length;
  pthread_mutex_unlock(&queue->lock);

  give_lines(queue, each, context);

  pthread_mutex_lock(&queue->lock);
  pthread_cond_broadcast(&queue->flusher_wakes);
  pthread_mutex_unlock(&queue->lock);
  return !is_over;
}

int denet_queue_flush(struct denet_queue *queue, uint64_t timeout_ns) {
  uint64_t deadline_ns = denet_clock_monotonic_ns() + timeout_ns;
  pthread_mutex_lock(&queue->lock);
  uint64_t wanted = queue->pushed_count;
  if (wanted > queue->wanted_count)
    queue->wanted_count = wanted;
  pthread_cond_signal(&queue->taker_wakes);
  /* Not at all if the taker has given none since another flush timed out. */
  while (queue->given_count < wanted && queue->given_count != queue->stuck_count) {
    if (denet_clock_monotonic_ns() >= deadline_ns)
      queue->stuck_count = queue->given_count;
    else
      wait_until(queue, &queue->flusher_wakes, deadline_ns);
  }
  bool is_given = queue->given_count >= wanted;
  pthread_mutex_unlock(&queue->lock);
  return is_given ? 0 : -ETIMEDOUT;
}

uint64_t denet_queue_waiting(const struct denet_queue *queue) {
  return queue->pushed_count - queue->given_count;
}

void denet_queue_close(struct denet_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->is_closed = true;
  pthread_cond_signal(&queue->taker_wakes);
  pthread_mutex_unlock(&queue->lock);
}
