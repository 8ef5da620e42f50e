/* When the monitor ticks, and the times that lines have. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

START_TEST(two_lines_never_have_one_time) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns, 1, 0};
  scene_tick(0);
  scene_expect_in_last_line("\"ts_ms\":1000000,");
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_FINAL, NULL), 0);
  scene_expect_in_last_line("\"ts_ms\":1000001,");
  denet_monitor_free(scene.monitor);
}
END_TEST

/* When the next tick is due, ns after the scene began. */
static uint64_t find_next(void) {
  uint64_t next_ns = denet_monitor_next_ns(scene.monitor);
  return (next_ns > scene.now_ns ? next_ns : scene.now_ns) - 1000 * SECOND;
}

static void tick_when_due(void) {
  scene.now_ns = 1000 * SECOND + find_next();
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_DUE, NULL), 0);
}

/* Returns how many ticks there are until then. */
static unsigned run_until(uint64_t until_ns) {
  unsigned ticks = 0;
  for (; find_next() <= until_ns; ticks++)
    tick_when_due();
  scene.now_ns = 1000 * SECOND + until_ns;
  return ticks;
}

/* A process begins now, and that is heard. */
static void bear(size_t index) {
  scene.processes[index] = (struct fake_process){10 + (pid_t)index, 1, "app", scene.now_ns, 1, 0};
  denet_monitor_drain_events(scene.monitor);
}

static const struct denet_interval paces[] = {{100 * MILLISECOND, SECOND},
                                              {100 * MILLISECOND, 250 * MILLISECOND},
                                              {100 * MILLISECOND, 100 * MILLISECOND}};

START_TEST(young_processes_are_sampled_soon_and_in_the_same_ticks) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  const uint64_t born_ns[PROCESSES] = {10150 * MILLISECOND, 10151 * MILLISECOND,
                                       10281 * MILLISECOND, 10349 * MILLISECOND};
  scene_begin_at(paces[_i], &rule, 1);
  for (size_t i = 0; i < PROCESSES; i++) {
    run_until(born_ns[i]);
    bear(i);
    ck_assert_uint_le(find_next() - born_ns[i], 100 * MILLISECOND);
    if (i == 0) /* for a report, between two of the moments at which ticks are */
      scene_tick(0);
  }
  ck_assert_uint_le(run_until(11349 * MILLISECOND), 10);
  ck_assert_uint_ge(scene.lines[DENET_LINE_SAMPLE], PROCESSES * 9);
  scene_end();
}
END_TEST

/* A process computes through all of one interval, at each age in turn. */
static const int ages_ms[] = {300, 900, 1400, 1600, 2300, 2700, 3500, 4500, 5500, 6700, 8000};

START_TEST(highest_cpu_use_is_that_of_an_interval_at_any_age) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  run_until(100 * MILLISECOND);
  bear(0);
  tick_when_due();
  scene_report();
  uint64_t born_ns = scene.now_ns;
  while (scene.now_ns + 1 < born_ns + (uint64_t)ages_ms[_i] * MILLISECOND)
    tick_when_due();
  for (int i = 0; i < 3; i++) {
    uint64_t before_ns = scene.now_ns;
    scene.now_ns = 1000 * SECOND + find_next();
    scene.processes[0].cpu_ns += i == 1 ? scene.now_ns - before_ns : 0;
    tick_when_due();
  }
  scene_end();
  ck_assert_double_eq_tol(scene.cpu_percent_max, 100, 0.1);
}
END_TEST

static uint64_t last_time_ms(void) {
  const char *time = strstr(scene.last_line, "\"ts_ms\":");
  ck_assert_ptr_nonnull(time);
  return strtoull(time + strlen("\"ts_ms\":"), NULL, 10);
}

/* When the one process is born after a tick: with the grid of ticks, and between two of them. */
static const uint64_t births_ns[] = {100 * MILLISECOND, 130 * MILLISECOND, 999 * MILLISECOND};

START_TEST(lines_of_a_process_come_further_and_further_apart) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  uint64_t before_ms = 0, gap_ms = 0, first_ms = 0;
  scene_begin(&rule, 1);
  run_until(births_ns[_i]);
  bear(0);
  tick_when_due();
  first_ms = before_ms = last_time_ms();
  ck_assert_uint_le(first_ms - 1000000 - births_ns[_i] / MILLISECOND, 100);
  for (unsigned line = 0; line < 40; line++) {
    tick_when_due();
    uint64_t now_ms = last_time_ms(), age_ms = before_ms - first_ms;
    if (line > 0) { /* the first may be nearer, and leads to the grid */
      ck_assert_uint_eq((now_ms - before_ms) % 100, 0);
      ck_assert_uint_ge(now_ms - before_ms, gap_ms);
      gap_ms = now_ms - before_ms;
    }
    ck_assert_msg(age_ms > 900 || now_ms - before_ms <= 150, "%u ms", (unsigned)gap_ms);
    before_ms = now_ms;
  }
  ck_assert_uint_eq(gap_ms, 1000);
  scene_end();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, two_lines_never_have_one_time);
  ADD_TABLE(suite, young_processes_are_sampled_soon_and_in_the_same_ticks, paces);
  ADD_TABLE(suite, highest_cpu_use_is_that_of_an_interval_at_any_age, ages_ms);
  ADD_TABLE(suite, lines_of_a_process_come_further_and_further_apart, births_ns);
}
