/* When the monitor ticks, and what lines it hands over. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct fake_process old_app = {10, 1, "app", 5 * SECOND, 1, 0};

/* --- Times --- */

START_TEST(two_lines_never_have_one_time) {
  scene_begin_with("Comm");
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns, 1, 0};
  scene_tick(0);
  scene_expect_in_last_line("\"ts_ms\":1000000,");
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_FINAL, NULL), 0);
  scene_expect_in_last_line("\"ts_ms\":1000001,");
  denet_monitor_free(scene.monitor);
}
END_TEST

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

static const struct {
  int exit_status;
  bool oom_killed;
  const char *text;
} exits[] = {{0, false, "\"exit\":{\"code\":0}}"},
             {3 << 8, false, "\"exit\":{\"code\":3}}"},
             {9, false, "\"exit\":{\"signal\":9}}"},
             {9, true, "\"exit\":{\"signal\":9,\"oom\":true}}"},
             {0, true, "\"exit\":{\"code\":0}}"}};

START_TEST(last_line_of_a_process_that_lived_between_two_ticks_says_how_it_ended) {
  scene_begin_with("Comm");
  scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns - 9 * MILLISECOND, 1, 0};
  scene.ends[0] = (struct fake_end){true, scene.now_ns - 5 * MILLISECOND, exits[_i].exit_status,
                                    exits[_i].oom_killed};
  scene_end();
  scene_expect_in_last_line(exits[_i].text);
}
END_TEST

/* Ends of processes that the tick before saw or not, and how long the scan took that reports them.
 */
static const struct {
  bool was_there;
  uint64_t before_tick_ns; /* 0: it is not known when it ended */
  uint64_t scan_ns;
  const char *text;
} moments[] = {
    {false, SECOND / 2, 0, "\"ts_ms\":1000500,"},
    {false, MILLISECOND, 0, "\"ts_ms\":1000999,"},
    {false, 0, 0, "\"ts_ms\":1001000,"},
    {true, SECOND / 2, 0, "\"ts_ms\":1000500,"},
    {true, MILLISECOND, 0, "\"ts_ms\":1000999,"},
    {true, 0, 0, "\"ts_ms\":1001000,"},
    {false, SECOND / 2, 200 * MILLISECOND, "\"ts_ms\":1000500,"},
    {true, SECOND / 2, 200 * MILLISECOND, "\"ts_ms\":1000500,"},
};

START_TEST(last_line_has_the_time_at_which_the_process_ended) {
  scene_begin_with("Comm");
  struct fake_process *app = &scene.processes[0];
  if (moments[_i].was_there)
    *app = old_app;
  scene_tick(SECOND);
  if (!moments[_i].was_there)
    *app = (struct fake_process){10, 1, "app", scene.now_ns - 900 * MILLISECOND, 1, 0};
  uint64_t ended_ns = moments[_i].before_tick_ns ? scene.now_ns - moments[_i].before_tick_ns : 0;
  scene.ends[0] = (struct fake_end){true, ended_ns, 0, false};
  scene.scan_ns = moments[_i].scan_ns;
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
  scene_expect_in_last_line(moments[_i].text);
  scene_expect_in_last_line("\"exit\"");
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

/* --- Files of several rules --- */

START_TEST(rule_without_records_takes_no_file_from_another) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "app")};
  rules[0].records = false;
  scene_begin(rules, 2);
  scene.processes[0] = old_app;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, 2, 0);
  ck_assert_uint_eq(scene.members, 1);
}
END_TEST

START_TEST(two_rules_of_an_instance_write_one_file) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "app")};
  scene_begin(rules, 2);
  scene.processes[0] = old_app;
  scene_tick(SECOND);
  scene.processes[0].name = NULL;
  scene_end();
  scene_expect_lines(1, 1, 1);
}
END_TEST

START_TEST(exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "next")};
  scene_begin(rules, 2);
  scene.processes[0] = old_app;
  scene_tick(SECOND);
  scene.processes[0].name = "next";
  scene.processes[0].exec_id = 2;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(2, 3, 1);
}
END_TEST

/* --- Files whose lines the sink refuses: none stays open when its process has ended --- */

static void begin_with_app(void) {
  scene_begin_with("Comm");
  scene.processes[0] = old_app;
  scene_tick(SECOND);
}

static void expect_ends(unsigned count) { ck_assert_uint_eq(scene.lines[DENET_LINE_END], count); }

START_TEST(file_whose_last_line_is_refused_ends_as_soon_as_the_sink_takes_that) {
  begin_with_app();
  scene.refusals[DENET_LINE_LAST] = scene.refusals[DENET_LINE_END] = ENOBUFS;
  scene.processes[0].name = NULL;
  for (int i = 0; i < 3; i++)
    scene_tick(SECOND);
  expect_ends(0);
  scene.refusals[DENET_LINE_END] = 0;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, 1, 0);
  expect_ends(1);
}
END_TEST

START_TEST(file_whose_last_line_is_taken_ends_with_it) {
  begin_with_app();
  scene.processes[0].name = NULL;
  scene_end();
  scene_expect_lines(1, 1, 1);
  expect_ends(0);
}
END_TEST

/* For now, and for ever. */
static const int refusals_of_metadata[] = {ENOBUFS, EMSGSIZE};

START_TEST(file_ends_though_its_process_execd_and_no_second_segment_could_begin) {
  begin_with_app();
  scene.refusals[DENET_LINE_METADATA] = refusals_of_metadata[_i];
  scene.processes[0].exec_id = 2;
  scene_tick(SECOND);
  scene.processes[0].name = NULL;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, 1, 0);
  expect_ends(1);
}
END_TEST

START_TEST(file_of_the_same_name_begins_only_when_the_one_before_has_ended) {
  begin_with_app();
  scene.refusals[DENET_LINE_LAST] = scene.refusals[DENET_LINE_END] = ENOBUFS;
  scene.processes[0].name = "other";
  scene_tick(SECOND);
  scene.processes[0].name = "app";
  scene_tick(SECOND);
  scene_expect_lines(1, 1, 0);
  scene.refusals[DENET_LINE_END] = 0;
  scene_tick(SECOND);
  scene_expect_lines(2, 2, 0);
  expect_ends(1);
  scene_end();
}
END_TEST

START_TEST(file_that_has_not_ended_when_the_monitor_goes_is_forgotten) {
  begin_with_app();
  scene.refusals[DENET_LINE_LAST] = scene.refusals[DENET_LINE_END] = ENOBUFS;
  scene.processes[0].name = NULL;
  scene_end();
  expect_ends(0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, two_lines_never_have_one_time);
  ADD_TABLE(suite, young_processes_are_sampled_soon_and_in_the_same_ticks, intervals);
  ADD_TABLE(suite, highest_cpu_use_is_that_of_an_interval_at_any_age, ages_ms);
  ADD_TABLE(suite, lines_of_a_process_come_further_and_further_apart, births_ns);
  ADD_TABLE(suite, last_line_of_a_process_that_lived_between_two_ticks_says_how_it_ended, exits);
  ADD_TABLE(suite, last_line_has_the_time_at_which_the_process_ended, moments);
  ADD_TEST(suite, tree_whose_root_ended_between_two_ticks_ends_with_its_last_child);
  ADD_TEST(suite, rule_without_records_takes_no_file_from_another);
  ADD_TEST(suite, two_rules_of_an_instance_write_one_file);
  ADD_TEST(suite, exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file);
  ADD_TEST(suite, file_whose_last_line_is_refused_ends_as_soon_as_the_sink_takes_that);
  ADD_TEST(suite, file_whose_last_line_is_taken_ends_with_it);
  ADD_TABLE(suite, file_ends_though_its_process_execd_and_no_second_segment_could_begin,
            refusals_of_metadata);
  ADD_TEST(suite, file_of_the_same_name_begins_only_when_the_one_before_has_ended);
  ADD_TEST(suite, file_that_has_not_ended_when_the_monitor_goes_is_forgotten);
}
