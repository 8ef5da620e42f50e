/* Which processes join which trees, and from when on they count. */
#include "core/util/arguments.h"
#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

static const struct fake_process old_app = {10, 1, "app", 5 * SECOND, 1, 0};

/* Shows a process that was born so long ago, and has used 40 ms. */
static void show(const char *name, uint64_t age_ns) {
  scene.processes[0] =
      (struct fake_process){10, 1, name, scene.now_ns - age_ns, 1, 40 * MILLISECOND};
}

/* Has the process with this index end so long ago. */
static void end(size_t index, uint64_t ago_ns) {
  scene.ends[index] = (struct fake_end){true, scene.now_ns - ago_ns, 7 << 8, false};
}

/* --- Time --- */

/* A scan takes nothing of the time to match; matching goes on where it ran out of time. */
static const struct {
  const char *key;
  uint64_t scan_ns, read_ns;
  int ticks; /* in which all processes are matched */
} slow[] = {{"Comm", 600 * MILLISECOND, 0, 1}, {"CommandLine", 0, 600 * MILLISECOND, PROCESSES}};

START_TEST(all_processes_are_matched_though_scans_or_reads_are_slow) {
  scene_begin_with(slow[_i].key);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.scan_ns = slow[_i].scan_ns;
  scene.read_ns = slow[_i].read_ns;
  for (int i = 0; i < slow[_i].ticks; i++)
    scene_tick(SECOND);
  scene_report();
  ck_assert_uint_eq(scene.members, PROCESSES);
  scene_end();
}
END_TEST

START_TEST(children_of_a_late_match_join_though_time_ran_out) {
  scene_begin_with("CommandLine");
  scene.processes[0] = (struct fake_process){10, 1, "sh", 5 * SECOND, 1, 0};
  scene.processes[1] = (struct fake_process){11, 10, "kid", 6 * SECOND, 1, 0};
  scene_tick(SECOND);
  scene.processes[0].name = "app";
  scene.read_ns = 600 * MILLISECOND;
  scene_tick(SECOND);
  scene.read_ns = 0;
  scene_end();
  ck_assert_uint_eq(scene.members, 2);
}
END_TEST

START_TEST(ended_processes_that_there_was_no_time_to_match_count_as_lost) {
  scene_begin_with("CommandLine");
  scene_tick(SECOND);
  for (int i = 0; i < PROCESSES; i++) {
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", scene.now_ns - SECOND / 2, 1, 0};
    end((size_t)i, SECOND / 3);
  }
  scene.read_ns = 300 * MILLISECOND;
  scene_tick(SECOND);
  scene_end();
  ck_assert_uint_gt(scene.starts, 0);
  ck_assert_uint_gt(scene.lost, 0);
  ck_assert_uint_eq(scene.starts + scene.lost, PROCESSES);
  scene_expect_counts(scene.starts, scene.starts, 0);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], scene.starts);
}
END_TEST

/* --- From when on a process counts --- */

/* The life of a process, which has used 40 ms when it is first seen, and 300 ms in the last tick.
 * Before the last tick it has another name, or its texts stall. If it lives on, it uses 100 ms more
 * in the tick after that. Unless the row says is_sampled, another rule needs the command line. */
static const struct {
  const char *key;        /* of the rule, which matches the name "app" or the user 1 */
  uint64_t age_ns;        /* when it is first seen */
  bool was_there;         /* before denet */
  const char *first_name; /* before the last tick, in which it execs and is "app"; NULL: "app" */
  unsigned ticks;         /* before the last one, each of a second */
  enum { OK, STALLED, GONE, FORK_GONE } texts, last_texts; /* FORK: it never exec'd */
  bool ends;                                               /* before the last tick */
  unsigned starts, cpu_ms, lost;
  bool is_sampled; /* for a group whose rule needs no text */
} lives[] = {
    /* Born and ended between two ticks. */
    {"Comm", SECOND / 2, false, NULL, 0, OK, OK, true, 1, 300, 0, false},
    {"CommandLine", SECOND / 2, false, NULL, 0, OK, OK, true, 1, 300, 0, false},
    {"Comm", SECOND / 2, false, NULL, 0, OK, GONE, true, 1, 300, 0, false},
    {"User", SECOND / 2, false, NULL, 0, OK, GONE, true, 1, 300, 0, false},
    {"Executable", SECOND / 2, false, NULL, 0, OK, GONE, true, 0, 0, 0, false},
    {"Executable", SECOND / 2, false, NULL, 0, OK, FORK_GONE, true, 0, 0, 1, false},
    /* The other rule is not decided. */
    {"Comm", SECOND / 2, false, NULL, 0, OK, STALLED, true, 1, 300, 1, false},
    {"Comm", SECOND / 2, false, NULL, 1, STALLED, GONE, true, 1, 300, 1, false},
    {"Executable", SECOND / 2, false, NULL, 0, OK, STALLED, true, 0, 0, 1, false},
    {"Executable", SECOND / 2, false, NULL, 1, STALLED, GONE, true, 0, 0, 1, false},
    /* A text that comes late: the process counts from then on, and as lost. */
    {"CommandLine", SECOND / 10, false, NULL, 1, STALLED, OK, true, 1, 0, 1, false},
    {"Executable", SECOND / 10, false, NULL, 1, STALLED, OK, true, 1, 0, 1, false},
    {"CommandLine", SECOND / 10, false, NULL, 1, STALLED, OK, false, 1, 100, 1, false},
    {"CommandLine", SECOND / 10, false, NULL, 12, STALLED, OK, false, 1, 100, 1, false},
    {"CommandLine", 900 * SECOND, true, NULL, 2, STALLED, OK, false, 1, 100, 1, false},
    {"CommandLine", SECOND / 10, false, NULL, 1, STALLED, OK, false, 1, 100, 1, true},
    /* Fork and exec are one start, if they are not far apart. */
    {"Comm", SECOND / 20, false, "sh", 1, OK, OK, false, 1, 400, 0, false},
    {"CommandLine", SECOND / 20, false, "sh", 1, OK, OK, false, 1, 400, 0, false},
    {"Comm", SECOND / 20, false, "sh", 5, OK, OK, false, 1, 100, 0, false},
    {"Comm", SECOND / 20, false, "sh", 1, OK, OK, true, 1, 300, 0, false},
    {"Comm", SECOND / 20, false, "sh", 5, OK, OK, true, 1, 0, 0, false},
    {"Comm", SECOND / 20, false, "sh", 1, OK, OK, false, 1, 100, 0, true},
    {"Comm", 500 * SECOND, true, "sh", 1, OK, OK, true, 1, 0, 0, false},
    {"Comm", 500 * SECOND, true, "sh", 5, OK, OK, true, 1, 0, 0, false},
};

static void set_texts(int texts) {
  scene.stalled = texts == OK ? 0 : ALL_TEXTS;
  scene.are_gone = texts >= GONE;
  scene.are_forks = texts == FORK_GONE;
}

START_TEST(process_counts_from_its_birth_or_from_a_late_match_on) {
  const char *key = lives[_i].is_sampled ? "Comm" : "CommandLine";
  const char *value = strcmp(lives[_i].key, "User") ? "app" : "1";
  struct denet_rule rules[] = {scene_rule_for("b", key, "~^(app|sh)$", "y"),
                               scene_rule("a", lives[_i].key, value)};
  rules[0].records = false;
  scene_begin(rules, 2);
  if (!lives[_i].was_there)
    scene_tick(SECOND);
  show(lives[_i].first_name ? lives[_i].first_name : "app", lives[_i].age_ns);
  set_texts(lives[_i].texts);
  for (unsigned i = 0; i < lives[_i].ticks; i++)
    scene_tick(SECOND);
  scene.processes[0].name = "app";
  scene.processes[0].exec_id += lives[_i].first_name != NULL;
  scene.processes[0].cpu_ns = 300 * MILLISECOND;
  set_texts(lives[_i].last_texts);
  if (lives[_i].ends)
    end(0, SECOND / 4);
  scene_tick(SECOND);
  scene.processes[0].cpu_ns += 100 * MILLISECOND;
  scene_end();
  uint64_t ends = lives[_i].ends ? lives[_i].starts : 0;
  scene_expect_counts(lives[_i].starts, ends, !lives[_i].ends);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], lives[_i].starts);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], ends);
  ck_assert_uint_eq(scene.group_cpu_ns, lives[_i].cpu_ms * MILLISECOND);
  ck_assert_uint_eq(scene.lost, lives[_i].lost);
}
END_TEST

/* A process goes from name to name, and so in and out of rules of one group, while its texts stall
 * until the last tick. */
static const struct {
  const char *names[6];
  const char
      *always; /* the name for another group, which has the process all the time if it is so */
  const char *command_line; /* a second rule of the group needs it */
  uint64_t step_ns;
} journeys[] = {
    {{"app", "other", "app", "other", "app"}, "~^(app|other)$", "none", SECOND},
    {{"app", "other", "app", "other", "app"}, "none", "none", SECOND},
    {{"app", "other", "app", "other", "app"}, "~^(app|other)$", "none", SECOND / 10},
    {{"app", "other", "app", "other", "app"}, "none", "none", SECOND / 10},
    {{"app", "other", "other"}, "~^(app|other)$", "other", SECOND},
};

START_TEST(process_that_leaves_and_comes_back_is_counted_once) {
  struct denet_rule rules[] = {scene_rule_for("all", "Comm", journeys[_i].always, "z"),
                               scene_rule("b", "CommandLine", journeys[_i].command_line),
                               scene_rule("a", "Comm", "app")};
  scene_begin(rules, 3);
  scene_tick(SECOND);
  show("app", SECOND / 2);
  for (const char *const *name = journeys[_i].names; *name; name++) {
    scene.processes[0].name = *name;
    scene.stalled = name[1] ? ALL_TEXTS : 0;
    scene_tick(journeys[_i].step_ns);
  }
  scene_end();
  ck_assert_uint_eq(scene.members, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 40 * MILLISECOND);
}
END_TEST

/* --- Processes that have ended --- */

/* Two of them have one pid, one after the other. */
static const pid_t pids_of_short_lives[PROCESSES] = {10, 10, 12, 13};

START_TEST(all_that_lived_between_two_ticks_are_counted) {
  scene_begin_with("Comm");
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

START_TEST(member_that_execd_another_program_and_ended_has_one_last_line) {
  scene_begin_with("Comm");
  scene.processes[0] = old_app;
  scene_tick(SECOND);
  scene.processes[0].name = "sh";
  scene.processes[0].exec_id = 2;
  end(0, SECOND / 2);
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
  bool child_has_ended;
  unsigned starts, exits;
} families[] = {
    {true, true, false, false, 1, 1},  {true, false, false, false, 2, 1},
    {true, true, false, true, 1, 2},   {true, false, false, true, 2, 2},
    {false, true, false, false, 0, 1}, {false, false, false, false, 1, 1},
    {false, false, false, true, 1, 1}, {true, false, true, false, 1, 1},
    {true, false, true, true, 1, 1},
};

START_TEST(child_joins_the_tree_of_a_parent_that_is_gone) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  bool joins = families[_i].has_children && !families[_i].parent_is_younger;
  bool lives_on = joins && !families[_i].child_has_ended;
  rule.children = families[_i].has_children;
  scene_begin(&rule, 1);
  uint64_t then_ns = scene.now_ns;
  if (families[_i].parent_was_there)
    scene.processes[0] = old_app;
  scene_tick(SECOND);
  if (!families[_i].parent_was_there)
    scene.processes[0] = (struct fake_process){10, 1, "app", then_ns + SECOND / 4, 1, 0};
  end(0, SECOND / 2);
  uint64_t child_ns = then_ns + (families[_i].parent_is_younger ? SECOND / 5 : SECOND / 3);
  scene.processes[1] = (struct fake_process){11, 10, "kid", child_ns, 1, 30 * MILLISECOND};
  if (families[_i].child_has_ended)
    end(1, SECOND / 4);
  scene_tick(SECOND);
  scene_end();
  scene_expect_counts(families[_i].starts, families[_i].exits, lives_on);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], !lives_on);
  ck_assert_uint_eq(scene.group_cpu_ns, joins ? 30 * MILLISECOND : 0);
}
END_TEST

/* Processes that ended before the first tick, or were born before it and never seen. */
static const struct {
  unsigned ticks; /* before the scan that reports them */
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
  scene_begin_with("Comm");
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

/* A process that is found late has all be resolved once more. */
START_TEST(zombie_in_a_slot_that_is_resolved_again_stays_in_its_tree) {
  struct denet_rule rules[] = {scene_rule("a", "CommandLine", "none"),
                               scene_rule_for("b", "Comm", "app", "app%{slot}")};
  scene_begin(rules, 2);
  scene_tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns - SECOND / 2, 1, 0};
  scene.processes[1] = (struct fake_process){11, 1, "app", 5 * SECOND, 1, 0};
  scene.zombie = 10;
  scene.stalled = ALL_TEXTS;
  scene_tick(SECOND);
  scene.stalled = 0;
  scene_end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
}
END_TEST

/* --- Metadata --- */

/* The line waits for texts that are not available: they come (in the middle of an exec neither is
 * available), or the process ends, and the line has what could be read while it lived. */
static const struct {
  unsigned stalled; /* while it lives */
  bool are_gone, ends;
  unsigned samples;
  const char *part; /* of the line */
} waits[] = {
    {1u << DENET_TEXT_ARGUMENTS, false, true, 0, "\"executable\":\"app\""},
    {ALL_TEXTS, true, false, 2, "\"cmd\":[\"app\"]"},
};

START_TEST(metadata_waits_for_the_texts_of_a_process_or_for_its_end) {
  scene_begin_with("Comm");
  scene_tick(SECOND);
  show("app", SECOND / 10);
  scene.stalled = waits[_i].stalled;
  scene.are_gone = waits[_i].are_gone;
  scene_tick(SECOND / 10);
  scene_expect_lines(0, 0, 0);
  if (waits[_i].ends)
    end(0, SECOND / 20);
  scene.stalled = waits[_i].ends ? ALL_TEXTS : 0;
  scene.are_gone = true;
  scene_tick(SECOND);
  scene_end();
  scene_expect_lines(1, waits[_i].samples, waits[_i].ends);
  ck_assert_ptr_nonnull(strstr(scene.last_metadata, waits[_i].part));
}
END_TEST

START_TEST(long_command_lines_are_kept_in_part) {
  struct denet_rule rule = scene_rule("a", "Comm", "app");
  rule.children = false;
  scene_begin(&rule, 1);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.argument_bytes = 6 << 20;
  scene_tick(SECOND);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], PROCESSES);
  ck_assert_uint_lt(scene.metadata_bytes, PROCESSES * (DENET_ARGUMENTS_MAX + 1000));
  scene_end();
}
END_TEST

/* --- Pid files --- */

/* A pid file, written so many seconds after the boot, names a process that was born at another
 * second. If it is the right one, the clock is then set forward by an hour. */
static const struct {
  const char *folder; /* of the file */
  uint64_t born_s;
  int64_t written_s;
  bool is_named;
} pid_files[] = {
    {"/var/tmp", 500, 501, true},
    {"/var/tmp", 500, 500, true},
    {"/var/tmp", 501, 500, true}, /* neither time is exact */
    {"/var/tmp", 503, 500, false},
    {"/var/tmp", 500, -500, false}, /* of an earlier boot */
    {"/dev/shm", 503, 500, false},
    {"/dev/shm", 500, -500, true}, /* the clock was set after the boot */
};

START_TEST(process_that_is_younger_than_its_pid_file_is_another_one) {
  char path[64];
  snprintf(path, sizeof(path), "%s/denet-matcher-%d", pid_files[_i].folder, (int)getpid());
  struct denet_rule rule = scene_rule("a", "PidFile", path);
  scene_begin(&rule, 1);
  scene.calendar_ms = 1700000000000;
  scene.processes[0] = (struct fake_process){10, 1, "app", pid_files[_i].born_s * SECOND, 1, 0};
  FILE *file = fopen(path, "we");
  ck_assert_ptr_nonnull(file);
  fputs("10\n", file);
  ck_assert_int_eq(fclose(file), 0);
  time_t written = (time_t)(scene.calendar_ms / 1000) + pid_files[_i].written_s;
  ck_assert_int_eq(utime(path, &(struct utimbuf){written, written}), 0);
  scene_tick(SECOND);
  scene.calendar_ms += pid_files[_i].is_named ? 3600 * UINT64_C(1000) : 0;
  scene_tick(SECOND);
  scene_tick(SECOND);
  scene_report();
  ck_assert_uint_eq(scene.members, pid_files[_i].is_named);
  ck_assert_uint_eq(scene.sentences, !pid_files[_i].is_named);
  scene_end();
  unlink(path);
}
END_TEST

/* What a pid file has in each of five ticks, one second apart ("": nothing; NULL: it is not there),
 * and how many sentences the log has then. Process 10 runs. */
static const struct {
  const char *contents[5];
  unsigned sentences;
} troubles[] = {
    {{"10", "10", "10", "10", "10"}, 0}, {{NULL, NULL, NULL, NULL, NULL}, 1},
    {{NULL, "10", NULL, "10", NULL}, 1}, {{"10", NULL, NULL, NULL, NULL}, 0},
    {{"11", "11", "11", "11", "11"}, 1}, {{"10", "11", "11", "11", "11"}, 1},
    {{"10", "11", "10", "11", "10"}, 0}, /* for less than a second */
    {{"10", "11", "11", "x", "x"}, 2},   {{"x", "10", "x", "x", "x"}, 2},
};

START_TEST(pid_file_that_names_no_process_is_logged_once_until_the_reason_changes) {
  char path[64];
  snprintf(path, sizeof(path), "/var/tmp/denet-matcher-%d", (int)getpid());
  struct denet_rule rule = scene_rule("a", "PidFile", path);
  scene_begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 500 * SECOND, 1, 0};
  for (int tick = 0; tick < 5; tick++) {
    const char *content = troubles[_i].contents[tick];
    unlink(path);
    FILE *file = content ? fopen(path, "we") : NULL;
    ck_assert_int_eq(file != NULL, content != NULL);
    if (file) {
      fputs(content, file);
      ck_assert_int_eq(fclose(file), 0);
    }
    scene_tick(SECOND);
  }
  unlink(path);
  ck_assert_msg(scene.sentences == troubles[_i].sentences, "%u: %s", scene.sentences,
                scene.last_sentence);
  ck_assert(!scene.sentences || strstr(scene.last_sentence, "Rule \"a\": PidFile \"/var/tmp/"));
  scene_end();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, all_processes_are_matched_though_scans_or_reads_are_slow, slow);
  ADD_TEST(suite, children_of_a_late_match_join_though_time_ran_out);
  ADD_TEST(suite, ended_processes_that_there_was_no_time_to_match_count_as_lost);
  ADD_TABLE(suite, process_counts_from_its_birth_or_from_a_late_match_on, lives);
  ADD_TABLE(suite, process_that_leaves_and_comes_back_is_counted_once, journeys);
  ADD_TEST(suite, all_that_lived_between_two_ticks_are_counted);
  ADD_TEST(suite, member_that_execd_another_program_and_ended_has_one_last_line);
  ADD_TABLE(suite, child_joins_the_tree_of_a_parent_that_is_gone, families);
  ADD_TABLE(suite, ended_process_that_was_not_born_under_watch_is_not_counted, strangers);
  ADD_TEST(suite, zombie_in_a_slot_that_is_resolved_again_stays_in_its_tree);
  ADD_TABLE(suite, metadata_waits_for_the_texts_of_a_process_or_for_its_end, waits);
  ADD_TEST(suite, long_command_lines_are_kept_in_part);
  ADD_TABLE(suite, process_that_is_younger_than_its_pid_file_is_another_one, pid_files);
  ADD_TABLE(suite, pid_file_that_names_no_process_is_logged_once_until_the_reason_changes,
            troubles);
}
