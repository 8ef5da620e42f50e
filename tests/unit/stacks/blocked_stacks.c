/* Stacks of threads that are blocked: of a child that waits for a pipe. */
#include "core/stacks/blocked_stacks.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define RSP 7
#define RIP 16
#define STACK_BYTES 4096

static void free_blocks(struct denet_blocked_stacks **blocks) {
  denet_blocked_stacks_free(*blocks);
}

#define OWN_BLOCKS DENET_CLEANUP(free_blocks) struct denet_blocked_stacks *

static struct denet_frames *make_frames(const char *name) {
  struct denet_frames *frames = denet_frames_new(denet_text_of(name));
  ck_assert_ptr_nonnull(frames);
  return frames;
}

static void keep(struct denet_blocked_stacks *blocks, struct denet_block block, const char *name) {
  block.frames = make_frames(name);
  denet_blocked_stacks_keep(blocks, &block);
  denet_frames_release(block.frames);
}

static void expect(struct denet_blocked_stacks *blocks, struct denet_block block,
                   const char *name) {
  const struct denet_frames *frames = denet_blocked_stacks_find(blocks, &block);
  ck_assert_int_eq(frames != NULL, name != NULL);
  if (!name)
    return;
  ck_assert_uint_eq(frames->length, strlen(name));
  ck_assert_mem_eq(frames->names, name, frames->length);
}

static const struct denet_block first = {.pid = 10, .tid = 11, .start_ns = 100, .left_ns = 5};

/* What makes it another absence. */
static const struct denet_block others[] = {
    {.pid = 12, .tid = 11, .start_ns = 100, .left_ns = 5},
    {.pid = 10, .tid = 12, .start_ns = 100, .left_ns = 5},
    {.pid = 10, .tid = 11, .start_ns = 101, .left_ns = 5},
    {.pid = 10, .tid = 11, .start_ns = 100, .left_ns = 6},
};

START_TEST(frames_are_those_of_just_this_absence) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  keep(blocks, first, "read");
  expect(blocks, first, "read");
  expect(blocks, others[_i], NULL);
  keep(blocks, others[_i], "poll");
  expect(blocks, others[_i], "poll");
}
END_TEST

START_TEST(thread_has_the_frames_of_its_last_absence) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_block next = first;
  next.left_ns = 9;
  keep(blocks, first, "read");
  keep(blocks, next, "poll");
  expect(blocks, first, NULL);
  expect(blocks, next, "poll");
}
END_TEST

START_TEST(process_is_forgotten_with_all_its_threads) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_block block = first, other = first;
  other.pid = 20;
  keep(blocks, other, "read");
  for (block.tid = 1; block.tid < 100; block.tid++)
    keep(blocks, block, "read");
  denet_blocked_stacks_forget(blocks, 10, 100);
  denet_blocked_stacks_forget(blocks, 10, 100);
  for (block.tid = 1; block.tid < 100; block.tid++)
    expect(blocks, block, NULL);
  expect(blocks, other, "read");
}
END_TEST

START_TEST(threads_that_are_not_asked_for_make_room) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_block asked = first, block = first;
  keep(blocks, asked, "read");
  for (int round = 0; round < 2000; round++) {
    denet_blocked_stacks_begin(blocks);
    block.tid = 1000 + round;
    keep(blocks, block, "poll");
    expect(blocks, asked, "read");
  }
  block.tid = 1000;
  expect(blocks, block, NULL);
}
END_TEST

START_TEST(processes_whose_ends_were_missed_make_room) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_block block = first;
  for (block.pid = 1; block.pid <= 10000; block.pid++)
    keep(blocks, block, "read");
  block.pid = 1;
  expect(blocks, block, NULL);
  block.pid = 10000;
  expect(blocks, block, "read");
}
END_TEST

START_TEST(time_without_a_stack_is_owed_to_the_thread_and_its_reason) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_LOCK, 5);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_LOCK, 7);
  expect(blocks, first, NULL);
  for (size_t i = 0; i < 3; i++) /* the last of others is the same thread's next absence */
    ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[i], DENET_REASON_LOCK), 0);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &first, DENET_REASON_NET), 0);
  keep(blocks, others[3], "futex");
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[3], DENET_REASON_LOCK), 12);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[3], DENET_REASON_LOCK), 0);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_LOCK, 5);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_NET, 3);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &first, DENET_REASON_NET), 3);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &first, DENET_REASON_LOCK), 5);
}
END_TEST

static void note(struct denet_blocked_stacks *blocks, enum denet_reason reason, const char *name) {
  struct denet_stack stack = {.frames = make_frames(name), .reason = reason, .thread = "worker"};
  denet_blocked_stacks_note_last(blocks, &first, &stack);
  denet_frames_release(stack.frames);
}

START_TEST(what_a_process_is_owed_any_of_its_threads_gets) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_block process = first, other = first;
  process.tid = 0;
  other.pid = 99;
  denet_blocked_stacks_owe(blocks, &process, DENET_REASON_LOCK, 5);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_LOCK, 2);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &other, DENET_REASON_LOCK), 0);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[1], DENET_REASON_LOCK), 5);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &first, DENET_REASON_LOCK), 2);
}
END_TEST

START_TEST(what_a_thread_is_owed_that_is_not_asked_for_any_more_its_process_is) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  denet_blocked_stacks_owe(blocks, &first, DENET_REASON_LOCK, 5);
  denet_blocked_stacks_begin(blocks);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[1], DENET_REASON_LOCK), 0);
  for (int round = 0; round < 8; round++)
    denet_blocked_stacks_begin(blocks);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &others[1], DENET_REASON_LOCK), 5);
  ck_assert_uint_eq(denet_blocked_stacks_settle(blocks, &first, DENET_REASON_LOCK), 0);
}
END_TEST

START_TEST(last_stack_is_the_processes_and_its_reasons) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct denet_stack last;
  note(blocks, DENET_REASON_LOCK, "futex");
  note(blocks, DENET_REASON_NET, "recv");
  note(blocks, DENET_REASON_LOCK, "flock");
  ck_assert(denet_blocked_stacks_last(blocks, &first, DENET_REASON_LOCK, &last));
  ck_assert_mem_eq(last.frames->names, "flock", 5);
  ck_assert_str_eq(last.thread, "worker");
  ck_assert(denet_blocked_stacks_last(blocks, &first, DENET_REASON_NET, &last));
  ck_assert(!denet_blocked_stacks_last(blocks, &first, DENET_REASON_DISK, &last));
  ck_assert(!denet_blocked_stacks_last(blocks, &others[2], DENET_REASON_NET, &last));
  denet_blocked_stacks_forget(blocks, first.pid, first.start_ns);
  ck_assert(!denet_blocked_stacks_last(blocks, &first, DENET_REASON_NET, &last));
}
END_TEST

/* A process that waits to be told to go, and has no other thread. */
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

/* Its registers once it waits, as /proc has them. */
static void read_place(const struct child *child, denet_u64 *registers) {
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
  registers[RIP] = strtoull(pointer, NULL, 16);
  *pointer = '\0';
  registers[RSP] = strtoull(strrchr(text, ' '), NULL, 16);
}

/* Where the thread is said to be, off from where it is; one that has exited by then. */
static const struct {
  int64_t pointer_off, counter_off;
  bool has_exited;
  int outcome;
} places[] = {
    {0, 0, false, 0}, {8, 0, false, -EAGAIN}, {0, 1, false, -EAGAIN}, {0, 0, true, -ESRCH}};

START_TEST(stack_is_read_if_the_thread_is_where_it_was) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct child child = start_child();
  struct denet_block block = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {0};
  struct denet_text stack;
  read_place(&child, registers);
  registers[RSP] += (denet_u64)places[_i].pointer_off;
  registers[RIP] += (denet_u64)places[_i].counter_off;
  if (places[_i].has_exited)
    end_child(&child);
  ck_assert_int_eq(denet_blocked_stacks_read(blocks, &block, registers, &stack),
                   places[_i].outcome);
  ck_assert(places[_i].outcome || (stack.length > 0 && stack.length <= STACK_BYTES));
  if (!places[_i].has_exited)
    end_child(&child);
}
END_TEST

/* A fork has its parent's stack, so what it holds is known. */
START_TEST(stack_that_is_read_is_the_threads) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  volatile uint64_t mark = UINT64_C(0x1122334455667788) + (uint64_t)getpid();
  struct child child = start_child();
  struct denet_block block = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {0};
  struct denet_text stack;
  read_place(&child, registers);
  ck_assert_int_eq(denet_blocked_stacks_read(blocks, &block, registers, &stack), 0);
  size_t at = (size_t)((uint64_t)(uintptr_t)&mark - registers[RSP]);
  ck_assert_uint_lt(at + sizeof(mark), stack.length);
  ck_assert_mem_eq(stack.bytes + at, (const void *)&mark, sizeof(mark));
  end_child(&child);
}
END_TEST

START_TEST(registers_that_point_nowhere_give_no_stack) {
  OWN_BLOCKS blocks = denet_blocked_stacks_new("/proc", STACK_BYTES);
  struct child child = start_child();
  struct denet_block block = {.pid = child.pid, .tid = child.pid};
  denet_u64 registers[DENET_OFF_CPU_REGISTERS] = {[RSP] = 16};
  struct denet_text stack;
  ck_assert_int_eq(denet_blocked_stacks_read(blocks, &block, registers, &stack), -EIO);
  end_child(&child);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, frames_are_those_of_just_this_absence, others);
  ADD_TEST(suite, thread_has_the_frames_of_its_last_absence);
  ADD_TEST(suite, process_is_forgotten_with_all_its_threads);
  ADD_TEST(suite, threads_that_are_not_asked_for_make_room);
  ADD_TEST(suite, processes_whose_ends_were_missed_make_room);
  ADD_TEST(suite, time_without_a_stack_is_owed_to_the_thread_and_its_reason);
  ADD_TEST(suite, what_a_process_is_owed_any_of_its_threads_gets);
  ADD_TEST(suite, what_a_thread_is_owed_that_is_not_asked_for_any_more_its_process_is);
  ADD_TEST(suite, last_stack_is_the_processes_and_its_reasons);
  ADD_TABLE(suite, stack_is_read_if_the_thread_is_where_it_was, places);
  ADD_TEST(suite, stack_that_is_read_is_the_threads);
  ADD_TEST(suite, registers_that_point_nowhere_give_no_stack);
}
