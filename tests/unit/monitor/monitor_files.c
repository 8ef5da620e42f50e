/* Files whose lines the writer does not take: none may stay open when its process has ended. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <errno.h>

static void begin_with(struct denet_rule *rule) {
  *rule = scene_rule("a", "Comm", "app");
  scene_begin(rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
}

static void expect_ends(unsigned count) { ck_assert_uint_eq(scene.lines[DENET_LINE_END], count); }

START_TEST(file_whose_last_line_is_refused_is_finished_as_soon_as_the_writer_listens) {
  struct denet_rule rule;
  begin_with(&rule);
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

START_TEST(file_whose_last_line_is_taken_is_finished_by_it) {
  struct denet_rule rule;
  begin_with(&rule);
  scene.processes[0].name = NULL;
  scene_end();
  scene_expect_lines(1, 1, 1);
  expect_ends(0);
}
END_TEST

/* Full, and never to be taken. */
static const int refusals_of_metadata[] = {ENOBUFS, EMSGSIZE};

START_TEST(file_is_finished_though_its_process_execd_and_no_second_part_could_begin) {
  struct denet_rule rule;
  begin_with(&rule);
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

START_TEST(file_of_the_same_name_begins_only_when_the_one_before_is_finished) {
  struct denet_rule rule;
  begin_with(&rule);
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

START_TEST(end_that_is_still_owed_when_the_monitor_goes_is_forgotten) {
  struct denet_rule rule;
  begin_with(&rule);
  scene.refusals[DENET_LINE_LAST] = scene.refusals[DENET_LINE_END] = ENOBUFS;
  scene.processes[0].name = NULL;
  scene_end();
  expect_ends(0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, file_whose_last_line_is_refused_is_finished_as_soon_as_the_writer_listens);
  ADD_TEST(suite, file_whose_last_line_is_taken_is_finished_by_it);
  ADD_TABLE(suite, file_is_finished_though_its_process_execd_and_no_second_part_could_begin,
            refusals_of_metadata);
  ADD_TEST(suite, file_of_the_same_name_begins_only_when_the_one_before_is_finished);
  ADD_TEST(suite, end_that_is_still_owed_when_the_monitor_goes_is_forgotten);
}
