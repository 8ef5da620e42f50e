/* What it makes of processes that have ended, many of which it has never seen. */
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char *const condition_keys[] = {"Comm", "CommandLine"};

START_TEST(process_that_lived_between_two_ticks_is_counted_once) {
  struct denet_rule rule = scene_rule("a", condition_keys[_i], "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  uint64_t now_ns = scene.now_ns;
  scene.processes[0] =
      (struct fake_process){10, 1, "app", now_ns - SECOND / 2, 1, 40 * MILLISECOND};
  scene.ends[0] = (struct fake_end){true, now_ns - SECOND / 4, 0, false};
  scene_tick(SECOND);
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(1, 1, 0);
  scene_expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 40 * MILLISECOND);
  ck_assert_uint_eq(scene.lost, 0);
}
END_TEST

static const char *const held_keys[] = {"CommandLine", "Executable"};

START_TEST(process_whose_texts_came_only_when_it_had_ended_is_a_start_and_lost) {
  struct denet_rule rule = scene_rule("a", held_keys[_i], "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  uint64_t born_ns = scene.now_ns - SECOND / 10;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 40 * MILLISECOND};
  scene.held = ALL_TEXTS;
  scene_tick(SECOND);
  scene.held = 0;
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 4, 0, false};
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(1, 1, 0);
  scene_expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 0);
  ck_assert_uint_eq(scene.lost, 1);
}
END_TEST

/* Of an ended process whose texts are not to be had. */
static const struct {
  const char *key, *value; /* of the rule; another one looks at the command line */
  bool is_lost;            /* or else they are late */
  bool was_late;           /* it was there in the last tick, and they were late */
  unsigned count, lost;
} textless[] = {
    {"Comm", "app", true, false, 1, 0},
    {"Comm", "app", false, false, 1, 1}, /* the other rule could not tell */
    {"Comm", "app", true, true, 1, 1},
    {"User", "1", true, false, 1, 0},
    {"Executable", "app", true, false, 0, 0},
    {"Executable", "app", false, false, 0, 1},
    {"Executable", "app", true, true, 0, 1},
};

START_TEST(process_that_ended_without_texts_counts_where_its_name_is_enough) {
  struct denet_rule rules[] = {scene_rule_for("b", "CommandLine", "none", "y"),
                               scene_rule("a", textless[_i].key, textless[_i].value)};
  scene_begin(rules, 2);
  scene_tick(SECOND);
  uint64_t born_ns = scene.now_ns - SECOND / 2;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 40 * MILLISECOND};
  scene.held = ALL_TEXTS;
  if (textless[_i].was_late)
    scene_tick(SECOND);
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 4, 0, false};
  scene.is_lost = textless[_i].is_lost;
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(textless[_i].count, textless[_i].count, 0);
  ck_assert_uint_eq(scene.lost, textless[_i].lost);
}
END_TEST

/* It waits for the command line, which never comes. */
START_TEST(metadata_of_one_that_ended_is_what_could_be_read_while_it_lived) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  uint64_t born_ns = scene.now_ns - SECOND / 10;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 40 * MILLISECOND};
  scene.held = 1u << DENET_TEXT_ARGUMENTS;
  scene_tick(SECOND / 10);
  scene_expect_lines(0, 0, 0);
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 20, 0, false};
  scene.held = ALL_TEXTS;
  scene.is_lost = true;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, 0, 1);
  ck_assert_ptr_nonnull(strstr(scene.last_metadata, "\"executable\":\"app\""));
}
END_TEST

/* In the middle of an exec neither text is told. */
START_TEST(metadata_of_one_that_was_met_in_its_exec_waits_for_its_texts) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns, 1, 40 * MILLISECOND};
  scene.held = ALL_TEXTS;
  scene.is_lost = true;
  scene_tick(SECOND / 10);
  scene.held = 0;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_ptr_nonnull(strstr(scene.last_metadata, "\"cmd\":[\"app\"]"));
}
END_TEST

/* Two of them with one pid, one after the other. */
static const pid_t pids_of_short_lives[PROCESSES] = {10, 10, 12, 13};

START_TEST(all_that_lived_between_two_ticks_are_counted) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  for (unsigned i = 0; i < PROCESSES; i++) {
    uint64_t born_ns = 1000 * SECOND + (i + 1) * SECOND / 10;
    scene.processes[i] =
        (struct fake_process){pids_of_short_lives[i], 1, "app", born_ns, 1, 5 * MILLISECOND};
    scene.ends[i] = (struct fake_end){true, born_ns + SECOND / 20, 0, false};
  }
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(PROCESSES, PROCESSES, 0);
  scene_expect_lines(PROCESSES, 0, PROCESSES);
  ck_assert_uint_eq(scene.group_cpu_ns, PROCESSES * 5 * MILLISECOND);
}
END_TEST

static const struct {
  int exit_status;
  bool oom_killed;
  const char *text;
} exits[] = {{0, false, "\"exit\":{\"code\":0}}"},
             {3 << 8, false, "\"exit\":{\"code\":3}}"},
             {9, false, "\"exit\":{\"signal\":9}}"},
             {9, true, "\"exit\":{\"signal\":9,\"oom\":true}}"},
             {0, true, "\"exit\":{\"code\":0}}"}};

START_TEST(last_line_of_one_that_lived_between_two_ticks_says_how_it_ended) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns - 9 * MILLISECOND, 1, 0};
  scene.ends[0] = (struct fake_end){true, scene.now_ns - 5 * MILLISECOND, exits[_i].exit_status,
                                    exits[_i].oom_killed};
  scene_end();
  scene_expect_in_last_line(exits[_i].text);
}
END_TEST

/* Ends of processes that were there or were not, and how long the pass took that told of them. */
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

START_TEST(last_line_is_of_the_moment_at_which_the_process_ended) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  struct fake_process *app = &scene.processes[0];
  if (moments[_i].was_there)
    *app = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
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

/* A process that is known as another program runs the one that is watched, and ends before the next
 * tick. What it did before is not the group's, but for what the program's own fork did. */
static const struct {
  bool was_there_before; /* when denet came */
  unsigned ticks;        /* as the other program */
  uint64_t group_cpu_ns;
} launches[] = {
    {false, 1, 300 * MILLISECOND},
    {false, 5, 0},
    {true, 1, 0},
    {true, 5, 0},
};

START_TEST(process_that_execd_and_ended_between_two_ticks_is_counted_once) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  struct fake_process *process = &scene.processes[0];
  if (!launches[_i].was_there_before)
    scene_tick(SECOND);
  uint64_t age_ns = launches[_i].was_there_before ? 500 * SECOND : 50 * MILLISECOND;
  *process = (struct fake_process){10, 1, "sh", scene.now_ns - age_ns, 1, 40 * MILLISECOND};
  for (unsigned i = 0; i < launches[_i].ticks; i++)
    scene_tick(SECOND);
  process->name = "app";
  process->exec_id = 2;
  process->cpu_ns = 300 * MILLISECOND;
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 2, 7 << 8, false};
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(1, 1, 0);
  scene_expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, launches[_i].group_cpu_ns);
  scene_expect_in_last_line("\"exit\":{\"code\":7}");
}
END_TEST

START_TEST(member_that_execd_another_program_and_ended_has_one_last_line) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "sh", 5 * SECOND, 2, 0};
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 2, 0, false};
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(0, 1, 0);
  scene_expect_lines(1, 1, 1);
}
END_TEST

/* A child is seen for the first time, or has ended too, when its parent is gone. */
static const struct {
  bool has_children;      /* the rule */
  bool parent_was_there;  /* in the tick before */
  bool parent_is_younger; /* than the child: another process with that pid */
  bool child_is_over;
  unsigned starts, exits;
} families[] = {
    {true, true, false, false, 1, 1},  {true, false, false, false, 2, 1},
    {true, true, false, true, 1, 2},   {true, false, false, true, 2, 2},
    {false, true, false, false, 0, 1}, {false, false, false, false, 1, 1},
    {false, false, false, true, 1, 1}, {true, false, true, false, 1, 1},
    {true, false, true, true, 1, 1},
};

static void show_family(int row) {
  uint64_t then_ns = scene.now_ns;
  if (families[row].parent_was_there)
    scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene_tick(SECOND);
  if (!families[row].parent_was_there)
    scene.processes[0] = (struct fake_process){10, 1, "app", then_ns + SECOND / 4, 1, 0};
  scene.ends[0] = (struct fake_end){true, then_ns + SECOND / 2, 0, false};
  uint64_t child_ns = then_ns + (families[row].parent_is_younger ? SECOND / 5 : SECOND / 3);
  scene.processes[1] = (struct fake_process){11, 10, "kid", child_ns, 1, 30 * MILLISECOND};
  if (families[row].child_is_over)
    scene.ends[1] = (struct fake_end){true, then_ns + 3 * SECOND / 4, 0, false};
}

START_TEST(child_joins_the_tree_of_a_parent_that_is_gone) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  bool joins = families[_i].has_children && !families[_i].parent_is_younger;
  bool lives_on = joins && !families[_i].child_is_over;
  rule.children = families[_i].has_children;
  scene_begin(&rule, 1);
  show_family(_i);
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(families[_i].starts, families[_i].exits, lives_on);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], !lives_on);
  ck_assert_uint_eq(scene.group_cpu_ns, joins ? 30 * MILLISECOND : 0);
}
END_TEST

START_TEST(tree_whose_root_ended_between_two_ticks_ends_with_its_last_child) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
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

/* Processes that ended before the first tick, or were born before it and never seen. */
static const struct {
  unsigned ticks; /* before they are told of */
  uint64_t born_ns, ended_ns;
} strangers[] = {
    {0, 5 * SECOND, 0},
    {0, 5 * SECOND, 999 * SECOND},
    {0, 999 * SECOND, 1000 * SECOND - 1},
    {1, 5 * SECOND, 1000 * SECOND + 1},
    {1, 999 * SECOND, 1000 * SECOND + SECOND / 2},
    {1, 999 * SECOND, 0},
    {7, 999 * SECOND, 1006 * SECOND},
};

START_TEST(ended_process_that_was_not_born_under_watch_is_not_counted) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  for (unsigned i = 0; i < strangers[_i].ticks; i++)
    scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", strangers[_i].born_ns, 1, SECOND};
  scene.ends[0] = (struct fake_end){true, strangers[_i].ended_ns, 0, false};
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(0, 0, 0);
  scene_expect_lines(0, 0, 0);
  ck_assert_uint_eq(scene.group_cpu_ns, 0);
  ck_assert_uint_eq(scene.lost, 0);
}
END_TEST

/* Another that is found late has all be looked at once more. */
static void show_zombie(uint64_t born_ns) {
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 0};
  scene.processes[1] = (struct fake_process){11, 1, "app", 5 * SECOND, 1, 0};
  scene.zombie = 10;
}

START_TEST(zombie_of_before_our_time_is_not_counted_though_all_are_looked_at_again) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  show_zombie(5 * SECOND);
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, 2, 0);
  scene_expect_counts(0, 0, 1);
}
END_TEST

START_TEST(zombie_in_a_slot_that_is_looked_at_again_stays_in_its_tree) {
  struct denet_rule rules[] = {scene_rule("a", "CommandLine", "none"),
                               scene_rule_for("b", "Comm", "app", "app%{slot}")};
  scene_begin(rules, 2);
  scene_tick(SECOND);
  show_zombie(scene.now_ns - SECOND / 2);
  scene.held = ALL_TEXTS;
  scene_tick(SECOND);
  scene.held = 0;
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
}
END_TEST

START_TEST(ended_processes_that_there_was_no_time_to_match_are_told_as_lost) {
  struct denet_rule rule = scene_rule("a", "CommandLine", "app");
  scene_begin(&rule, 1);
  scene_tick(SECOND);
  for (int i = 0; i < PROCESSES; i++) {
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", scene.now_ns - SECOND / 2, 1, 0};
    scene.ends[i] = (struct fake_end){true, scene.now_ns - SECOND / 3, 0, false};
  }
  scene.describe_ns = 300 * MILLISECOND;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_gt(scene.starts, 0);
  ck_assert_uint_gt(scene.lost, 0);
  ck_assert_uint_eq(scene.starts + scene.lost, PROCESSES);
  scene_expect_counts(scene.starts, scene.starts, 0);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], scene.starts);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, process_that_lived_between_two_ticks_is_counted_once, condition_keys);
  ADD_TABLE(suite, process_whose_texts_came_only_when_it_had_ended_is_a_start_and_lost, held_keys);
  ADD_TABLE(suite, process_that_ended_without_texts_counts_where_its_name_is_enough, textless);
  ADD_TEST(suite, metadata_of_one_that_ended_is_what_could_be_read_while_it_lived);
  ADD_TEST(suite, metadata_of_one_that_was_met_in_its_exec_waits_for_its_texts);
  ADD_TEST(suite, all_that_lived_between_two_ticks_are_counted);
  ADD_TABLE(suite, last_line_of_one_that_lived_between_two_ticks_says_how_it_ended, exits);
  ADD_TABLE(suite, last_line_is_of_the_moment_at_which_the_process_ended, moments);
  ADD_TABLE(suite, process_that_execd_and_ended_between_two_ticks_is_counted_once, launches);
  ADD_TEST(suite, member_that_execd_another_program_and_ended_has_one_last_line);
  ADD_TABLE(suite, child_joins_the_tree_of_a_parent_that_is_gone, families);
  ADD_TEST(suite, tree_whose_root_ended_between_two_ticks_ends_with_its_last_child);
  ADD_TABLE(suite, ended_process_that_was_not_born_under_watch_is_not_counted, strangers);
  ADD_TEST(suite, zombie_of_before_our_time_is_not_counted_though_all_are_looked_at_again);
  ADD_TEST(suite, zombie_in_a_slot_that_is_looked_at_again_stays_in_its_tree);
  ADD_TEST(suite, ended_processes_that_there_was_no_time_to_match_are_told_as_lost);
}
