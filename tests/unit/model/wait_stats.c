#include "core/model/wait_stats.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define OWN_STATS DENET_CLEANUP(denet_wait_stats_done) struct denet_process_wait_stats

/* Returns stats of count intervals, all for one reason. */
static struct denet_wait_stats make_stats(enum denet_reason reason, uint64_t time_ns,
                                          uint64_t count) {
  struct denet_wait_stats stats = {.count = count,
                                   .longest_ns = count ? 2 * time_ns / count : 0,
                                   .shortest_ns = count ? time_ns / count / 2 : 0};
  stats.time_ns[reason] = time_ns;
  return stats;
}

static struct denet_off_cpu_thread make_thread(denet_u32 tid, struct denet_wait_stats stats) {
  return (struct denet_off_cpu_thread){
      .head = {DENET_OFF_CPU_THREAD, 10, 1000}, .stats = stats, .point.tid = tid};
}

static struct denet_off_cpu_sums make_sums(denet_u32 kind, struct denet_wait_stats stats) {
  return (struct denet_off_cpu_sums){.head = {kind, 10, 1000}, .stats = stats};
}

static void add_thread(struct denet_process_wait_stats *process, uint64_t pass, denet_u32 tid,
                       struct denet_wait_stats stats) {
  struct denet_off_cpu_thread thread = make_thread(tid, stats);
  ck_assert_int_eq(denet_wait_stats_add_thread(process, pass, &thread), 0);
}

static void expect_time(const struct denet_process_wait_stats *process, struct denet_values *values,
                        enum denet_reason reason, uint64_t time_ns, uint64_t events) {
  uint64_t by_reason[DENET_REASONS];
  denet_wait_stats_take(process, values);
  denet_wait_stats_reasons(values, by_reason);
  ck_assert_uint_eq(by_reason[reason], time_ns);
  ck_assert_uint_eq(values->value[DENET_OFF_CPU_EVENTS], events);
}

START_TEST(each_reason_has_a_name_and_a_metric_of_its_own) {
  struct denet_process_wait_stats process = {.stats = make_stats(_i, 70, 1)};
  struct denet_values values = {0};
  uint64_t by_reason[DENET_REASONS];
  ck_assert_uint_gt(strlen(denet_reason_names[_i]), 0);
  denet_wait_stats_take(&process, &values);
  ck_assert_uint_eq(denet_wait_stats_reasons(&values, by_reason), 70);
  for (int i = 0; i < DENET_REASONS; i++)
    ck_assert_uint_eq(by_reason[i], i == _i ? 70 : 0);
  ck_assert_uint_eq(values.value[DENET_OFF_CPU_RUNQUEUE + _i], 70);
}
END_TEST

START_TEST(process_has_the_sums_of_its_threads_living_and_exited) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums exited =
      make_sums(DENET_OFF_CPU_EXITED, make_stats(DENET_REASON_LOCK, 100, 4));
  denet_wait_stats_add_exited(&process, 1, &exited);
  add_thread(&process, 1, 10, make_stats(DENET_REASON_LOCK, 30, 1));
  add_thread(&process, 1, 11, make_stats(DENET_REASON_DISK, 5, 1));
  expect_time(&process, &values, DENET_REASON_LOCK, 130, 6);
  expect_time(&process, &values, DENET_REASON_DISK, 5, 6);
  ck_assert_uint_eq(denet_wait_stats_total(&process.stats), 135);
  ck_assert_uint_eq(process.stats.longest_ns, 60);
  ck_assert_uint_eq(process.stats.shortest_ns, 2);
  ck_assert_uint_eq(process.count, 2);
  ck_assert_int_eq(process.threads[1].tid, 11);
}
END_TEST

START_TEST(threads_are_those_of_the_last_pass) {
  OWN_STATS process = {0};
  for (denet_u32 tid = 0; tid < 100; tid++)
    add_thread(&process, 1, tid, make_stats(DENET_REASON_POLL, 10, 1));
  add_thread(&process, 2, 7, make_stats(DENET_REASON_POLL, 10, 1));
  ck_assert_uint_eq(process.count, 1);
  ck_assert_int_eq(process.threads[0].tid, 7);
}
END_TEST

/* A thread that exits while the list is made may be in neither sum. */
START_TEST(time_never_falls) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  add_thread(&process, 1, 10, make_stats(DENET_REASON_SLEEP, 500, 2));
  expect_time(&process, &values, DENET_REASON_SLEEP, 500, 2);
  add_thread(&process, 2, 10, make_stats(DENET_REASON_SLEEP, 300, 1));
  expect_time(&process, &values, DENET_REASON_SLEEP, 500, 2);
  add_thread(&process, 3, 10, make_stats(DENET_REASON_SLEEP, 700, 3));
  expect_time(&process, &values, DENET_REASON_SLEEP, 700, 3);
}
END_TEST

START_TEST(sums_at_the_end_are_final) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end =
      make_sums(DENET_OFF_CPU_END, make_stats(DENET_REASON_NET, 900, 9));
  add_thread(&process, 1, 10, make_stats(DENET_REASON_NET, 500, 2));
  denet_wait_stats_end(&process, 1, &end);
  ck_assert(process.is_over);
  expect_time(&process, &values, DENET_REASON_NET, 900, 9);
}
END_TEST

/* Each of several threads that exit at once may be the last. */
START_TEST(of_several_ends_the_one_with_the_most_counts) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums some =
      make_sums(DENET_OFF_CPU_END, make_stats(DENET_REASON_NET, 300, 3));
  struct denet_off_cpu_sums all =
      make_sums(DENET_OFF_CPU_END, make_stats(DENET_REASON_NET, 900, 9));
  denet_wait_stats_end(&process, 1, _i ? &all : &some);
  denet_wait_stats_end(&process, 1, _i ? &some : &all);
  expect_time(&process, &values, DENET_REASON_NET, 900, 9);
}
END_TEST

START_TEST(time_before_it_was_left_stays) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end = make_sums(DENET_OFF_CPU_END, make_stats(DENET_REASON_LOCK, 7, 1));
  add_thread(&process, 1, 10, make_stats(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&process, 1);
  ck_assert_uint_eq(process.count, 0);
  expect_time(&process, &values, DENET_REASON_LOCK, 500, 2);
  add_thread(&process, 9, 10, make_stats(DENET_REASON_LOCK, 4, 1));
  expect_time(&process, &values, DENET_REASON_LOCK, 504, 3);
  denet_wait_stats_end(&process, 9, &end);
  expect_time(&process, &values, DENET_REASON_LOCK, 507, 3);
}
END_TEST

/* The kernel begins anew only with the next list. */
START_TEST(sums_go_on_if_it_is_followed_again_before_the_next_list) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums end =
      make_sums(DENET_OFF_CPU_END, make_stats(DENET_REASON_LOCK, 900, 9));
  add_thread(&process, 1, 10, make_stats(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&process, 1);
  denet_wait_stats_return(&process, 1);
  add_thread(&process, 2, 10, make_stats(DENET_REASON_LOCK, 600, 3));
  expect_time(&process, &values, DENET_REASON_LOCK, 600, 3);
  denet_wait_stats_leave(&process, 2);
  denet_wait_stats_end(&process, 2, &end);
  expect_time(&process, &values, DENET_REASON_LOCK, 900, 9);
}
END_TEST

START_TEST(time_stays_if_it_is_left_twice) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  add_thread(&process, 1, 10, make_stats(DENET_REASON_LOCK, 500, 2));
  denet_wait_stats_leave(&process, 1);
  denet_wait_stats_leave(&process, 9);
  denet_wait_stats_return(&process, 9);
  add_thread(&process, 10, 10, make_stats(DENET_REASON_LOCK, 4, 1));
  expect_time(&process, &values, DENET_REASON_LOCK, 504, 3);
}
END_TEST

START_TEST(shortest_is_not_of_threads_that_never_left_a_cpu) {
  struct denet_wait_stats sum = {0}, none = {0}, some = make_stats(DENET_REASON_LOCK, 50, 1);
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
  ADD_TEST(suite, sums_at_the_end_are_final);
  static const char orders[2];
  ADD_TABLE(suite, of_several_ends_the_one_with_the_most_counts, orders);
  ADD_TEST(suite, time_before_it_was_left_stays);
  ADD_TEST(suite, sums_go_on_if_it_is_followed_again_before_the_next_list);
  ADD_TEST(suite, time_stays_if_it_is_left_twice);
  ADD_TEST(suite, shortest_is_not_of_threads_that_never_left_a_cpu);
}
