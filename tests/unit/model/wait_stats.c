#include "core/model/wait_stats.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define OWN_OFF_CPU DENET_CLEANUP(denet_wait_stats_done) struct denet_process_wait_stats

/* So many absences of a thread, all for one reason. */
static struct denet_wait_stats make_waits(enum denet_reason reason, uint64_t time_ns,
                                          uint64_t count) {
  struct denet_wait_stats waits = {.count = count,
                                   .longest_ns = count ? 2 * time_ns / count : 0,
                                   .shortest_ns = count ? time_ns / count / 2 : 0};
  waits.time_ns[reason] = time_ns;
  return waits;
}

static struct denet_off_cpu_thread make_thread(denet_u32 tid, struct denet_wait_stats waits) {
  return (struct denet_off_cpu_thread){
      .head = {DENET_OFF_CPU_THREAD, 10, 1000}, .waits = waits, .place.tid = tid};
}

static struct denet_off_cpu_sums make_process(denet_u32 kind, struct denet_wait_stats waits) {
  return (struct denet_off_cpu_sums){.head = {kind, 10, 1000}, .waits = waits};
}

static void add_thread(struct denet_process_wait_stats *off_cpu, uint64_t pass, denet_u32 tid,
                       struct denet_wait_stats waits) {
  struct denet_off_cpu_thread thread = make_thread(tid, waits);
  ck_assert_int_eq(denet_wait_stats_add_thread(off_cpu, pass, &thread), 0);
}

static void expect_time(const struct denet_process_wait_stats *off_cpu, struct denet_values *values,
                        enum denet_reason reason, uint64_t time_ns, uint64_t events) {
  uint64_t by_reason[DENET_REASONS];
  denet_wait_stats_take(off_cpu, values);
  denet_wait_stats_reasons(values, by_reason);
  ck_assert_uint_eq(by_reason[reason], time_ns);
  ck_assert_uint_eq(values->value[DENET_OFF_CPU_EVENTS], events);
}

START_TEST(each_reason_has_a_name_and_a_metric_of_its_own) {
  struct denet_process_wait_stats off_cpu = {.waits = make_waits(_i, 70, 1)};
  struct denet_values values = {0};
  uint64_t by_reason[DENET_REASONS];
  ck_assert_uint_gt(strlen(denet_reason_names[_i]), 0);
  denet_wait_stats_take(&off_cpu, &values);
  ck_assert_uint_eq(denet_wait_stats_reasons(&values, by_reason), 70);
  for (int i = 0; i < DENET_REASONS; i++)
    ck_assert_uint_eq(by_reason[i], i == _i ? 70 : 0);
  ck_assert_uint_eq(values.value[DENET_OFF_CPU_RUNQUEUE + _i], 70);
}
END_TEST

START_TEST(process_has_the_sums_of_its_threads_living_and_exited) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums exited =
      make_process(DENET_OFF_CPU_EXITED, make_waits(DENET_REASON_LOCK, 100, 4));
  denet_wait_stats_add_exited(&off_cpu, 1, &exited);
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_LOCK, 30, 1));
  add_thread(&off_cpu, 1, 11, make_waits(DENET_REASON_DISK, 5, 1));
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 130, 6);
  expect_time(&off_cpu, &values, DENET_REASON_DISK, 5, 6);
  ck_assert_uint_eq(denet_wait_stats_total(&off_cpu.waits), 135);
  ck_assert_uint_eq(off_cpu.waits.longest_ns, 60);
  ck_assert_uint_eq(off_cpu.waits.shortest_ns, 2);
  ck_assert_uint_eq(off_cpu.count, 2);
  ck_assert_int_eq(off_cpu.threads[1].tid, 11);
}
END_TEST

START_TEST(threads_are_those_of_the_last_pass) {
  OWN_OFF_CPU off_cpu = {0};
  for (denet_u32 tid = 0; tid < 100; tid++)
    add_thread(&off_cpu, 1, tid, make_waits(DENET_REASON_POLL, 10, 1));
  add_thread(&off_cpu, 2, 7, make_waits(DENET_REASON_POLL, 10, 1));
  ck_assert_uint_eq(off_cpu.count, 1);
  ck_assert_int_eq(off_cpu.threads[0].tid, 7);
}
END_TEST

/* A thread may exit while it is looked at, and be in neither sum. */
START_TEST(time_never_falls) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_SLEEP, 500, 2));
  expect_time(&off_cpu, &values, DENET_REASON_SLEEP, 500, 2);
  add_thread(&off_cpu, 2, 10, make_waits(DENET_REASON_SLEEP, 300, 1));
  expect_time(&off_cpu, &values, DENET_REASON_SLEEP, 500, 2);
  add_thread(&off_cpu, 3, 10, make_waits(DENET_REASON_SLEEP, 700, 3));
  expect_time(&off_cpu, &values, DENET_REASON_SLEEP, 700, 3);
}
END_TEST

START_TEST(end_has_the_last_word) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end =
      make_process(DENET_OFF_CPU_END, make_waits(DENET_REASON_NET, 900, 9));
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_NET, 500, 2));
  denet_wait_stats_end(&off_cpu, 1, &end);
  ck_assert(off_cpu.is_over);
  expect_time(&off_cpu, &values, DENET_REASON_NET, 900, 9);
}
END_TEST

/* Each of several threads that exit at once may be the last. */
START_TEST(of_several_ends_the_one_with_the_most_counts) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums some =
      make_process(DENET_OFF_CPU_END, make_waits(DENET_REASON_NET, 300, 3));
  struct denet_off_cpu_sums all =
      make_process(DENET_OFF_CPU_END, make_waits(DENET_REASON_NET, 900, 9));
  denet_wait_stats_end(&off_cpu, 1, _i ? &all : &some);
  denet_wait_stats_end(&off_cpu, 1, _i ? &some : &all);
  expect_time(&off_cpu, &values, DENET_REASON_NET, 900, 9);
}
END_TEST

START_TEST(what_was_before_it_was_left_alone_stays) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end =
      make_process(DENET_OFF_CPU_END, make_waits(DENET_REASON_LOCK, 7, 1));
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&off_cpu, 1);
  ck_assert_uint_eq(off_cpu.count, 0);
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 500, 2);
  add_thread(&off_cpu, 9, 10, make_waits(DENET_REASON_LOCK, 4, 1));
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 504, 3);
  denet_wait_stats_end(&off_cpu, 9, &end);
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 507, 3);
}
END_TEST

/* The kernel notices at its next list, and not before. */
START_TEST(what_is_left_alone_for_less_than_a_pass_goes_on) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end =
      make_process(DENET_OFF_CPU_END, make_waits(DENET_REASON_LOCK, 900, 9));
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&off_cpu, 1);
  denet_wait_stats_return(&off_cpu, 1);
  add_thread(&off_cpu, 2, 10, make_waits(DENET_REASON_LOCK, 600, 3));
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 600, 3);
  denet_wait_stats_leave(&off_cpu, 2);
  denet_wait_stats_end(&off_cpu, 2, &end);
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 900, 9);
}
END_TEST

START_TEST(what_is_left_alone_twice_stays) {
  OWN_OFF_CPU off_cpu = {0};
  struct denet_values values = {0};
  add_thread(&off_cpu, 1, 10, make_waits(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&off_cpu, 1);
  denet_wait_stats_leave(&off_cpu, 9);
  denet_wait_stats_return(&off_cpu, 9);
  add_thread(&off_cpu, 10, 10, make_waits(DENET_REASON_LOCK, 4, 1));
  expect_time(&off_cpu, &values, DENET_REASON_LOCK, 504, 3);
}
END_TEST

START_TEST(shortest_is_not_of_threads_that_never_left_a_cpu) {
  struct denet_wait_stats sum = {0}, none = {0}, some = make_waits(DENET_REASON_LOCK, 50, 1);
  denet_wait_stats_add(&sum, &none);
  denet_wait_stats_add(&sum, &some);
  denet_wait_stats_add(&sum, &none);
  ck_assert_mem_eq(&sum, &some, sizeof(sum));
}
END_TEST

void add_cases(Suite *suite) {
  static const char all_reasons[DENET_REASONS];
  ADD_TABLE(suite, each_reason_has_a_name_and_a_metric_of_its_own, all_reasons);
  ADD_TEST(suite, process_has_the_sums_of_its_threads_living_and_exited);
  ADD_TEST(suite, threads_are_those_of_the_last_pass);
  ADD_TEST(suite, time_never_falls);
  ADD_TEST(suite, end_has_the_last_word);
  static const char orders[2];
  ADD_TABLE(suite, of_several_ends_the_one_with_the_most_counts, orders);
  ADD_TEST(suite, what_was_before_it_was_left_alone_stays);
  ADD_TEST(suite, what_is_left_alone_for_less_than_a_pass_goes_on);
  ADD_TEST(suite, what_is_left_alone_twice_stays);
  ADD_TEST(suite, shortest_is_not_of_threads_that_never_left_a_cpu);
}
