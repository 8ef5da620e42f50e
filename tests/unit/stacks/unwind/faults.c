/* Stacks of a process while each call fails in turn: they are cut or without names then, and
 * nothing worse happens. */
#include "tests/unit/faults.h"
#include "tests/unit/snapshot.h"

#define CALLS (FAULT_OPEN | FAULT_READ | FAULT_LINK | FAULT_STATUS | FAULT_SEEK)

/* Opens the process and gets its frames. 0 or -errno. */
static int ask(struct denet_unwinder *unwinder, const struct denet_snapshot *snapshot,
               struct denet_buffer *frames) {
  denet_buffer_clear(frames);
  denet_unwinder_open_process(unwinder, snapshot->pid, snapshot->start_ns, snapshot->exec_id, 0, 0);
  return denet_unwinder_append_frames(unwinder, snapshot, frames);
}

static const struct {
  const char *program;
  unsigned calls;
  int error;
} rows[] = {
    {"chain", FAULT_ALLOCATE, 0},
    {"chain_plain", CALLS, EMFILE},
    {"chain_stripped", CALLS, EIO},
};

/* The leaf is known without any file. */
START_TEST(each_call_of_an_unwinder_may_fail) {
  struct fault fault = {.calls = rows[_i].calls, .count = 1, .error = rows[_i].error};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  struct field field = {0};
  bool has_failed = true;
  start(&field, rows[_i].program, "");
  take_snapshot(&field, 65536);
  unsigned descriptors = count_descriptors();
  for (fault.first = 1; has_failed; fault.first++) {
    struct denet_unwinder *unwinder = new_unwinder(BUDGET);
    faults_begin(fault);
    int outcome = ask(unwinder, &field.snapshot, &frames);
    has_failed = faults_end();
    bool is_whole = !outcome && frames.length && frames.bytes[frames.length - 1] == '\0';
    ck_assert_msg(is_whole || (outcome == -ENOMEM && !frames.length), "%s: %d at call %u",
                  rows[_i].program, outcome, fault.first);
    ck_assert_int_eq(ask(unwinder, &field.snapshot, &frames), 0);
    denet_unwinder_free(unwinder);
    ck_assert_uint_eq(count_descriptors(), descriptors);
  }
  ck_assert_uint_gt(fault.first, 20);
  ck_assert_ptr_nonnull(memmem(frames.bytes, frames.length, "_start", 6));
  stop(&field);
}
END_TEST

void add_cases(Suite *suite) { ADD_TABLE(suite, each_call_of_an_unwinder_may_fail, rows); }
