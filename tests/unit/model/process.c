#include "core/model/process.h"

#include "core/model/thread_sums.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <math.h>

#define SECOND UINT64_C(1000000000)

static void set(struct denet_process *process, enum denet_metric metric, uint64_t value) {
  denet_values_set(&process->now, metric, value);
}

/* Three samples of a counter. */
static const struct {
  enum denet_baseline baseline;
  uint64_t now[3], delta[3], sum[3];
} counters[] = {
    {DENET_BASELINE_FIRST_SEEN, {100, 130, 130}, {0, 30, 0}, {0, 30, 30}},
    {DENET_BASELINE_FIRST_SEEN, {0, 0, 5}, {0, 0, 5}, {0, 0, 5}},
    {DENET_BASELINE_BIRTH, {100, 130, 131}, {100, 30, 1}, {100, 130, 131}},
    {DENET_BASELINE_BIRTH_IN_RECORDS, {100, 130, 131}, {0, 30, 1}, {100, 130, 131}},
    /* A counter that falls starts a new series: no increase for that sample. */
    {DENET_BASELINE_FIRST_SEEN, {100, 60, 65}, {0, 0, 5}, {0, 0, 5}},
    {DENET_BASELINE_BIRTH, {100, 60, 65}, {100, 0, 5}, {100, 100, 105}},
    {DENET_BASELINE_BIRTH, {100, 0, 300}, {100, 0, 300}, {100, 100, 400}},
    {DENET_BASELINE_FIRST_SEEN,
     {0, UINT64_MAX, UINT64_MAX},
     {0, UINT64_MAX, 0},
     {0, UINT64_MAX, UINT64_MAX}},
};

START_TEST(counter_begins_at_its_baseline_and_never_falls) {
  struct denet_process process = {.baseline = counters[_i].baseline};
  for (int i = 0; i < 3; i++) {
    set(&process, DENET_MINOR_FAULTS, counters[_i].now[i]);
    denet_process_advance(&process);
    ck_assert(denet_values_has(&process.delta, DENET_MINOR_FAULTS));
    ck_assert(denet_values_has(&process.total, DENET_MINOR_FAULTS));
    ck_assert_uint_eq(process.delta.value[DENET_MINOR_FAULTS], counters[_i].delta[i]);
    ck_assert_uint_eq(process.total.value[DENET_MINOR_FAULTS], counters[_i].sum[i]);
  }
}
END_TEST

START_TEST(gauge_is_its_last_value) {
  static const uint64_t rss[] = {500, 900, 0, 100};
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  for (unsigned i = 0; i < DENET_COUNT_OF(rss); i++) {
    set(&process, DENET_RSS, rss[i]);
    denet_process_advance(&process);
    ck_assert_uint_eq(process.total.value[DENET_RSS], rss[i]);
    ck_assert_uint_eq(process.delta.value[DENET_RSS], rss[i]);
  }
}
END_TEST

START_TEST(metric_that_was_never_read_is_absent) {
  struct denet_process process = {.baseline = DENET_BASELINE_BIRTH};
  set(&process, DENET_RSS, 1);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.total.present, UINT64_C(1) << DENET_RSS);
  ck_assert_uint_eq(process.delta.present, UINT64_C(1) << DENET_RSS);
}
END_TEST

static const struct {
  enum denet_baseline baseline;
  uint64_t first_sum, first_delta;
} late[] = {
    {DENET_BASELINE_FIRST_SEEN, 0, 0},
    {DENET_BASELINE_BIRTH, 700, 700},
    {DENET_BASELINE_BIRTH_IN_RECORDS, 700, 0},
};

START_TEST(metric_that_becomes_readable_later_begins_at_its_baseline) {
  struct denet_process process = {.baseline = late[_i].baseline};
  set(&process, DENET_MINOR_FAULTS, 10);
  denet_process_advance(&process);
  denet_process_advance(&process);
  set(&process, DENET_DISK_READ, 700);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.total.value[DENET_DISK_READ], late[_i].first_sum);
  ck_assert_uint_eq(process.delta.value[DENET_DISK_READ], late[_i].first_delta);
  set(&process, DENET_DISK_READ, 701);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.total.value[DENET_DISK_READ], late[_i].first_sum + 1);
  ck_assert_uint_eq(process.delta.value[DENET_DISK_READ], 1);
}
END_TEST

START_TEST(metric_that_is_no_sum_never_counts_from_birth) {
  struct denet_process process = {.baseline = late[_i].baseline};
  set(&process, DENET_NET_RX, 5000);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.total.value[DENET_NET_RX], 0);
  ck_assert_uint_eq(process.delta.value[DENET_NET_RX], 0);
  set(&process, DENET_NET_RX, 5010);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.total.value[DENET_NET_RX], 10);
}
END_TEST

START_TEST(unwatched_time_is_not_counted) {
  struct denet_process process = {.baseline = DENET_BASELINE_BIRTH};
  set(&process, DENET_MINOR_FAULTS, 10);
  denet_process_advance(&process);
  denet_process_unwatch(&process);
  process.baseline = DENET_BASELINE_FIRST_SEEN;
  set(&process, DENET_MINOR_FAULTS, 1000);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.delta.value[DENET_MINOR_FAULTS], 0);
  ck_assert_uint_eq(process.total.value[DENET_MINOR_FAULTS], 10);
  set(&process, DENET_MINOR_FAULTS, 1003);
  denet_process_advance(&process);
  ck_assert_uint_eq(process.delta.value[DENET_MINOR_FAULTS], 3);
  ck_assert_uint_eq(process.total.value[DENET_MINOR_FAULTS], 13);
}
END_TEST

static const struct {
  uint64_t user, system; /* before */
  uint64_t cpu_ns, user_ticks, system_ticks;
  uint64_t new_user, new_system;
} splits[] = {
    {0, 0, 0, 0, 0, 0, 0},
    {0, 0, 1000, 0, 0, 1000, 0},
    {0, 0, 1000, 1, 0, 1000, 0},
    {0, 0, 1000, 0, 1, 0, 1000},
    {0, 0, 1000, 3, 1, 750, 250},
    {0, 0, 1000, 1, 2, 334, 666},
    /* Neither part falls when the ratio changes. */
    {750, 250, 1000, 1, 3, 750, 250},
    {750, 250, 1001, 1, 3, 750, 251},
    {750, 250, 2000, 1, 3, 750, 1250},
    {250, 750, 2000, 3, 1, 1250, 750},
    {100, 900, 1200, 1, 0, 300, 900},
    /* A CPU time that falls changes nothing. */
    {750, 250, 999, 3, 1, 750, 250},
    /* Numbers that overflow 64 bits on the way: 100 years of CPU time. */
    {0, 0, UINT64_C(3155760000) * SECOND, UINT64_C(1) << 40, UINT64_C(3) << 40,
     UINT64_C(788940000) * SECOND, UINT64_C(2366820000) * SECOND},
};

START_TEST(cpu_time_is_split_in_the_ratio_of_the_ticks) {
  struct denet_values now = {0};
  denet_values_set(&now, DENET_CPU_USER, splits[_i].user);
  denet_values_set(&now, DENET_CPU_SYSTEM, splits[_i].system);
  denet_process_split_cpu(&now, splits[_i].cpu_ns, splits[_i].user_ticks, splits[_i].system_ticks);
  ck_assert_uint_eq(now.value[DENET_CPU_USER], splits[_i].new_user);
  ck_assert_uint_eq(now.value[DENET_CPU_SYSTEM], splits[_i].new_system);
}
END_TEST

/* Returns a pseudo-random number, the same in every run. */
static uint64_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33;
}

START_TEST(both_parts_of_cpu_time_only_rise_and_make_up_all_of_it) {
  struct denet_values now = {0};
  uint64_t state = 1, cpu_ns = 0, user_ticks = 0, system_ticks = 0;
  for (int i = 0; i < 100000; i++) {
    uint64_t user = now.value[DENET_CPU_USER], system = now.value[DENET_CPU_SYSTEM];
    cpu_ns += next_random(&state) % 50000000;
    *(next_random(&state) % 7 < (unsigned)i / 20000 ? &user_ticks : &system_ticks) +=
        next_random(&state) % 6;
    denet_process_split_cpu(&now, cpu_ns, user_ticks, system_ticks);
    ck_assert_uint_eq(denet_values_cpu_ns(&now), cpu_ns);
    ck_assert_uint_ge(now.value[DENET_CPU_USER], user);
    ck_assert_uint_ge(now.value[DENET_CPU_SYSTEM], system);
  }
}
END_TEST

static void sample(struct denet_process *process, uint64_t at_ns, uint64_t cpu_ns) {
  process->measured_ns = at_ns;
  set(process, DENET_CPU_USER, cpu_ns);
  denet_process_advance(process);
  denet_process_rate(process, SECOND / 10);
}

START_TEST(first_sample_gives_no_rate) {
  struct denet_process process = {.baseline = DENET_BASELINE_BIRTH};
  sample(&process, 50 * SECOND, 40 * SECOND);
  ck_assert_double_eq(process.cpu_cores, 0);
}
END_TEST

START_TEST(rate_is_cpu_time_by_time) {
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  sample(&process, 50 * SECOND, 40 * SECOND);
  sample(&process, 52 * SECOND, 43 * SECOND);
  ck_assert_double_eq_tol(process.cpu_cores, 1.5, 1e-9);
  sample(&process, 53 * SECOND, 47 * SECOND);
  ck_assert_double_eq_tol(process.cpu_cores, 4, 1e-9);
  sample(&process, 54 * SECOND, 47 * SECOND);
  ck_assert_double_eq_tol(process.cpu_cores, 0, 1e-9);
}
END_TEST

START_TEST(rate_waits_until_its_window_is_full) {
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  sample(&process, 50 * SECOND, 0);
  sample(&process, 51 * SECOND, SECOND / 2);
  sample(&process, 51 * SECOND + SECOND / 20, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(process.cpu_cores, 0.5, 1e-9);
  sample(&process, 51 * SECOND + SECOND / 10, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(process.cpu_cores, 0.5, 1e-9);
  sample(&process, 51 * SECOND + 3 * SECOND / 10, SECOND / 2 + SECOND / 20);
  ck_assert_double_eq_tol(process.cpu_cores, 0, 1e-9);
}
END_TEST

START_TEST(rate_stays_when_time_does_not_pass) {
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  sample(&process, 50 * SECOND, 0);
  sample(&process, 51 * SECOND, SECOND);
  sample(&process, 51 * SECOND, 2 * SECOND);
  sample(&process, 50 * SECOND, 3 * SECOND);
  ck_assert_double_eq_tol(process.cpu_cores, 1, 1e-9);
}
END_TEST

START_TEST(rate_is_never_negative_nor_infinite) {
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  uint64_t state = 7;
  for (int i = 0; i < 10000; i++) {
    sample(&process, SECOND + next_random(&state) % (100 * SECOND), next_random(&state));
    ck_assert(isfinite(process.cpu_cores) && process.cpu_cores >= 0);
  }
}
END_TEST

START_TEST(unwatched_process_has_no_rate) {
  struct denet_process process = {.baseline = DENET_BASELINE_FIRST_SEEN};
  sample(&process, 50 * SECOND, 0);
  sample(&process, 51 * SECOND, SECOND);
  denet_process_unwatch(&process);
  ck_assert_double_eq(process.cpu_cores, 0);
  sample(&process, 60 * SECOND, 9 * SECOND);
  ck_assert_double_eq(process.cpu_cores, 0);
  sample(&process, 61 * SECOND, 9 * SECOND + SECOND / 4);
  ck_assert_double_eq_tol(process.cpu_cores, 0.25, 1e-9);
}
END_TEST

/* A process runs its first program (stamp 7); the next sample of it. */
static const struct {
  struct denet_identity next;
  bool execd, changed, ended, no_mm;
} samples[] = {
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 7, .threads = 1}, 0, 0, 0, 0},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 8, .threads = 1}, 1, 1, 0, 0},
    {{.name = "new", .has_exec_stamp = true, .exec_stamp = 7, .threads = 1}, 0, 1, 0, 0},
    {{.name = "new", .has_exec_stamp = true, .exec_stamp = 8, .threads = 1}, 1, 1, 0, 0},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 7, .threads = 1, .never_execd = true},
     1,
     1,
     0,
     0},
    /* It has called exec and exited since: only a stamp shows the exec. */
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 8, .is_zombie = true}, 1, 1, 1, 0},
    {{.name = "new", .has_exec_stamp = true, .exec_stamp = 8, .is_zombie = true}, 1, 1, 1, 0},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 7, .is_zombie = true}, 0, 0, 1, 0},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 7, .is_zombie = true, .threads = 1},
     0,
     0,
     1,
     0},
    {{.name = "app", .exec_stamp = 8, .is_zombie = true}, 0, 0, 1, 0},
    {{.name = "new", .exec_stamp = 8, .is_zombie = true}, 0, 1, 1, 0},
    /* Its main thread has exited, or is about to. */
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 8, .is_zombie = true, .threads = 2},
     1,
     1,
     0,
     1},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 7, .no_mm = true, .threads = 1},
     0,
     0,
     0,
     1},
    {{.name = "app", .has_exec_stamp = true, .exec_stamp = 8, .no_mm = true, .threads = 1},
     1,
     1,
     0,
     1},
    {{.name = "app", .exec_stamp = 8, .no_mm = true, .threads = 1}, 0, 0, 0, 1},
};

static void identify_first(struct denet_process *process) {
  struct denet_identity first = {
      .name = "app", .has_exec_stamp = true, .exec_stamp = 7, .threads = 1};
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

START_TEST(new_process_has_execd) {
  struct denet_process process = {.is_new = true};
  denet_process_identify(&process, &samples[_i].next);
  ck_assert(process.execd && process.changed);
}
END_TEST

START_TEST(changes_stay_until_the_rules_are_matched) {
  struct denet_process process = {.is_new = true};
  identify_first(&process);
  process.is_new = false;
  identify_first(&process);
  ck_assert(process.execd && process.changed);
}
END_TEST

static const struct {
  struct denet_identity identity;
  bool has_exit_status;
  int exit_status;
  bool oom_killed;
} ends[] = {
    {{.threads = 1, .has_exit_status = true, .exit_status = 256}, false, 0, false},
    {{.threads = 1, .oom_killed = true}, false, 0, false},
    {{.is_zombie = true, .has_exit_status = true, .exit_status = 256}, true, 256, false},
    {{.is_zombie = true, .has_exit_status = true, .exit_status = 9, .oom_killed = true},
     true,
     9,
     true},
    {{.is_zombie = true, .exit_status = 9, .oom_killed = true}, false, 0, true},
    {{.is_zombie = true, .threads = 1, .has_exit_status = true, .exit_status = 9}, true, 9, false},
    {{.is_zombie = true,
      .threads = 2,
      .has_exit_status = true,
      .exit_status = 9,
      .oom_killed = true},
     false,
     0,
     false},
    {{.no_mm = true, .threads = 1, .has_exit_status = true, .exit_status = 9, .oom_killed = true},
     false,
     0,
     false},
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

START_TEST(done_may_be_called_on_anything_and_twice) {
  struct denet_process process = {.threads = denet_thread_sums_new()};
  denet_process_done(NULL);
  denet_process_done(&process);
  denet_process_done(&process);
}
END_TEST

/* Blocked time: the age of the threads without CPU time and run delay. It never falls. */
static const struct {
  bool has_run_delay;
  uint64_t before_ns, age_ns, cpu_ns, run_delay_ns, off_ns;
} ages[] = {
    {true, 0, 100, 30, 20, 50},  {true, 50, 200, 40, 20, 140}, {true, 0, 100, 0, 0, 100},
    {true, 0, 100, 60, 40, 0},   {true, 0, 100, 90, 40, 0}, /* the clocks differ a little */
    {true, 60, 100, 30, 20, 60},                            /* the value before is greater */
    {true, 60, 0, 30, 20, 60},   {false, 0, 100, 30, 20, 0},
};

START_TEST(threads_are_blocked_for_the_rest_of_their_ages) {
  struct denet_process process = {.age_ns = ages[_i].age_ns, .cpu_ns = ages[_i].cpu_ns};
  if (ages[_i].has_run_delay)
    denet_values_set(&process.now, DENET_RUN_DELAY, ages[_i].run_delay_ns);
  if (ages[_i].before_ns)
    denet_values_set(&process.now, DENET_OFF_CPU, ages[_i].before_ns);
  denet_process_derive_off_cpu(&process);
  ck_assert_int_eq(denet_values_has(&process.now, DENET_OFF_CPU), ages[_i].has_run_delay);
  ck_assert_uint_eq(process.now.value[DENET_OFF_CPU], ages[_i].off_ns);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, counter_begins_at_its_baseline_and_never_falls, counters);
  ADD_TEST(suite, gauge_is_its_last_value);
  ADD_TEST(suite, metric_that_was_never_read_is_absent);
  ADD_TABLE(suite, metric_that_becomes_readable_later_begins_at_its_baseline, late);
  ADD_TABLE(suite, metric_that_is_no_sum_never_counts_from_birth, late);
  ADD_TEST(suite, unwatched_time_is_not_counted);
  ADD_TABLE(suite, cpu_time_is_split_in_the_ratio_of_the_ticks, splits);
  ADD_TEST(suite, both_parts_of_cpu_time_only_rise_and_make_up_all_of_it);
  ADD_TEST(suite, first_sample_gives_no_rate);
  ADD_TEST(suite, rate_is_cpu_time_by_time);
  ADD_TEST(suite, rate_waits_until_its_window_is_full);
  ADD_TEST(suite, rate_stays_when_time_does_not_pass);
  ADD_TEST(suite, rate_is_never_negative_nor_infinite);
  ADD_TEST(suite, unwatched_process_has_no_rate);
  ADD_TABLE(suite, identity_says_what_has_changed, samples);
  ADD_TEST(suite, exec_is_noticed_by_the_last_known_stamp);
  ADD_TABLE(suite, new_process_has_execd, samples);
  ADD_TEST(suite, changes_stay_until_the_rules_are_matched);
  ADD_TABLE(suite, exit_status_is_that_of_an_ended_process, ends);
  ADD_TEST(suite, name_is_cut_at_15_bytes_and_no_change_by_that);
  ADD_TEST(suite, done_may_be_called_on_anything_and_twice);
  ADD_TABLE(suite, threads_are_blocked_for_the_rest_of_their_ages, ages);
}
