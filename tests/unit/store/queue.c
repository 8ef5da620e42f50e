#include "core/store/queue.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

/* A queue that lines come out of. */
struct way_out {
  struct denet_queue *queue;
  size_t next;
};

static void expect_line(void *context, const struct denet_line *line) {
  struct way_out *out = context;
  ck_assert_uint_eq(denet_queue_waiting(out->queue), DENET_COUNT_OF(lines) - out->next);
  const struct denet_line *expected = &lines[out->next++];
  ck_assert_int_eq(line->kind, expected->kind);
  ck_assert_str_eq(line->instance, expected->instance);
  ck_assert_int_eq(line->pid, expected->pid);
  ck_assert_uint_eq(line->t0_ms, expected->t0_ms);
  ck_assert_uint_eq(line->json.length, expected->json.length);
  ck_assert_mem_eq(line->json.bytes, expected->json.bytes, expected->json.length);
}

START_TEST(lines_come_out_as_they_went_in_and_wait_until_they_were_seen) {
  struct way_out out = {.queue = new_queue(4096)};
  for (int round = 0; round < 3; round++, out.next = 0) {
    for (size_t i = 0; i < DENET_COUNT_OF(lines); i++)
      ck_assert_int_eq(denet_queue_push(out.queue, &lines[i]), 0);
    ck_assert(denet_queue_take(out.queue, 0, expect_line, &out));
    ck_assert_uint_eq(out.next, DENET_COUNT_OF(lines));
    ck_assert_uint_eq(denet_queue_waiting(out.queue), 0);
  }
  denet_queue_free(out.queue);
}
END_TEST

START_TEST(a_full_queue_takes_lines_again_once_they_are_taken) {
  struct denet_queue *queue = new_queue(4096);
  unsigned accepted = fill(queue);
  ck_assert_uint_gt(accepted, 10);
  struct seen seen = {0};
  ck_assert(denet_queue_take(queue, 0, see, &seen));
  ck_assert_uint_eq(seen.count, accepted);
  ck_assert_int_eq(push(queue, DENET_LINE_SAMPLE, 1, "{}"), 0);
  denet_queue_free(queue);
}
END_TEST

/* Of 4096 bytes a sample may have seven eighths; the others may have the last eighth too. */
static const struct {
  enum denet_line_kind kind;
  size_t json_bytes;
  int outcome, outcome_when_full; /* full: it takes no more samples of 15 bytes */
} fits[] = {
    {DENET_LINE_METADATA, 15, 0, 0},
    {DENET_LINE_LAST, 15, 0, 0},
    {DENET_LINE_END, 15, 0, 0},
    {DENET_LINE_SAMPLE, 15, 0, -ENOBUFS},
    {DENET_LINE_METADATA, 3900, 0, -ENOBUFS},
    {DENET_LINE_LAST, 3900, 0, -ENOBUFS},
    {DENET_LINE_SAMPLE, 3000, 0, -ENOBUFS},
    {DENET_LINE_METADATA, 4096, -EMSGSIZE, -EMSGSIZE},
    {DENET_LINE_LAST, 1000000, -EMSGSIZE, -EMSGSIZE},
    {DENET_LINE_SAMPLE, 3900, -EMSGSIZE, -EMSGSIZE},
};

START_TEST(line_fits_by_its_kind_and_length) {
  static char json[1000000];
  struct denet_queue *queue = new_queue(4096);
  struct denet_line line = {
      .kind = fits[_i].kind, .instance = "web", .json = {json, fits[_i].json_bytes}};
  ck_assert_int_eq(denet_queue_push(queue, &line), fits[_i].outcome);
  fill(queue);
  ck_assert_int_eq(denet_queue_push(queue, &line), fits[_i].outcome_when_full);
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
  ck_assert_int_eq(pthread_create(&taker.thread, NULL, run_taker, &taker), 0);
  sleep_ms(20);
  fill(taker.queue);
  for (int i = 0; i < 500 && !taker.seen.count; i++)
    sleep_ms(10);
  ck_assert_uint_gt(taker.seen.count, 0);
  stop_taker(&taker);
}
END_TEST

START_TEST(flush_waits_for_the_taker_unless_another_flush_has_given_it_up) {
  struct taker taker = {.queue = new_queue(4096), .seen = {.is_slow = true}};
  ck_assert_int_eq(denet_queue_flush(taker.queue, FOREVER), 0); /* of nothing */
  push(taker.queue, DENET_LINE_SAMPLE, 1, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, 20 * MS), -ETIMEDOUT);
  push(taker.queue, DENET_LINE_SAMPLE, 2, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, FOREVER), -ETIMEDOUT);
  ck_assert_int_eq(pthread_create(&taker.thread, NULL, run_taker, &taker), 0);
  for (int i = 0; i < 500 && denet_queue_waiting(taker.queue); i++)
    sleep_ms(10);
  for (pid_t pid = 3; pid <= 7; pid++)
    push(taker.queue, DENET_LINE_SAMPLE, pid, "{}");
  ck_assert_int_eq(denet_queue_flush(taker.queue, FOREVER), 0);
  ck_assert_uint_eq(taker.seen.count, 7);
  ck_assert_int_eq(taker.seen.latest_pid, 7);
  stop_taker(&taker);
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
  ADD_TEST(suite, lines_come_out_as_they_went_in_and_wait_until_they_were_seen);
  ADD_TEST(suite, a_full_queue_takes_lines_again_once_they_are_taken);
  ADD_TABLE(suite, line_fits_by_its_kind_and_length, fits);
  ADD_TEST(suite, a_line_waits_as_long_as_asked);
  ADD_TEST(suite, half_full_wakes_the_taker);
  ADD_TEST(suite, flush_waits_for_the_taker_unless_another_flush_has_given_it_up);
  ADD_TEST(suite, a_closed_queue_gives_the_rest_and_takes_nothing);
  ADD_TEST(suite, many_threads_lose_nothing_and_keep_their_order);
}
