/* When the monitor ticks, and what lines it hands over. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static const struct fake_process old_app = {10, 1, "app", 5 * SECOND, 1, 0};

/* --- Times --- */

/* Returns when the next tick is due, ns after the scene began. */
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

/* A process is born now, and the source has an event of it. */
static void bear(size_t index) {
  scene.processes[index] = (struct fake_process){10 + (pid_t)index, 1, "app", scene.now_ns, 1, 0};
  denet_monitor_drain_events(scene.monitor);
}

static const struct denet_interval intervals[] = {{100 * MILLISECOND, SECOND},
                                                  {100 * MILLISECOND, 250 * MILLISECOND},
                                                  {100 * MILLISECOND, 100 * MILLISECOND}};

START_TEST(young_processes_are_sampled_soon_and_in_the_same_ticks) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  const uint64_t born_ns[PROCESSES] = {10150 * MILLISECOND, 10151 * MILLISECOND,
                                       10281 * MILLISECOND, 10349 * MILLISECOND};
  scene_begin_at(intervals[_i], &rule, 1);
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
  scene_begin_with("Comm");
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

/* When the one process is born: in the grid of ticks, and between two of them. */
static const uint64_t births_ns[] = {100 * MILLISECOND, 130 * MILLISECOND, 999 * MILLISECOND};

START_TEST(lines_of_a_process_come_further_and_further_apart) {
  uint64_t before_ms = 0, gap_ms = 0, first_ms = 0;
  scene_begin_with("Comm");
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

/* --- Last lines --- */

/* How a process ended, whether the tick before saw it, and how long the scan took that reports it.
 */
static const struct {
  bool was_there;
  uint64_t before_tick_ns; /* 0: it is not known when it ended */
  uint64_t scan_ns;
  int exit_status;
  bool oom_killed;
  const char *time, *exit;
} ends[] = {
    {0, SECOND / 2, 0, 0, 0, "\"ts_ms\":1000500,", "\"exit\":{\"code\":0}}"},
    {0, MILLISECOND, 0, 3 << 8, 0, "\"ts_ms\":1000999,", "\"exit\":{\"code\":3}}"},
    {0, 0, 0, 9, 0, "\"ts_ms\":1001000,", "\"exit\":{\"signal\":9}}"},
    {1, SECOND / 2, 0, 9, 1, "\"ts_ms\":1000500,", "\"exit\":{\"signal\":9,\"oom\":true}}"},
    {1, MILLISECOND, 0, 0, 1, "\"ts_ms\":1000999,", "\"exit\":{\"code\":0}}"},
    {1, 0, 0, 3 << 8, 0, "\"ts_ms\":1001000,", "\"exit\":{\"code\":3}}"},
    {0, SECOND / 2, SECOND / 5, 9, 1, "\"ts_ms\":1000500,",
     "\"exit\":{\"signal\":9,\"oom\":true}}"},
    {1, SECOND / 2, SECOND / 5, 0, 0, "\"ts_ms\":1000500,", "\"exit\":{\"code\":0}}"},
};

START_TEST(last_line_says_when_and_how_the_process_ended) {
  uint64_t before_ns = ends[_i].before_tick_ns;
  scene_begin_with("Comm");
  if (ends[_i].was_there)
    scene.processes[0] = old_app;
  scene_tick(SECOND);
  if (!ends[_i].was_there)
    scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns - SECOND * 3 / 4, 1, 0};
  scene.ends[0] = (struct fake_end){true, before_ns ? scene.now_ns - before_ns : 0,
                                    ends[_i].exit_status, ends[_i].oom_killed};
  scene.scan_ns = ends[_i].scan_ns;
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
  scene_expect_in_last_line(ends[_i].time);
  scene_expect_in_last_line(ends[_i].exit);
}
END_TEST

START_TEST(tree_whose_root_ended_between_two_ticks_ends_with_its_last_child) {
  scene_begin_with("Comm");
  scene_tick(SECOND);
  uint64_t now_ns = scene.now_ns;
  scene.processes[0] = (struct fake_process){10, 1, "app", now_ns - SECOND / 2, 1, 0};
  scene.processes[1] = (struct fake_process){11, 10, "kid", now_ns - SECOND / 3, 1, 0};
  scene.ends[0] = (struct fake_end){true, now_ns - SECOND / 4, 9, false};
  scene_tick(SECOND);
  scene_expect_lines(1, 1, 0);
  scene_expect_in_last_line("\"parent\":null");
  scene.ends[1] = (struct fake_end){true, scene.now_ns - SECOND / 4, 0, false};
  scene_end();
  scene_expect_lines(1, 1, 1);
  scene_expect_in_last_line("\"ts_ms\":1001750,");
  scene_expect_in_last_line("\"exit\":{\"signal\":9}");
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, young_processes_are_sampled_soon_and_in_the_same_ticks, intervals);
  ADD_TABLE(suite, highest_cpu_use_is_that_of_an_interval_at_any_age, ages_ms);
  ADD_TABLE(suite, lines_of_a_process_come_further_and_further_apart, births_ns);
  ADD_TABLE(suite, last_line_says_when_and_how_the_process_ended, ends);
  ADD_TEST(suite, tree_whose_root_ended_between_two_ticks_ends_with_its_last_child);
}
