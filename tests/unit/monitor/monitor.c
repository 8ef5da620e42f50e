/* What the monitor makes of processes that are there. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(slow_scan_leaves_time_to_match) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene.scan_ns = 600 * MILLISECOND;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.members, 1);
}
END_TEST

START_TEST(matching_goes_on_where_it_ran_out_of_time) {
  struct denet_rule rule = scene_rule("a", "CommandLine", "app");
  scene_begin(&rule, 1);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.describe_ns = 600 * MILLISECOND;
  for (int i = 0; i < PROCESSES; i++)
    scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.members, PROCESSES);
}
END_TEST

START_TEST(long_command_lines_of_many_at_once_take_memory_within_bounds) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  const size_t mebibyte = 1 << 20;
  rule.children = false;
  scene_begin(&rule, 1);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.argument_bytes = 6 * mebibyte;
  scene_tick(SECOND);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], PROCESSES);
  ck_assert_uint_lt(scene.metadata_bytes, 13 * mebibyte);
  ck_assert_uint_gt(scene.metadata_bytes, 12 * mebibyte + 2 * 4096);
  /* These have been written; there is room again. */
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i].exec_id = 2;
  scene_tick(SECOND);
  ck_assert_uint_gt(scene.metadata_bytes, 24 * mebibyte);
  scene_end();
}
END_TEST

START_TEST(children_of_a_late_match_join_though_time_ran_out) {
  struct denet_rule rule = scene_rule("a", "CommandLine", "app");
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "sh", 5 * SECOND, 1, 0};
  scene.processes[1] = (struct fake_process){11, 10, "kid", 6 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[0].name = "app";
  scene.describe_ns = 600 * MILLISECOND;
  scene_tick(SECOND);
  scene.describe_ns = 0;
  scene_end();
  ck_assert_uint_eq(scene.members, 2);
}
END_TEST

START_TEST(rule_without_records_takes_no_file_from_another) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "app")};
  rules[0].records = false;
  scene_begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 2);
  ck_assert_uint_eq(scene.members, 1);
}
END_TEST

START_TEST(two_rules_of_an_instance_write_one_file) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "app")};
  scene_begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[0].name = NULL;
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
}
END_TEST

START_TEST(exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file) {
  struct denet_rule rules[] = {scene_rule("a", "Comm", "app"), scene_rule("b", "Comm", "next")};
  scene_begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[0].name = "next";
  scene.processes[0].exec_id = 2;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 2);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 3);
}
END_TEST

static const char *const condition_keys[] = {"Comm", "CommandLine"};

START_TEST(fork_that_execs_the_program_counts_from_birth_whatever_the_rule_looks_at) {
  struct denet_rule rule = scene_rule("a", condition_keys[_i], "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  uint64_t born_ns = scene.now_ns - 50 * MILLISECOND;
  scene.processes[0] = (struct fake_process){10, 1, "sh", born_ns, 1, 40 * MILLISECOND};
  for (int i = 0; i < 5; i++)
    scene_tick(100 * MILLISECOND);
  scene.processes[0].name = "app";
  scene.processes[0].exec_id = 2;
  scene.processes[0].cpu_ns = 300 * MILLISECOND;
  scene_end();
  ck_assert_uint_eq(scene.group_cpu_ns, 300 * MILLISECOND);
}
END_TEST

START_TEST(late_joiner_of_a_tree_brings_no_jump_of_cpu_use) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[1] = (struct fake_process){11, 1, "kid", scene.now_ns, 1, 0};
  for (int i = 0; i < 20; i++, scene.processes[1].cpu_ns += SECOND / 2)
    scene_tick(SECOND);
  scene.processes[1].parent = 10;
  scene.processes[1].name = "kid2";
  scene_end();
  ck_assert_uint_eq(scene.members, 2);
  const char *total = strstr(scene.last_line, "\"aggregated\"");
  ck_assert_ptr_nonnull(total);
  ck_assert_msg(strstr(total, "\"cpu_usage\":0.00") != NULL, "%s", total);
}
END_TEST

/* A process that uses 100 ms of CPU in each tick of a second, the first look included, and whose
 * texts stall for so many ticks: nothing of that time counts. */
static const struct {
  uint64_t age_ns;
  bool was_there;       /* before denet */
  bool has_other_group; /* whose rule needs no text */
  unsigned ticks;
} stalls[] = {
    {50 * MILLISECOND, false, true, 1},  {50 * MILLISECOND, false, false, 1},
    {50 * MILLISECOND, false, true, 12}, {50 * MILLISECOND, false, false, 12},
    {900 * SECOND, true, true, 2},
};

START_TEST(process_whose_text_stalled_counts_from_its_match_on_and_as_lost) {
  const char *other = stalls[_i].has_other_group ? "app" : "none";
  struct denet_rule rules[] = {scene_rule("a", "Comm", other),
                               scene_rule_for("b", "CommandLine", "app", "y")};
  scene_begin(rules, 2);
  if (!stalls[_i].was_there)
    scene_tick(SECOND);
  uint64_t born_ns = scene.now_ns - stalls[_i].age_ns;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 0};
  for (unsigned i = 0; i < stalls[_i].ticks + 2; i++) {
    scene.held = i < stalls[_i].ticks ? ALL_TEXTS : 0;
    scene.processes[0].cpu_ns += 100 * MILLISECOND;
    scene_tick(SECOND);
  }
  scene_end();
  ck_assert_uint_eq(scene.members, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 100 * MILLISECOND);
  ck_assert_uint_eq(scene.lost, 1);
}
END_TEST

/* With its texts held up by itself: as often as it likes, and then they come. */
static const struct {
  bool is_always_sampled; /* another group has it all the time */
  uint64_t step_ns;
} returns[] = {{true, SECOND}, {false, SECOND}, {true, SECOND / 10}, {false, SECOND / 10}};

START_TEST(one_that_leaves_and_comes_back_is_not_counted_twice) {
  const char *all = returns[_i].is_always_sampled ? "~^(app|other)$" : "none";
  struct denet_rule rules[] = {scene_rule_for("b", "CommandLine", "none", "y"),
                               scene_rule_for("all", "Comm", all, "z"),
                               scene_rule("a", "Comm", "app")};
  scene_begin(rules, 3);
  scene_tick(SECOND);
  scene.held = ALL_TEXTS;
  uint64_t born_ns = scene.now_ns - SECOND / 2;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 100 * MILLISECOND};
  scene_tick(returns[_i].step_ns);
  for (int i = 0; i < 4; i++) {
    scene.processes[0].name = i % 2 ? "app" : "other";
    scene.held = i < 3 ? ALL_TEXTS : 0;
    scene_tick(returns[_i].step_ns);
  }
  scene_end();
  ck_assert_uint_eq(scene.members, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 100 * MILLISECOND);
}
END_TEST

START_TEST(one_that_leaves_one_rule_and_is_met_by_another_of_the_group_is_counted_once) {
  struct denet_rule rules[] = {scene_rule_for("all", "Comm", "~^(app|other)$", "z"),
                               scene_rule("b", "CommandLine", "other"),
                               scene_rule("a", "Comm", "app")};
  scene_begin(rules, 3);
  scene_tick(SECOND);
  scene.held = ALL_TEXTS;
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns, 1, 100 * MILLISECOND};
  scene_tick(SECOND);
  scene.processes[0].name = "other";
  scene_tick(SECOND);
  scene.held = 0;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.members, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 100 * MILLISECOND);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, one_that_leaves_and_comes_back_is_not_counted_twice, returns);
  ADD_TEST(suite, one_that_leaves_one_rule_and_is_met_by_another_of_the_group_is_counted_once);
  ADD_TABLE(suite, process_whose_text_stalled_counts_from_its_match_on_and_as_lost, stalls);
  ADD_TEST(suite, slow_scan_leaves_time_to_match);
  ADD_TEST(suite, matching_goes_on_where_it_ran_out_of_time);
  ADD_TEST(suite, long_command_lines_of_many_at_once_take_memory_within_bounds);
  ADD_TEST(suite, children_of_a_late_match_join_though_time_ran_out);
  ADD_TEST(suite, rule_without_records_takes_no_file_from_another);
  ADD_TEST(suite, two_rules_of_an_instance_write_one_file);
  ADD_TEST(suite, exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file);
  ADD_TABLE(suite, fork_that_execs_the_program_counts_from_birth_whatever_the_rule_looks_at,
            condition_keys);
  ADD_TEST(suite, late_joiner_of_a_tree_brings_no_jump_of_cpu_use);
}
