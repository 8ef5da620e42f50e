#include "core/stacks/blocked_stacks.h"

#include "tests/unit/snapshot.h"

#define STACK_BYTES 4096

#define SECOND_NS UINT64_C(1000000000)

#define OWN_BLOCKED DENET_CLEANUP(denet_blocked_stacks_done) struct denet_blocked_stacks

static void keep(struct denet_blocked_stacks *blocked, struct denet_blocked_interval interval,
                 uint64_t now_ns, const char *name) {
  struct denet_frames *frames = denet_frames_new((struct denet_text){name, strlen(name) + 1});
  ck_assert_ptr_nonnull(frames);
  denet_blocked_stacks_keep(blocked, &interval, now_ns, frames);
  denet_frames_release(frames);
}

static void expect(struct denet_blocked_stacks *blocked, struct denet_blocked_interval interval,
                   uint64_t now_ns, const char *name) {
  const struct denet_frames *frames = denet_blocked_stacks_find(blocked, &interval, now_ns);
  ck_assert_pstr_eq(frames ? frames->names : NULL, name);
}

static const struct denet_blocked_interval first = {
    .pid = 10, .tid = 11, .start_ns = 100, .off_since_ns = 5};

/* Other intervals: of another process with the tid, another thread, later. */
static const struct denet_blocked_interval others[] = {
    {.pid = 12, .tid = 11, .start_ns = 100, .off_since_ns = 5},
    {.pid = 10, .tid = 12, .start_ns = 100, .off_since_ns = 5},
    {.pid = 10, .tid = 11, .start_ns = 101, .off_since_ns = 5},
    {.pid = 10, .tid = 11, .start_ns = 100, .off_since_ns = 6},
};

START_TEST(frames_are_those_of_just_this_interval) {
  OWN_BLOCKED blocked = {0};
  keep(&blocked, first, 0, "read");
  expect(&blocked, first, 0, "read");
  expect(&blocked, others[_i], 0, NULL);
  keep(&blocked, others[_i], 0, "poll");
  expect(&blocked, others[_i], 0, "poll");
  expect(&blocked, first, 0, others[_i].tid == first.tid ? NULL : "read");
}
END_TEST

START_TEST(threads_that_are_not_asked_for_make_room) {
  OWN_BLOCKED blocked = {0};
  struct denet_blocked_interval interval = first;
  keep(&blocked, first, 0, "read");
  for (int second = 0; second < 2000; second++) {
    interval.tid = 1000 + second;
    keep(&blocked, interval, (uint64_t)second * SECOND_NS, "poll");
    expect(&blocked, first, (uint64_t)second * SECOND_NS, "read");
  }
  interval.tid = 1000;
  expect(&blocked, interval, 2000 * SECOND_NS, NULL);
}
END_TEST

START_TEST(number_of_threads_is_bounded) {
  OWN_BLOCKED blocked = {0};
  struct denet_blocked_interval interval = first;
  for (interval.tid = 1; interval.tid <= DENET_BLOCKED_THREADS_MOST + 1; interval.tid++)
    keep(&blocked, interval, 0, "read");
  interval.tid = 1;
  expect(&blocked, interval, 0, NULL);
  interval.tid = DENET_BLOCKED_THREADS_MOST + 1;
  expect(&blocked, interval, 0, "read");
}
END_TEST

/* Registers of the sample, off from the real ones; whether the thread has exited by then. */
static const struct {
  const char *what;
  uint64_t pointer_off, counter_off;
  bool is_nowhere; /* the stack pointer */
  bool has_exited;
  int outcome;
} samples[] = {
    {"it is where it was", 0, 0, false, false, 0},
    {"it has another stack pointer", 8, 0, false, false, -EAGAIN},
    {"it has another program counter", 0, 1, false, false, -EAGAIN},
    {"its stack pointer points nowhere", 0, 0, true, false, -EIO},
    {"it has exited", 0, 0, false, true, -ESRCH},
};

START_TEST(stack_is_read_if_the_thread_is_where_it_was) {
  struct field field = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer stack = {0};
  start(&field, "chain_plain", "");
  take_snapshot(&field, STACK_BYTES);
  wait_until_blocked(field.pid);
  struct denet_blocked_interval interval = {.pid = field.pid, .tid = field.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS];
  memcpy(registers, field.snapshot.registers, sizeof(registers));
  registers[DENET_STACK_POINTER] += samples[_i].pointer_off;
  registers[DENET_PROGRAM_COUNTER] += samples[_i].counter_off;
  if (samples[_i].is_nowhere)
    registers[DENET_STACK_POINTER] = 16;
  if (samples[_i].has_exited)
    stop(&field);
  int outcome = denet_blocked_stacks_read("/proc", &interval, registers, STACK_BYTES, &stack);
  ck_assert_msg(outcome == samples[_i].outcome, "%s: %d", samples[_i].what, outcome);
  if (!outcome) {
    ck_assert_uint_eq(stack.length, field.snapshot.stack_bytes);
    ck_assert_mem_eq(stack.bytes, field.stack, stack.length);
  }
  stop(&field);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, frames_are_those_of_just_this_interval, others);
  ADD_TEST(suite, threads_that_are_not_asked_for_make_room);
  ADD_TEST(suite, number_of_threads_is_bounded);
  ADD_TABLE(suite, stack_is_read_if_the_thread_is_where_it_was, samples);
}
