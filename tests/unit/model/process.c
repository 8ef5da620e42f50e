#include "core/model/process.h"

#include "core/model/thread_sums.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#define STAMP(stamp) .has_exec_stamp = true, .exec_stamp = (stamp)
#define STATUS(status) .has_exit_status = true, .exit_status = (status)

/* A process runs its first program (stamp 7); the next sample of it. */
static const struct {
  struct denet_identity next;
  bool execd, changed, ended, no_mm;
} samples[] = {
    {{.name = "app", STAMP(7), .threads = 1}, 0, 0, 0, 0},
    {{.name = "app", STAMP(8), .threads = 1}, 1, 1, 0, 0},
    {{.name = "new", STAMP(7), .threads = 1}, 0, 1, 0, 0},
    {{.name = "new", STAMP(8), .threads = 1}, 1, 1, 0, 0},
    {{.name = "app", STAMP(7), .threads = 1, .never_execd = true}, 1, 1, 0, 0},
    /* It has called exec and exited since: only a stamp shows the exec. */
    {{.name = "app", STAMP(8), .is_zombie = true}, 1, 1, 1, 0},
    {{.name = "new", STAMP(8), .is_zombie = true}, 1, 1, 1, 0},
    {{.name = "app", STAMP(7), .is_zombie = true}, 0, 0, 1, 0},
    {{.name = "app", STAMP(7), .is_zombie = true, .threads = 1}, 0, 0, 1, 0},
    {{.name = "app", .exec_stamp = 8, .is_zombie = true}, 0, 0, 1, 0},
    {{.name = "new", .exec_stamp = 8, .is_zombie = true}, 0, 1, 1, 0},
    /* Its main thread has exited, or is about to. */
    {{.name = "app", STAMP(8), .is_zombie = true, .threads = 2}, 1, 1, 0, 1},
    {{.name = "app", STAMP(7), .no_mm = true, .threads = 1}, 0, 0, 0, 1},
    {{.name = "app", STAMP(8), .no_mm = true, .threads = 1}, 1, 1, 0, 1},
    {{.name = "app", .exec_stamp = 8, .no_mm = true, .threads = 1}, 0, 0, 0, 1},
};

static void identify_first(struct denet_process *process) {
  struct denet_identity first = {.name = "app", STAMP(7), .threads = 1};
  denet_process_identify(process, &first);
}

START_TEST(identity_says_what_has_changed) {
  struct denet_process process = {.exec_stamp = 7, .name = "app"};
  denet_process_identify(&process, &samples[_i].next);
  ck_assert_int_eq(process.execd, samples[_i].execd);
  ck_assert_int_eq(process.changed, samples[_i].changed);
  ck_assert_int_eq(process.ended, samples[_i].ended);
  ck_assert_int_eq(process.no_mm, samples[_i].no_mm);
  ck_assert_str_eq(process.name, samples[_i].next.name);
}
END_TEST

START_TEST(exec_is_noticed_by_the_last_known_stamp) {
  struct denet_process process = {.is_new = true};
  identify_first(&process);
  process.is_new = process.execd = process.changed = false;
  denet_process_identify(&process, &(struct denet_identity){.name = "app", .no_mm = true});
  ck_assert(!process.execd);
  identify_first(&process);
  ck_assert(!process.execd && !process.changed);
}
END_TEST

START_TEST(new_process_has_execd_until_the_rules_are_matched) {
  struct denet_process process = {.is_new = true};
  for (int i = 0; i < 2; i++, process.is_new = false) {
    denet_process_identify(&process, &samples[_i].next);
    ck_assert(process.execd && process.changed);
  }
}
END_TEST

static const struct {
  struct denet_identity identity;
  bool has_exit_status;
  int exit_status;
  bool oom_killed;
} ends[] = {
    {{.threads = 1, STATUS(256)}, false, 0, false},
    {{.threads = 1, .oom_killed = true}, false, 0, false},
    {{.is_zombie = true, STATUS(256)}, true, 256, false},
    {{.is_zombie = true, STATUS(9), .oom_killed = true}, true, 9, true},
    {{.is_zombie = true, .exit_status = 9, .oom_killed = true}, false, 0, true},
    {{.is_zombie = true, .threads = 1, STATUS(9)}, true, 9, false},
    {{.is_zombie = true, .threads = 2, STATUS(9), .oom_killed = true}, false, 0, false},
    {{.no_mm = true, .threads = 1, STATUS(9), .oom_killed = true}, false, 0, false},
};

START_TEST(exit_status_is_that_of_an_ended_process) {
  struct denet_process process = {.is_new = true};
  struct denet_identity identity = ends[_i].identity;
  identity.name = "app";
  denet_process_identify(&process, &identity);
  ck_assert_int_eq(process.has_exit_status, ends[_i].has_exit_status);
  ck_assert_int_eq(process.exit_status, ends[_i].exit_status);
  ck_assert_int_eq(process.oom_killed, ends[_i].oom_killed);
}
END_TEST

START_TEST(name_is_cut_at_15_bytes_and_no_change_by_that) {
  struct denet_process process = {.is_new = true};
  struct denet_identity identity = {.name = "0123456789abcdefgh", .threads = 1};
  denet_process_identify(&process, &identity);
  ck_assert_str_eq(process.name, "0123456789abcde");
  process.is_new = process.execd = process.changed = false;
  denet_process_identify(&process, &identity);
  ck_assert(!process.changed);
}
END_TEST

START_TEST(usage_of_a_process_that_counts_nowhere_is_dropped) {
  struct denet_process process = {0};
  struct denet_values gained;
  denet_process_done(NULL);
  denet_process_done(&process);
  denet_process_drop_usage(&process);
  ck_assert_ptr_nonnull(denet_process_use(&process));
  denet_process_drop_usage(&process);
  ck_assert_ptr_null(process.usage);
  struct denet_usage *usage = denet_process_use(&process);
  usage->threads = denet_thread_sums_new();
  denet_values_set(&usage->now, DENET_MINOR_FAULTS, 1);
  denet_usage_advance(usage, DENET_BASELINE_BIRTH, &gained);
  denet_process_drop_usage(&process);
  ck_assert_ptr_eq(process.usage, usage);
  denet_process_done(&process);
  denet_process_done(&process);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, identity_says_what_has_changed, samples);
  ADD_TEST(suite, exec_is_noticed_by_the_last_known_stamp);
  ADD_TABLE(suite, new_process_has_execd_until_the_rules_are_matched, samples);
  ADD_TABLE(suite, exit_status_is_that_of_an_ended_process, ends);
  ADD_TEST(suite, name_is_cut_at_15_bytes_and_no_change_by_that);
  ADD_TEST(suite, usage_of_a_process_that_counts_nowhere_is_dropped);
}
