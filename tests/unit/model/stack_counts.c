#include "core/model/stack_counts.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define OWN_SET DENET_CLEANUP(denet_stack_counts_done) struct denet_stack_counts

static struct denet_frames *make_frames(const char *names, size_t length) {
  struct denet_frames *frames = denet_frames_new((struct denet_text){names, length});
  ck_assert_ptr_nonnull(frames);
  return frames;
}

/* A sample with frames of their own. */
static void add(struct denet_stack_counts *set, const char *frame, const char *thread,
                enum denet_reason reason, uint64_t time_ns) {
  struct denet_stack sample = {.frames = make_frames(frame, strlen(frame) + 1),
                               .reason = reason,
                               .time_ns = time_ns,
                               .count = 1};
  snprintf(sample.thread, sizeof(sample.thread), "%s", thread);
  denet_stack_counts_add(set, &sample);
  denet_frames_release(sample.frames);
}

/* Stacks that come after "read", "main", pipe: the first is the same, each of the others another
 * one. */
static const struct {
  const char *frame, *thread;
  enum denet_reason reason;
} others[] = {
    {"read", "main", DENET_REASON_PIPE},
    {"read", "main", DENET_REASON_NET},
    {"read", "mail", DENET_REASON_PIPE},
    {"reae", "main", DENET_REASON_PIPE},
    {"rea", "main", DENET_REASON_PIPE},
    {"", "main", DENET_REASON_PIPE},
    {"read", "a name of 15 by", DENET_REASON_PIPE},
};

START_TEST(stacks_differ_by_frames_thread_and_reason_and_same_ones_are_one) {
  OWN_SET set = {0};
  add(&set, "read", "main", DENET_REASON_PIPE, 5);
  add(&set, others[_i].frame, others[_i].thread, others[_i].reason, 7);
  ck_assert_uint_eq(set.count, _i ? 2 : 1);
  ck_assert_uint_eq(set.stacks[0].time_ns, _i ? 5 : 12);
  ck_assert_uint_eq(set.stacks[0].count, _i ? 1 : 2);
  ck_assert_str_eq(set.stacks[set.count - 1].frames->names, others[_i].frame);
}
END_TEST

START_TEST(what_there_is_no_room_for_is_counted) {
  OWN_SET set = {0};
  for (int i = 0; i < DENET_STACKS_MOST + 3; i++) {
    char name[16];
    snprintf(name, sizeof(name), "f%d", i);
    add(&set, name, "main", DENET_REASON_LOCK, 1);
  }
  add(&set, "f0", "main", DENET_REASON_LOCK, 1);
  ck_assert_uint_eq(set.count, DENET_STACKS_MOST);
  ck_assert_uint_eq(set.lost, 3);
  ck_assert_uint_eq(set.stacks[0].count, 2);
  denet_stack_counts_clear(&set);
  ck_assert_uint_eq(set.count, 0);
  ck_assert_uint_eq(set.lost, 3);
}
END_TEST

START_TEST(frames_live_as_long_as_somebody_holds_them) {
  static const char names[] = "read\0main";
  struct denet_frames *frames = make_frames(names, sizeof(names));
  ck_assert_ptr_eq(denet_frames_hold(frames), frames);
  denet_frames_release(frames);
  ck_assert_uint_eq(frames->length, sizeof(names));
  ck_assert_mem_eq(frames->names, names, sizeof(names));
  denet_frames_release(frames);
  denet_frames_release(NULL);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, stacks_differ_by_frames_thread_and_reason_and_same_ones_are_one, others);
  ADD_TEST(suite, what_there_is_no_room_for_is_counted);
  ADD_TEST(suite, frames_live_as_long_as_somebody_holds_them);
}
