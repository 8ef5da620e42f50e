#include "core/threads.h"

#include "core/cleanup.h"

#include "tests/unit.h"

static void threads_freep(struct denet_threads **threads) { denet_threads_free(*threads); }

#define OWN_THREADS DENET_CLEANUP(threads_freep) struct denet_threads *

/* Visits a thread whose run time and run queue delay are these; the delay is what is added up. */
static int see(struct denet_threads *threads, pid_t tid, uint64_t run_ns, uint64_t delay_ns) {
  const struct denet_thread_times times = {run_ns, delay_ns, run_ns / 10};
  int has_run = denet_threads_visit(threads, tid, &times);
  ck_assert_int_ge(has_run, 0);
  struct denet_values counters = {0};
  denet_values_set(&counters, DENET_RUN_DELAY, delay_ns);
  if (has_run)
    denet_threads_add(threads, &counters);
  return has_run;
}

static uint64_t total(const struct denet_threads *threads) {
  return denet_threads_sums(threads)->value[DENET_RUN_DELAY];
}

START_TEST(fresh_threads_have_no_sums) {
  OWN_THREADS threads = denet_threads_new();
  denet_threads_begin(threads, 0);
  denet_threads_end(threads, true);
  ck_assert_uint_eq(denet_threads_sums(threads)->present, 0);
}
END_TEST

START_TEST(sum_is_over_all_threads_in_any_order) {
  static const pid_t orders[][4] = {{1, 2, 3, 4}, {4, 3, 2, 1}, {3, 1, 4, 2}};
  for (unsigned i = 0; i < DENET_COUNT_OF(orders); i++) {
    OWN_THREADS threads = denet_threads_new();
    denet_threads_begin(threads, 0);
    for (unsigned k = 0; k < 4; k++)
      see(threads, orders[i][k], 100, (uint64_t)orders[i][k]);
    denet_threads_end(threads, true);
    ck_assert_uint_eq(total(threads), 10);
  }
}
END_TEST

START_TEST(thread_that_has_not_run_is_spared) {
  OWN_THREADS threads = denet_threads_new();
  ck_assert_int_eq(see(threads, 5, 100, 7), 1);
  ck_assert_int_eq(see(threads, 5, 100, 7), 0);
  ck_assert_int_eq(see(threads, 5, 101, 9), 1);
  ck_assert_uint_eq(total(threads), 9);
}
END_TEST

START_TEST(another_timeslice_without_run_time_counts_as_having_run) {
  OWN_THREADS threads = denet_threads_new();
  static const struct denet_thread_times times[] = {{100, 7, 1}, {100, 7, 1}, {100, 7, 2}};
  static const int has_run[] = {1, 0, 1};
  for (unsigned i = 0; i < DENET_COUNT_OF(times); i++)
    ck_assert_int_eq(denet_threads_visit(threads, 5, &times[i]), has_run[i]);
}
END_TEST

START_TEST(thread_that_has_never_run_is_new_once) {
  OWN_THREADS threads = denet_threads_new();
  static const struct denet_thread_times never = {0};
  ck_assert_int_eq(denet_threads_visit(threads, 5, &never), 1);
  ck_assert_int_eq(denet_threads_visit(threads, 5, &never), 0);
}
END_TEST

START_TEST(part_of_an_exited_thread_stays) {
  OWN_THREADS threads = denet_threads_new();
  denet_threads_begin(threads, 0);
  see(threads, 1, 100, 10);
  see(threads, 2, 100, 20);
  denet_threads_end(threads, true);
  denet_threads_begin(threads, 0);
  see(threads, 1, 110, 11);
  denet_threads_end(threads, true);
  ck_assert_uint_eq(total(threads), 31);
  denet_threads_begin(threads, 0);
  denet_threads_end(threads, true);
  ck_assert_uint_eq(total(threads), 31);
}
END_TEST

START_TEST(reused_tid_of_a_forgotten_thread_counts_from_zero) {
  OWN_THREADS threads = denet_threads_new();
  denet_threads_begin(threads, 0);
  see(threads, 2, 100, 20);
  denet_threads_end(threads, true);
  denet_threads_begin(threads, 0);
  denet_threads_end(threads, true);
  denet_threads_begin(threads, 0);
  ck_assert_int_eq(see(threads, 2, 100, 5), 1);
  denet_threads_end(threads, true);
  ck_assert_uint_eq(total(threads), 25);
}
END_TEST

/* Between two passes one exited and another got its number. */
static const struct {
  uint64_t run_ns, delay_ns; /* of the new one; the old one had 100 and 20 */
  uint64_t total;
} reused[] = {
    {50, 5, 25}, {50, 30, 50}, {0, 0, 20}, {200, 5, 25},
    {200, 25, 25}, /* Cannot be told from the old one: but nothing goes backwards. */
};

START_TEST(reused_tid_never_goes_backwards) {
  OWN_THREADS threads = denet_threads_new();
  see(threads, 2, 100, 20);
  see(threads, 2, reused[_i].run_ns, reused[_i].delay_ns);
  ck_assert_uint_eq(total(threads), reused[_i].total);
  see(threads, 2, reused[_i].run_ns + 10, reused[_i].delay_ns + 3);
  ck_assert_uint_eq(total(threads), reused[_i].total + 3);
}
END_TEST

START_TEST(counter_that_comes_later_gains_all_that_it_has) {
  OWN_THREADS threads = denet_threads_new();
  see(threads, 2, 100, 20);
  struct denet_values counters = {0};
  denet_values_set(&counters, DENET_SYSCALL_READ, 700);
  const struct denet_thread_times same = {100, 20, 10};
  ck_assert_int_eq(denet_threads_visit(threads, 2, &same), 0);
  denet_threads_add(threads, &counters);
  ck_assert_uint_eq(denet_threads_sums(threads)->value[DENET_SYSCALL_READ], 700);
  ck_assert_uint_eq(total(threads), 20);
}
END_TEST

#define MANY 2000

START_TEST(two_thousand_threads_come_and_go) {
  OWN_THREADS threads = denet_threads_new();
  uint64_t expected = 0;
  for (unsigned pass = 1; pass <= 20; pass++) {
    denet_threads_begin(threads, 0);
    for (unsigned i = 0; i < MANY; i++) {
      pid_t tid = (pid_t)(i * 7919 % MANY) + 1; /* every one, in no order */
      bool lives = tid % 3 != 0 || pass % 2 == 1;
      if (!lives)
        continue;
      /* Every third is another thread each time: it has all that it has. */
      expected += tid % 3 ? 5 : 5 * pass;
      see(threads, tid, 100 * pass, 5 * pass);
    }
    denet_threads_end(threads, true);
    ck_assert_uint_eq(total(threads), expected);
  }
}
END_TEST

START_TEST(raise_lifts_a_sum_but_never_lowers_one) {
  OWN_THREADS threads = denet_threads_new();
  struct denet_values least = {0};
  see(threads, 1, 100, 50);
  denet_values_set(&least, DENET_RUN_DELAY, 40);
  denet_threads_raise(threads, &least);
  ck_assert_uint_eq(total(threads), 50);
  denet_values_set(&least, DENET_RUN_DELAY, 80);
  denet_threads_raise(threads, &least);
  ck_assert_uint_eq(total(threads), 80);
  see(threads, 1, 110, 53);
  ck_assert_uint_eq(total(threads), 83);
}
END_TEST

START_TEST(raise_leaves_alone_what_no_thread_has) {
  OWN_THREADS threads = denet_threads_new();
  struct denet_values least = {0};
  see(threads, 1, 100, 50);
  denet_values_set(&least, DENET_RSS, 4096);
  denet_threads_raise(threads, &least);
  ck_assert(!denet_values_has(denet_threads_sums(threads), DENET_RSS));
}
END_TEST

START_TEST(free_accepts_null) { denet_threads_free(NULL); }
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, fresh_threads_have_no_sums);
  ADD_TEST(suite, sum_is_over_all_threads_in_any_order);
  ADD_TEST(suite, thread_that_has_not_run_is_spared);
  ADD_TEST(suite, another_timeslice_without_run_time_counts_as_having_run);
  ADD_TEST(suite, thread_that_has_never_run_is_new_once);
  ADD_TEST(suite, part_of_an_exited_thread_stays);
  ADD_TEST(suite, reused_tid_of_a_forgotten_thread_counts_from_zero);
  ADD_TABLE(suite, reused_tid_never_goes_backwards, reused);
  ADD_TEST(suite, counter_that_comes_later_gains_all_that_it_has);
  ADD_TEST(suite, two_thousand_threads_come_and_go);
  ADD_TEST(suite, raise_lifts_a_sum_but_never_lowers_one);
  ADD_TEST(suite, raise_leaves_alone_what_no_thread_has);
  ADD_TEST(suite, free_accepts_null);
}
