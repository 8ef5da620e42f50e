#include "core/model/thread_sums.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

static void threads_freep(struct denet_thread_sums **threads) { denet_thread_sums_free(*threads); }

#define OWN_THREADS DENET_CLEANUP(threads_freep) struct denet_thread_sums *

/* Visits a thread with this run time and run queue delay; the sums are of the delay. */
static int visit(struct denet_thread_sums *threads, pid_t tid, uint64_t run_ns, uint64_t delay_ns) {
  const struct denet_thread_times times = {run_ns, delay_ns, run_ns / 10};
  int has_run = denet_thread_sums_visit(threads, tid, &times);
  ck_assert_int_ge(has_run, 0);
  struct denet_values counters = {0};
  denet_values_set(&counters, DENET_RUN_DELAY, delay_ns);
  if (has_run)
    denet_thread_sums_add(threads, &counters);
  return has_run;
}

static uint64_t total(struct denet_thread_sums *threads) {
  struct denet_values sums = {0};
  denet_thread_sums_take(threads, &sums);
  return denet_values_get(&sums, DENET_RUN_DELAY);
}

static const struct {
  struct denet_thread_times times[3];
  int has_run[3];
} visits[] = {
    {{{100, 7, 10}, {100, 7, 10}, {101, 9, 10}}, {1, 0, 1}},
    {{{100, 7, 1}, {100, 7, 1}, {100, 7, 2}}, {1, 0, 1}}, /* a timeslice without run time */
    {{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, {1, 0, 0}},       /* it has never run */
};

START_TEST(visit_and_may_have_run_tell_a_thread_that_has_run) {
  OWN_THREADS threads = denet_thread_sums_new();
  for (unsigned i = 0; i < 3; i++) {
    const struct denet_thread_times *times = &visits[_i].times[i];
    ck_assert_int_eq(denet_thread_sums_may_have_run(threads, 5, times), visits[_i].has_run[i]);
    ck_assert_int_eq(denet_thread_sums_visit(threads, 5, times), visits[_i].has_run[i]);
    if (!visits[_i].has_run[i])
      continue;
    /* It stays so until its counters are added. */
    ck_assert(denet_thread_sums_may_have_run(threads, 5, times));
    ck_assert_int_eq(denet_thread_sums_visit(threads, 5, times), 1);
    denet_thread_sums_add(threads, &(struct denet_values){0});
  }
}
END_TEST

/* Between two passes one exited and another got its number. */
static const struct {
  uint64_t run_ns, delay_ns; /* of the new one; the old one had 100 and 20 */
  uint64_t total;
} reused[] = {
    {50, 5, 25},  {50, 30, 50},  {0, 0, 20},
    {200, 5, 25}, {200, 25, 25}, /* it looks like the old one, and no sum falls */
};

START_TEST(reused_tid_never_goes_backwards) {
  OWN_THREADS threads = denet_thread_sums_new();
  visit(threads, 2, 100, 20);
  visit(threads, 2, reused[_i].run_ns, reused[_i].delay_ns);
  ck_assert_uint_eq(total(threads), reused[_i].total);
  visit(threads, 2, reused[_i].run_ns + 10, reused[_i].delay_ns + 3);
  ck_assert_uint_eq(total(threads), reused[_i].total + 3);
}
END_TEST

START_TEST(counter_that_comes_later_gains_all_that_it_has) {
  OWN_THREADS threads = denet_thread_sums_new();
  struct denet_values counters = {0}, sums = {0};
  visit(threads, 2, 100, 20);
  denet_values_set(&counters, DENET_SYSCALL_READ, 700);
  denet_thread_sums_add(threads, &counters);
  denet_thread_sums_take(threads, &sums);
  ck_assert_uint_eq(sums.value[DENET_SYSCALL_READ], 700);
  ck_assert_uint_eq(sums.value[DENET_RUN_DELAY], 20);
  /* One that falls, as another thread has the number, lowers no sum. */
  denet_values_set(&counters, DENET_SYSCALL_READ, 300);
  denet_thread_sums_add(threads, &counters);
  sums = (struct denet_values){0};
  denet_thread_sums_take(threads, &sums);
  ck_assert_uint_eq(sums.value[DENET_SYSCALL_READ], 700);
}
END_TEST

#define MANY 2000

START_TEST(two_thousand_threads_come_and_go) {
  OWN_THREADS threads = denet_thread_sums_new();
  uint64_t expected = 0;
  for (unsigned pass = 1; pass <= 20; pass++) {
    denet_thread_sums_begin(threads, 0);
    for (unsigned i = 0; i < MANY; i++) {
      pid_t tid = (pid_t)(i * 7919 % MANY) + 1; /* every one, in no order */
      bool lives = tid % 3 != 0 || pass % 2 == 1;
      if (!lives)
        continue;
      /* Every third is another thread each time: it has all that it has. */
      expected += tid % 3 ? 5 : 5 * pass;
      visit(threads, tid, 100 * pass, 5 * pass);
    }
    denet_thread_sums_end(threads, true);
    ck_assert_uint_eq(total(threads), expected);
  }
}
END_TEST

START_TEST(take_lifts_a_sum_to_that_of_the_process_and_neither_lowers_nor_adds_one) {
  OWN_THREADS threads = denet_thread_sums_new();
  struct denet_values now = {0};
  denet_thread_sums_take(threads, &now);
  ck_assert(denet_metric_set_is_empty(&now.present));
  visit(threads, 1, 100, 50);
  denet_values_set(&now, DENET_RSS, 4096);
  denet_values_set(&now, DENET_RUN_DELAY, 40);
  denet_thread_sums_take(threads, &now);
  ck_assert_uint_eq(now.value[DENET_RUN_DELAY], 50);
  denet_values_set(&now, DENET_RUN_DELAY, 80);
  ck_assert_uint_eq(total(threads), 50);
  denet_thread_sums_take(threads, &now);
  ck_assert_uint_eq(total(threads), 80);
  visit(threads, 1, 110, 53);
  ck_assert_uint_eq(total(threads), 83);
  now = (struct denet_values){0};
  denet_thread_sums_take(threads, &now);
  ck_assert(!denet_values_has(&now, DENET_RSS));
}
END_TEST

/* The files of a thread in one pass; tid 0: no thread. */
struct reading {
  pid_t tid;
  uint64_t start_ns, run_ns, delay_ns;
};

#define MAIN 10
#define READINGS 4

static void visit_at(struct denet_thread_sums *threads, const struct reading *reading) {
  visit(threads, reading->tid, reading->run_ns, reading->delay_ns);
  if (denet_thread_sums_lacks_start(threads, reading->tid))
    denet_thread_sums_start(threads, reading->start_ns);
}

static uint64_t blocked_at(struct denet_thread_sums *threads, uint64_t now_ns) {
  uint64_t blocked_ns = 0;
  ck_assert(denet_thread_sums_blocked(threads, now_ns, &blocked_ns));
  return blocked_ns;
}

/* Makes one pass. The stamp changes with each exec. */
static uint64_t pass_at(struct denet_thread_sums *threads, uint64_t now_ns, uint64_t stamp,
                        const struct reading readings[READINGS]) {
  denet_thread_sums_begin(threads, now_ns);
  denet_thread_sums_note_main(threads, MAIN, stamp, false);
  for (unsigned i = 0; i < READINGS && readings[i].tid; i++)
    visit_at(threads, &readings[i]);
  denet_thread_sums_end(threads, true);
  return blocked_at(threads, now_ns);
}

START_TEST(blocked_time_is_unknown_without_a_start) {
  static const struct denet_thread_times times = {100, 10, 1};
  OWN_THREADS threads = denet_thread_sums_new();
  uint64_t blocked_ns;
  ck_assert(!denet_thread_sums_blocked(threads, 1000, &blocked_ns));
  denet_thread_sums_begin(threads, 1000);
  denet_thread_sums_visit(threads, MAIN, &times);
  ck_assert(denet_thread_sums_lacks_start(threads, MAIN));
  denet_thread_sums_end(threads, true);
  ck_assert(!denet_thread_sums_blocked(threads, 1000, &blocked_ns));
}
END_TEST

/* Two passes, at 1000 and at 2000, of the same program. */
static const struct {
  struct reading first[READINGS], second[READINGS];
  uint64_t blocked[2];
} passes[] = {
    /* Asleep all the time, busy, in the run queue all the time, and some of each. */
    {{{10, 400, 0, 0}}, {{10, 400, 0, 0}}, {600, 1600}},
    {{{10, 400, 600, 0}}, {{10, 400, 1600, 0}}, {0, 0}},
    {{{10, 400, 0, 600}}, {{10, 400, 0, 1600}}, {0, 0}},
    {{{10, 400, 200, 100}}, {{10, 400, 500, 400}}, {300, 700}},
    /* Several threads in any order. */
    {{{12, 900, 10, 0}, {10, 400, 0, 0}, {11, 800, 50, 50}},
     {{10, 400, 0, 0}, {11, 800, 1050, 50}, {12, 900, 10, 0}},
     {790, 2790}},
    /* A new thread: its blocked time since its start. */
    {{{10, 400, 0, 0}}, {{10, 400, 0, 0}, {11, 1600, 100, 50}}, {600, 1850}},
    /* A thread that exits: its blocked time until its last visit. */
    {{{10, 400, 0, 0}, {11, 500, 100, 0}}, {{10, 400, 0, 0}}, {1000, 2000}},
    /* Its number is that of another thread, which started later. */
    {{{10, 400, 0, 0}, {11, 500, 100, 0}}, {{10, 400, 0, 0}, {11, 1700, 30, 0}}, {1000, 2270}},
    {{{10, 400, 0, 0}, {11, 500, 100, 90}}, {{10, 400, 0, 0}, {11, 1700, 110, 0}}, {910, 2100}},
    /* The main thread has less time than before: it is another thread, and its past is not known.
     */
    {{{10, 0, 500, 0}, {11, 100, 200, 0}}, {{10, 0, 210, 0}}, {1200, 1200}},
    /* A start that is rounded up, or a wait that ends, does not lower the blocked time. */
    {{{10, 400, 700, 0}}, {{10, 400, 1650, 0}}, {0, 0}},
    {{{10, 400, 0, 0}}, {{10, 400, 0, 1500}}, {600, 600}},
    /* The errors of rounded starts cancel out. */
    {{{10, 995, 10, 0}, {11, 985, 5, 0}}, {{10, 995, 20, 0}, {11, 985, 5, 0}}, {5, 1995}},
};

START_TEST(threads_are_blocked_when_they_neither_run_nor_wait_to) {
  OWN_THREADS threads = denet_thread_sums_new();
  ck_assert_uint_eq(pass_at(threads, 1000, 1, passes[_i].first), passes[_i].blocked[0]);
  ck_assert_uint_eq(pass_at(threads, 2000, 1, passes[_i].second), passes[_i].blocked[1]);
}
END_TEST

START_TEST(blocked_time_grows_between_passes_also_of_a_thread_that_exits_then) {
  static const struct reading both[READINGS] = {{10, 0, 0, 0}, {11, 0, 0, 0}};
  static const struct reading one[READINGS] = {{10, 0, 10, 0}};
  OWN_THREADS threads = denet_thread_sums_new();
  ck_assert_uint_eq(pass_at(threads, 1000, 1, both), 2000);
  ck_assert_uint_eq(blocked_at(threads, 5000), 10000);
  ck_assert_uint_eq(blocked_at(threads, 5000), 10000);
  ck_assert_uint_eq(blocked_at(threads, 4000), 10000);
  ck_assert_uint_eq(pass_at(threads, 6000, 1, one), 10990);
  ck_assert_uint_eq(pass_at(threads, 7000, 1, one), 11990);
}
END_TEST

START_TEST(thread_known_from_half_a_pass_counts_when_it_exits) {
  static const struct reading first = {11, 400, 100, 0};
  static const struct reading rest[READINGS] = {{10, 0, 0, 0}};
  OWN_THREADS threads = denet_thread_sums_new();
  denet_thread_sums_begin(threads, 1000);
  visit_at(threads, &first);
  denet_thread_sums_end(threads, false);
  ck_assert_uint_eq(pass_at(threads, 2000, 1, rest), 500 + 2000);
}
END_TEST

/* At 1000 a process has threads that started at 0, 100, 200. At 2000 it has exec'd, and the thread
 * that is left has the number and the start of the main thread. Or at 2000 the main thread has
 * exited, another thread has exec'd at 3000, and no stamp is known. */
static const struct {
  bool has_exited;
  struct reading before[READINGS], after;
  uint64_t blocked[2], delay_total;
} execs[] = {
    /* The main thread exec'd, without other threads and with one. */
    {0, {{10, 0, 300, 10}}, {10, 0, 310, 10}, {690, 1680}, 10},
    {0, {{10, 0, 300, 10}, {11, 100, 400, 0}}, {10, 0, 310, 10}, {1190, 2180}, 10},
    /* Another thread exec'd, with more time or less: its own counters go on. */
    {0, {{10, 0, 5, 0}, {11, 100, 600, 20}}, {10, 0, 610, 30}, {1275, 2255}, 30},
    {0, {{10, 0, 600, 20}, {11, 100, 5, 0}}, {10, 0, 15, 30}, {1275, 2235}, 50},
    {0, {{10, 0, 5, 0}, {11, 100, 600, 20}, {12, 200, 300, 0}}, {10, 0, 310, 1}, {1775, 2764}, 21},
    /* Both times count for the choice of the thread, not only their sum. */
    {0,
     {{10, 0, 5, 0}, {11, 100, 100, 300}, {12, 200, 600, 0}},
     {10, 0, 110, 310},
     {1695, 2675},
     310},
    {0,
     {{10, 0, 5, 0}, {11, 100, 600, 0}, {12, 200, 500, 200}},
     {10, 0, 610, 5},
     {1395, 2380},
     205},
    /* A thread exec'd that had not been seen. */
    {0, {{10, 0, 600, 20}, {11, 100, 700, 0}}, {10, 0, 15, 30}, {580, 580}, 50},
    {1, {{10, 0, 50, 0}, {11, 100, 200, 0}}, {10, 0, 210, 0}, {1650, 950 + 2690}, 0},
    {1, {{10, 0, 205, 0}, {11, 100, 200, 0}}, {10, 0, 210, 0}, {1495, 795 + 2690}, 0},
    {1, {{10, 0, 5, 0}, {11, 100, 200, 0}}, {10, 0, 20, 0}, {1695, 1695}, 0},
};

START_TEST(thread_that_execs_takes_the_place_of_the_main_thread) {
  OWN_THREADS threads = denet_thread_sums_new();
  const struct reading after[READINGS] = {execs[_i].after};
  uint64_t stamp = execs[_i].has_exited ? 0 : 1, next = 2 * stamp, now_ns = 2000, delay_ns = 0;
  for (unsigned i = 0; i < READINGS; i++)
    delay_ns += execs[_i].before[i].delay_ns;
  ck_assert_uint_eq(pass_at(threads, 1000, stamp, execs[_i].before), execs[_i].blocked[0]);
  ck_assert_uint_eq(total(threads), delay_ns);
  if (execs[_i].has_exited) {
    denet_thread_sums_begin(threads, now_ns);
    denet_thread_sums_note_main(threads, MAIN, 0, true);
    denet_thread_sums_end(threads, false);
    now_ns += 1000;
  }
  ck_assert_uint_eq(pass_at(threads, now_ns, next, after), execs[_i].blocked[1]);
  ck_assert_uint_eq(pass_at(threads, now_ns + 1000, next, after), execs[_i].blocked[1] + 1000);
  ck_assert_uint_eq(total(threads), execs[_i].delay_total);
}
END_TEST

START_TEST(stamp_that_becomes_known_is_no_exec) {
  static const struct reading before[READINGS] = {{10, 0, 50, 0}, {11, 400, 10, 100}};
  static const struct reading after[READINGS] = {{10, 0, 60, 200}, {11, 400, 10, 100}};
  OWN_THREADS threads = denet_thread_sums_new();
  ck_assert_uint_eq(pass_at(threads, 1000, 0, before), 1440);
  ck_assert_uint_eq(pass_at(threads, 2000, 7, after), 3230);
  ck_assert_uint_eq(pass_at(threads, 3000, 0, after), 5230);
  ck_assert_uint_eq(pass_at(threads, 4000, 7, after), 7230);
}
END_TEST

START_TEST(ten_thousand_threads_of_a_month_fit) {
  static const uint64_t day_ns = UINT64_C(86400000000000);
  OWN_THREADS threads = denet_thread_sums_new();
  denet_thread_sums_begin(threads, 30 * day_ns);
  for (pid_t tid = 1; tid <= 10000; tid++)
    visit_at(threads, &(struct reading){tid, day_ns, 0, 0});
  denet_thread_sums_end(threads, true);
  uint64_t before_ns = blocked_at(threads, 30 * day_ns);
  ck_assert_uint_eq(before_ns, 10000 * 29 * day_ns); /* modulo 2^64 */
  ck_assert_uint_eq(blocked_at(threads, 31 * day_ns) - before_ns, 10000 * day_ns);
}
END_TEST

START_TEST(threads_that_were_not_visited_are_found) {
  static const struct reading readings[READINGS] = {{10, 0, 0, 0}, {14, 0, 0, 0}, {12, 0, 0, 0}};
  OWN_THREADS threads = denet_thread_sums_new();
  pass_at(threads, 1000, 1, readings);
  ck_assert_int_eq(denet_thread_sums_next_missing(threads, 0), 0);
  denet_thread_sums_begin(threads, 2000);
  visit_at(threads, &readings[2]);
  ck_assert_int_eq(denet_thread_sums_next_missing(threads, 0), 10);
  ck_assert_int_eq(denet_thread_sums_next_missing(threads, 10), 14);
  ck_assert_int_eq(denet_thread_sums_next_missing(threads, 14), 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, visit_and_may_have_run_tell_a_thread_that_has_run, visits);
  ADD_TABLE(suite, reused_tid_never_goes_backwards, reused);
  ADD_TEST(suite, counter_that_comes_later_gains_all_that_it_has);
  ADD_TEST(suite, two_thousand_threads_come_and_go);
  ADD_TEST(suite, take_lifts_a_sum_to_that_of_the_process_and_neither_lowers_nor_adds_one);
  ADD_TEST(suite, blocked_time_is_unknown_without_a_start);
  ADD_TABLE(suite, threads_are_blocked_when_they_neither_run_nor_wait_to, passes);
  ADD_TEST(suite, blocked_time_grows_between_passes_also_of_a_thread_that_exits_then);
  ADD_TEST(suite, thread_known_from_half_a_pass_counts_when_it_exits);
  ADD_TABLE(suite, thread_that_execs_takes_the_place_of_the_main_thread, execs);
  ADD_TEST(suite, stamp_that_becomes_known_is_no_exec);
  ADD_TEST(suite, ten_thousand_threads_of_a_month_fit);
  ADD_TEST(suite, threads_that_were_not_visited_are_found);
}
