#include "core/stacks/blocked_stacks.h"

#include "core/stacks/unwind/x86_64.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <alloca.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define STACK_BYTES 4096

#define SECOND_NS UINT64_C(1000000000)

static void free_blocked(struct denet_blocked_stacks **blocked) {
  denet_blocked_stacks_free(*blocked);
}

#define OWN_BLOCKED DENET_CLEANUP(free_blocked) struct denet_blocked_stacks *

static void keep(struct denet_blocked_stacks *blocked, struct denet_blocked_interval interval,
                 uint64_t now_ns, const char *name) {
  struct denet_frames *frames = denet_frames_new(denet_text_of(name));
  ck_assert_ptr_nonnull(frames);
  denet_blocked_stacks_keep(blocked, &interval, now_ns, frames);
  denet_frames_release(frames);
}

static void expect(struct denet_blocked_stacks *blocked, struct denet_blocked_interval interval,
                   uint64_t now_ns, const char *name) {
  const struct denet_frames *frames = denet_blocked_stacks_find(blocked, &interval, now_ns);
  ck_assert_int_eq(frames != NULL, name != NULL);
  if (!name)
    return;
  ck_assert_uint_eq(frames->length, strlen(name));
  ck_assert_mem_eq(frames->names, name, frames->length);
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
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  keep(blocked, first, 0, "read");
  expect(blocked, first, 0, "read");
  expect(blocked, others[_i], 0, NULL);
  keep(blocked, others[_i], 0, "poll");
  expect(blocked, others[_i], 0, "poll");
  expect(blocked, first, 0, others[_i].tid == first.tid ? NULL : "read");
}
END_TEST

START_TEST(threads_that_are_not_asked_for_make_room) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_blocked_interval interval = first;
  keep(blocked, first, 0, "read");
  for (int second = 0; second < 2000; second++) {
    interval.tid = 1000 + second;
    keep(blocked, interval, (uint64_t)second * SECOND_NS, "poll");
    expect(blocked, first, (uint64_t)second * SECOND_NS, "read");
  }
  interval.tid = 1000;
  expect(blocked, interval, 2000 * SECOND_NS, NULL);
}
END_TEST

START_TEST(threads_of_a_closed_process_are_removed) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_blocked_interval second = first, other = first;
  second.tid++;
  other.tid += 2;
  other.start_ns++;
  keep(blocked, first, SECOND_NS, "read");
  keep(blocked, second, SECOND_NS, "poll");
  keep(blocked, other, SECOND_NS, "wait");
  denet_blocked_stacks_close(blocked, first.pid, first.start_ns);
  expect(blocked, first, SECOND_NS, NULL);
  expect(blocked, second, SECOND_NS, NULL);
  expect(blocked, other, SECOND_NS, "wait");
}
END_TEST

START_TEST(number_of_threads_is_bounded) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_blocked_interval interval = first;
  for (interval.tid = 1; interval.tid <= DENET_BLOCKED_THREADS_MOST + 1; interval.tid++)
    keep(blocked, interval, 0, "read");
  interval.tid = 1;
  expect(blocked, interval, 0, NULL);
  interval.tid = DENET_BLOCKED_THREADS_MOST + 1;
  expect(blocked, interval, 0, "read");
}
END_TEST

/* A process with one thread, which is blocked in a read from a pipe. */
struct child {
  pid_t pid;
  int go; /* closing it ends the child */
};

static struct child start_child(void) {
  int ends[2];
  char byte;
  ck_assert_int_eq(pipe(ends), 0);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (!pid) {
    close(ends[1]);
    _exit((int)read(ends[0], &byte, 1));
  }
  close(ends[0]);
  return (struct child){pid, ends[1]};
}

static void end_child(const struct child *child) {
  close(child->go);
  ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid);
}

/* Waits until the child is blocked, and reads its registers from /proc. */
static void read_registers(const struct child *child, denet_u64 *registers) {
  char path[64], text[256], *pointer = NULL;
  snprintf(path, sizeof(path), "/proc/%d/syscall", (int)child->pid);
  for (int i = 0; i < 1000 && !pointer; i++) {
    usleep(1000);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    if (fgets(text, sizeof(text), file) && !strncmp(text, "0 ", 2))
      pointer = strrchr(text, ' ');
    fclose(file);
  }
  ck_assert_ptr_nonnull(pointer);
  registers[DENET_PROGRAM_COUNTER] = strtoull(pointer, NULL, 16);
  *pointer = '\0';
  registers[DENET_STACK_POINTER] = strtoull(strrchr(text, ' '), NULL, 16);
}

/* Registers of the sample, off from the real ones; whether the thread has exited by then. */
static const struct {
  int64_t pointer_off, counter_off;
  bool has_exited;
  int outcome;
} samples[] = {
    {0, 0, false, 0}, {8, 0, false, -EAGAIN}, {0, 1, false, -EAGAIN}, {0, 0, true, -ESRCH}};

START_TEST(stack_is_read_if_the_thread_is_where_it_was) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct child child = start_child();
  struct denet_blocked_interval interval = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {0};
  struct denet_text stack;
  read_registers(&child, registers);
  registers[DENET_STACK_POINTER] += (denet_u64)samples[_i].pointer_off;
  registers[DENET_PROGRAM_COUNTER] += (denet_u64)samples[_i].counter_off;
  if (samples[_i].has_exited)
    end_child(&child);
  ck_assert_int_eq(denet_blocked_stacks_read(blocked, &interval, registers, &stack),
                   samples[_i].outcome);
  ck_assert(samples[_i].outcome || (stack.length > 0 && stack.length <= STACK_BYTES));
  if (!samples[_i].has_exited)
    end_child(&child);
}
END_TEST

/* A fork has its parent's stack, so what it holds is known. alloca(3), as the address sanitizer may
 * keep a variable elsewhere. */
START_TEST(stack_that_is_read_is_the_threads) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  volatile uint64_t *mark = alloca(sizeof(*mark));
  *mark = UINT64_C(0x1122334455667788) + (uint64_t)getpid();
  struct child child = start_child();
  struct denet_blocked_interval interval = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {0};
  struct denet_text stack;
  read_registers(&child, registers);
  ck_assert_int_eq(denet_blocked_stacks_read(blocked, &interval, registers, &stack), 0);
  size_t at = (size_t)((uint64_t)(uintptr_t)mark - registers[DENET_STACK_POINTER]);
  ck_assert_uint_lt(at + sizeof(*mark), stack.length);
  ck_assert_mem_eq(stack.bytes + at, (const void *)mark, sizeof(*mark));
  end_child(&child);
}
END_TEST

START_TEST(registers_that_point_nowhere_give_no_stack) {
  OWN_BLOCKED blocked = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct child child = start_child();
  struct denet_blocked_interval interval = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {[DENET_STACK_POINTER] = 16};
  struct denet_text stack;
  ck_assert_int_eq(denet_blocked_stacks_read(blocked, &interval, registers, &stack), -EIO);
  end_child(&child);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, frames_are_those_of_just_this_interval, others);
  ADD_TEST(suite, threads_that_are_not_asked_for_make_room);
  ADD_TEST(suite, threads_of_a_closed_process_are_removed);
  ADD_TEST(suite, number_of_threads_is_bounded);
  ADD_TABLE(suite, stack_is_read_if_the_thread_is_where_it_was, samples);
  ADD_TEST(suite, stack_that_is_read_is_the_threads);
  ADD_TEST(suite, registers_that_point_nowhere_give_no_stack);
}
