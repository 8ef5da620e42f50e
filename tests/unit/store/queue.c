#include "core/store/queue.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define MS UINT64_C(1000000)
#define FOREVER (UINT64_C(3600000) * MS)

static void sleep_ms(long ms) { nanosleep(&(struct timespec){0, ms * (long)MS}, NULL); }

static struct denet_queue *new_queue(size_t bytes) {
  struct denet_queue *queue = NULL;
  ck_assert_int_eq(denet_queue_new(bytes, &queue), 0);
  return queue;
}

static int push(struct denet_queue *queue, enum denet_line_kind kind, pid_t pid, const char *json) {
  struct denet_line line = {
      .kind = kind, .instance = "web", .pid = pid, .t0_ms = 7, .json = denet_text_of(json)};
  return denet_queue_push(queue, &line);
}

/* Pushes samples until one is dropped; returns how many were accepted. */
static unsigned fill(struct denet_queue *queue) {
  unsigned count = 0;
  while (!push(queue, DENET_LINE_SAMPLE, 1, "{\"key\":\"value\"}"))
    count++;
  return count;
}

/* Lines that a taker was given. */
struct seen {
  _Atomic unsigned count;
  pid_t latest_pid;
  bool is_slow;
};

static void see(void *context, const struct denet_line *line) {
  struct seen *seen = context;
  if (seen->is_slow)
    sleep_ms(20);
  seen->latest_pid = line->pid;
  seen->count++;
}

/* A thread that takes until the queue is closed and empty. */
struct taker {
  struct denet_queue *queue;
  struct seen seen;
  pthread_t thread;
};

static void *run_taker(void *context) {
  struct taker *taker = context;
  while (denet_queue_take(taker->queue, FOREVER, see, &taker->seen))
    continue;
  return NULL;
}

static void start_taker(struct taker *taker) {
  ck_assert_int_eq(pthread_create(&taker->thread, NULL, run_taker, taker), 0);
}

static void stop_taker(struct taker *taker) {
  denet_queue_close(taker->queue);
  pthread_join(taker->thread, NULL);
  denet_queue_free(taker->queue);
}

static const struct denet_line lines[] = {
    {DENET_LINE_METADATA, "web", 1, 2, {"{\"cmd\":[]}", 10}},
    {DENET_LINE_SAMPLE, "a-long.name_1", 4194304, UINT64_MAX, {"\0\xff{", 3}},
    {DENET_LINE_LAST, "x", 3, 0, {"{}", 2}},
    {DENET_LINE_END, "x", 4, 0, {"", 0}},
};

static void expect_line(void *context, const struct denet_line *line) {
  const struct denet_line *expected = &lines[(*(size_t *)context)++];
  ck_assert_int_eq(line->kind, expected->kind);
  ck_assert_str_eq(line->instance, expected->instance);
  ck_assert_int_eq(line->pid, expected->pid);
  ck_assert_uint_eq(line->t0_ms, expected->t0_ms);
  ck_assert_uint_eq(line->json.length, expected->json.length);
  ck_assert_mem_eq(line->json.bytes, expected->json.bytes, expected->json.length);
}

START_TEST(lines_come_out_as_they_went_in) {
  struct denet_queue *queue = new_queue(4096);
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < DENET_COUNT_OF(lines); i++)
      ck_assert_int_eq(denet_queue_push(queue, &lines[i]), 0);
    size_t next = 0;
    ck_assert(denet_queue_take(queue, 0, expect_line, &next));
    ck_assert_uint_eq(next, DENET_COUNT_OF(lines));
  }
  denet_queue_free(queue);
}
END_TEST

START_TEST(a_full_queue_takes_lines_again_once_they_are_taken) {
  struct denet_queue *queue = new_queue(4096);
  unsigned accepted = fill(queue);
  ck_assert_uint_gt(accepted, 10);
  ck_assert_int_eq(push(queue, DENET_LINE_SAMPLE, 1, "{\"key\":\"value\"}"), -ENOBUFS);
  struct seen seen = {0};
  ck_assert(denet_queue_take(queue, 0, see, &seen));
  ck_assert_uint_eq(seen.count, accepted);
  ck_assert_int_eq(push(queue, DENET_LINE_SAMPLE, 1, "{}"), 0);
  denet_queue_free(queue);
}
END_TEST

static const enum denet_line_kind other_kinds[] = {DENET_LINE_METADATA, DENET_LINE_LAST,
                                                   DENET_LINE_END};

START_TEST(samples_may_not_use_the_last_eighth) {
  struct denet_queue *queue = new_queue(4096);
  fill(queue);
  ck_assert_int_eq(push(queue, other_kinds[_i], 1, "{\"key\":\"value\"}"), 0);
  denet_queue_free(queue);
}
END_TEST

/* Of 4096 bytes a sample may have seven eighths. */
static const struct {
  enum denet_line_kind kind;
  size_t json_bytes;
  int outcome;
} oversizes[] = {
    {DENET_LINE_METADATA, 3900, 0},       {DENET_LINE_METADATA, 4096, -EMSGSIZE},
    {DENET_LINE_LAST, 3900, 0},           {DENET_LINE_LAST, 1000000, -EMSGSIZE},
    {DENET_LINE_SAMPLE, 3900, -EMSGSIZE}, {DENET_LINE_SAMPLE, 3000, 0},
};

START_TEST(a_line_that_never_fits_is_no_sign_of_a_full_queue) {
  static char json[1000000];
  struct denet_queue *queue = new_queue(4096);
  struct denet_line line = {
      .kind = oversizes[_i].kind, .instance = "web", .json = {json, oversizes[_i].json_bytes}};
  ck_assert_int_eq(denet_queue_push(queue, &line), oversizes[_i].outcome);
  fill(queue);
  int outcome = oversizes[_i].outcome ? oversizes[_i].outcome : -ENOBUFS;
  ck_assert_int_eq(denet_queue_push(queue, &line), outcome);
  denet_queue_free(queue);
}
END_TEST

START_TEST(a_line_waits_as_long_as_asked) {
  struct denet_queue *queue = new_queue(4096);
  struct seen seen = {0};
  push(queue, DENET_LINE_SAMPLE, 1, "{}");
  uint64_t start = denet_clock_monotonic_ns();
  ck_assert(denet_queue_take(queue, 50 * MS, see, &seen));
  ck_assert_uint_ge(denet_clock_monotonic_ns() - start, 45 * MS);
  ck_assert_uint_eq(seen.count, 1);
  denet_queue_free(queue);
}
END_TEST

START_TEST(half_full_wakes_the_taker) {
  struct taker taker = {.queue = new_queue(4096)};
  start_taker(&taker);
  sleep_ms(20);
  fill(taker.queue);
  for (int i = 0; i < 500 && !taker.seen.count; i++)
    sleep_ms(10);
  ck_assert_uint_gt(taker.seen.count, 0);
  stop_taker(&taker);
}
END_TEST

START_TEST(flush_waits_for_the_taker) {
  struct taker taker = {.queue = new_queue(4096), .seen = {.is_slow = true}};
  start_taker(&taker);
  for (pid_t pid = 1; pid <= 5; pid++)
    push(taker.queue, DENET_LINE_SAMPLE, pid, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, FOREVER), 0);
  ck_assert_uint_eq(taker.seen.count, 5);
  ck_assert_int_eq(taker.seen.latest_pid, 5);
  stop_taker(&taker);
}
END_TEST

START_TEST(flush_without_a_taker_gives_up_and_does_not_wait_again) {
  struct denet_queue *queue = new_queue(4096);
  ck_assert_int_eq(denet_queue_flush(queue, FOREVER), 0); /* of nothing */
  push(queue, DENET_LINE_SAMPLE, 1, "{}");
  ck_assert_int_eq(denet_queue_flush(queue, 20 * MS), -ETIMEDOUT);
  push(queue, DENET_LINE_SAMPLE, 2, "{}");
  ck_assert_int_eq(denet_queue_flush(queue, FOREVER), -ETIMEDOUT);
  denet_queue_free(queue);
}
END_TEST

START_TEST(flush_waits_again_once_the_taker_goes_on) {
  struct taker taker = {.queue = new_queue(4096), .seen = {.is_slow = true}};
  push(taker.queue, DENET_LINE_SAMPLE, 1, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, MS), -ETIMEDOUT);
  start_taker(&taker);
  for (int i = 0; i < 500 && denet_queue_waiting(taker.queue); i++)
    sleep_ms(10);
  push(taker.queue, DENET_LINE_SAMPLE, 2, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, FOREVER), 0);
  stop_taker(&taker);
}
END_TEST

/* An each() that asks its queue how many lines wait. */
struct asker {
  struct denet_queue *queue;
  uint64_t waiting;
};

static void expect_one_less(void *context, const struct denet_line *line) {
  struct asker *asker = context;
  (void)line;
  ck_assert_uint_eq(denet_queue_waiting(asker->queue), asker->waiting--);
}

START_TEST(a_line_waits_until_it_was_seen) {
  struct asker asker = {new_queue(4096), 3};
  for (pid_t pid = 1; pid <= 3; pid++)
    push(asker.queue, DENET_LINE_SAMPLE, pid, "{}");
  ck_assert(denet_queue_take(asker.queue, 0, expect_one_less, &asker));
  ck_assert_uint_eq(denet_queue_waiting(asker.queue), 0);
  denet_queue_free(asker.queue);
}
END_TEST

START_TEST(a_closed_queue_gives_the_rest_and_takes_nothing) {
  struct denet_queue *queue = new_queue(4096);
  push(queue, DENET_LINE_SAMPLE, 1, "{}");
  denet_queue_close(queue);
  ck_assert_int_eq(push(queue, DENET_LINE_LAST, 2, "{}"), -EPIPE);
  struct seen seen = {0};
  ck_assert(denet_queue_take(queue, FOREVER, see, &seen));
  ck_assert(!denet_queue_take(queue, FOREVER, see, &seen));
  ck_assert_uint_eq(seen.count, 1);
  denet_queue_free(queue);
}
END_TEST

#define PUSHERS 4
#define LINES_EACH 20000

struct pusher {
  struct denet_queue *queue;
  pid_t pid;
  pthread_t thread;
};

static void *run_pusher(void *context) {
  struct pusher *pusher = context;
  struct denet_line line = {.kind = DENET_LINE_SAMPLE, .instance = "web", .pid = pusher->pid};
  line.json = denet_text_of("{\"key\":\"value\"}");
  for (; line.t0_ms < LINES_EACH; line.t0_ms++)
    while (denet_queue_push(pusher->queue, &line))
      sleep_ms(1);
  return NULL;
}

static void expect_next(void *context, const struct denet_line *line) {
  uint64_t *next = context;
  ck_assert_uint_eq(line->t0_ms, next[line->pid]++);
}

START_TEST(many_threads_lose_nothing_and_keep_their_order) {
  struct denet_queue *queue = new_queue(1 << 16);
  struct pusher pushers[PUSHERS];
  for (int i = 0; i < PUSHERS; i++) {
    pushers[i] = (struct pusher){.queue = queue, .pid = i};
    ck_assert_int_eq(pthread_create(&pushers[i].thread, NULL, run_pusher, &pushers[i]), 0);
  }
  uint64_t next[PUSHERS] = {0};
  while (next[0] + next[1] + next[2] + next[3] < PUSHERS * LINES_EACH)
    ck_assert(denet_queue_take(queue, MS, expect_next, next));
  for (int i = 0; i < PUSHERS; i++)
    pthread_join(pushers[i].thread, NULL);
  denet_queue_free(queue);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, lines_come_out_as_they_went_in);
  ADD_TEST(suite, a_full_queue_takes_lines_again_once_they_are_taken);
  ADD_TABLE(suite, samples_may_not_use_the_last_eighth, other_kinds);
  ADD_TABLE(suite, a_line_that_never_fits_is_no_sign_of_a_full_queue, oversizes);
  ADD_TEST(suite, a_line_waits_as_long_as_asked);
  ADD_TEST(suite, half_full_wakes_the_taker);
  ADD_TEST(suite, flush_waits_for_the_taker);
  ADD_TEST(suite, flush_without_a_taker_gives_up_and_does_not_wait_again);
  ADD_TEST(suite, flush_waits_again_once_the_taker_goes_on);
  ADD_TEST(suite, a_line_waits_until_it_was_seen);
  ADD_TEST(suite, a_closed_queue_gives_the_rest_and_takes_nothing);
  ADD_TEST(suite, many_threads_lose_nothing_and_keep_their_order);
}
