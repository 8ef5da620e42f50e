/* Ticks over a made-up host whose clock only moves when it is told to. */
#include "core/monitor.h"

#include "core/cleanup.h"
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define PROCESSES 4

struct fake_process {
  pid_t pid, parent;
  const char *name; /* NULL: there is none; also its command line */
  uint64_t born_ns, exec_id, cpu_ns;
};

/* What became of one: the next scan tells of it, and then it is not there any more. */
struct fake_end {
  bool is_over;
  uint64_t ended_ns; /* 0: it is not known when */
  int exit_status;
  bool oom_killed;
};

/* The host, its source and what the monitor makes of it. */
static struct scene {
  struct fake_process processes[PROCESSES]; /* by ascending pid; 0: its end has been told */
  struct fake_end ends[PROCESSES];          /* of the process with the same index */
  uint64_t now_ns, scan_ns, describe_ns;    /* the last two: what these cost */
  size_t argument_bytes;                    /* 0: a command line is the name */
  size_t metadata_bytes;                    /* of all the lines */
  bool is_held;                             /* command lines are not to be had yet */
  struct denet_monitor *monitor;
  unsigned members, lines[3]; /* by kind */
  uint64_t group_cpu_ns, starts, exits, lost;
  char last_line[2048];
} scene;

static uint64_t read_clock(void *context) {
  (void)context;
  return scene.now_ns;
}

static uint64_t read_calendar(void *context) {
  (void)context;
  return scene.now_ns / MILLISECOND;
}

static int find_no_user(void *context, uid_t uid, char *out, size_t size) {
  (void)context;
  (void)uid;
  (void)out;
  (void)size;
  return -ENOENT;
}

static const struct denet_host host = {.proc_path = "/nonexistent",
                                       .tick_ns = 10 * MILLISECOND,
                                       .page_bytes = 4096,
                                       .boot_ns = read_clock,
                                       .unix_ms = read_calendar,
                                       .user_name = find_no_user};

static void take_fake(const struct fake_process *fake, const struct fake_end *end,
                      struct denet_process *process) {
  struct denet_identity identity = {.start_ticks = fake->born_ns / (10 * MILLISECOND),
                                    .born_ns = fake->born_ns,
                                    .parent_pid = fake->parent,
                                    .name = fake->name,
                                    .has_exec_stamp = true,
                                    .exec_stamp = fake->exec_id,
                                    .threads = !end->is_over,
                                    .is_zombie = end->is_over,
                                    .has_exit_status = true,
                                    .exit_status = end->exit_status,
                                    .oom_killed = end->oom_killed};
  denet_process_identify(process, &identity);
  process->ended_ns = end->ended_ns;
  process->measured_ns = end->ended_ns ? end->ended_ns : scene.now_ns;
  denet_values_set(&process->now, DENET_CPU_USER, fake->cpu_ns);
  denet_values_set(&process->now, DENET_CPU_SYSTEM, 0);
}

/* What is over is in the roster if it was seen, or else was never there. */
static void bury_fake(struct denet_roster *roster, struct fake_process *fake,
                      struct fake_end *end) {
  while (denet_roster_unseen(roster, fake->pid))
    denet_roster_miss(roster);
  struct denet_process *process = denet_roster_unseen(roster, fake->pid + 1);
  bool is_known = process && process->born_ns == fake->born_ns;
  if (!is_known)
    ck_assert_int_eq(denet_roster_add_gone(roster, fake->pid, &process), 0);
  take_fake(fake, end, process);
  if (is_known)
    denet_roster_miss(roster);
  fake->pid = 0;
  *end = (struct fake_end){0};
}

static void show_fake(struct denet_roster *roster, struct fake_process *fake,
                      struct fake_end *end) {
  struct denet_process *process;
  if (!fake->pid)
    return;
  if (end->is_over) {
    bury_fake(roster, fake, end);
    return;
  }
  ck_assert_int_eq(denet_roster_see(roster, fake->pid, &process), 0);
  take_fake(fake, end, process);
}

static int scan(struct denet_source *source, struct denet_roster *roster,
                struct denet_error *error) {
  (void)source;
  (void)error;
  ck_assert_int_eq(denet_roster_begin(roster), 0);
  for (size_t i = 0; i < PROCESSES && scene.processes[i].name; i++)
    show_fake(roster, &scene.processes[i], &scene.ends[i]);
  denet_roster_end(roster, true);
  scene.now_ns += scene.scan_ns;
  return 0;
}

static void measure(struct denet_source *source, struct denet_process *process, uint64_t wanted,
                    bool first) {
  (void)source;
  (void)process;
  (void)wanted;
  (void)first;
}

static int describe(struct denet_source *source, struct denet_process *process,
                    enum denet_text_kind kind, struct denet_buffer *out) {
  (void)source;
  scene.now_ns += scene.describe_ns;
  denet_buffer_clear(out);
  if (kind == DENET_TEXT_ARGUMENTS && scene.is_held)
    return DENET_LATER;
  if (kind != DENET_TEXT_ARGUMENTS || !scene.argument_bytes)
    return denet_buffer_append_string(out, process->name);
  ck_assert_int_eq(denet_buffer_reserve(out, scene.argument_bytes), 0);
  memset(out->bytes, 'x', scene.argument_bytes);
  out->length = scene.argument_bytes;
  out->bytes[out->length] = '\0';
  return 0;
}

static int tell_owner(struct denet_source *source, const struct denet_process *process,
                      uid_t *out_uid) {
  (void)source;
  (void)process;
  *out_uid = 1;
  return 0;
}

static void free_nothing(struct denet_source *source) { (void)source; }

static struct denet_source fake_source = {.name = "fake",
                                          .scan = scan,
                                          .measure = measure,
                                          .describe = describe,
                                          .owner = tell_owner,
                                          .free = free_nothing};

static int keep_line(void *context, const struct denet_line *line) {
  (void)context;
  scene.lines[line->kind]++;
  scene.metadata_bytes += line->kind == DENET_LINE_METADATA ? line->json.length : 0;
  snprintf(scene.last_line, sizeof(scene.last_line), "%.*s", (int)line->json.length,
           line->json.bytes);
  return 0;
}

static void keep_report(void *context, const struct denet_group_report *report) {
  (void)context;
  scene.members = report->group->members;
  scene.group_cpu_ns = denet_values_cpu_ns(&report->group->values);
  scene.starts = report->group->starts;
  scene.exits = report->group->exits;
}

static struct denet_rule make_rule(const char *name, const char *key, const char *value) {
  struct denet_rule rule;
  struct denet_setting condition = {key, DENET_SETTING_STRING, .string = value};
  struct denet_setting instance = {"Instance", DENET_SETTING_STRING, .string = "x"};
  ck_assert_int_eq(denet_rule_init(&rule, name, NULL), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &condition, NULL), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &instance, NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  return rule;
}

static void begin(struct denet_rule *rules, size_t count) {
  scene = (struct scene){.now_ns = 1000 * SECOND};
  struct denet_monitor_settings settings = {
      .pace = {100 * MILLISECOND, SECOND}, .host_name = "h", .sink = keep_line};
  ck_assert_int_eq(
      denet_monitor_new(&settings, &host, &fake_source, rules, count, NULL, &scene.monitor), 0);
}

static void tick(uint64_t then_ns) {
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_ALL, NULL), 0);
  scene.now_ns += then_ns;
}

static void end(void) {
  struct denet_monitor_stats stats;
  tick(0);
  denet_monitor_report(scene.monitor, keep_report, NULL, &stats);
  scene.lost = stats.lost;
  denet_monitor_free(scene.monitor);
}

START_TEST(slow_scan_leaves_time_to_match) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  scene.scan_ns = 600 * MILLISECOND;
  tick(SECOND);
  end();
  ck_assert_uint_eq(scene.members, 1);
}
END_TEST

START_TEST(matching_goes_on_where_it_ran_out_of_time) {
  struct denet_rule rule = make_rule("a", "CommandLine", "app");
  begin(&rule, 1);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.describe_ns = 600 * MILLISECOND;
  for (int i = 0; i < PROCESSES; i++)
    tick(SECOND);
  end();
  ck_assert_uint_eq(scene.members, PROCESSES);
}
END_TEST

START_TEST(long_command_lines_of_many_at_once_take_memory_within_bounds) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  const size_t mebibyte = 1 << 20;
  rule.children = false;
  begin(&rule, 1);
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", 5 * SECOND, 1, 0};
  scene.argument_bytes = 6 * mebibyte;
  tick(SECOND);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], PROCESSES);
  ck_assert_uint_lt(scene.metadata_bytes, 13 * mebibyte);
  ck_assert_uint_gt(scene.metadata_bytes, 12 * mebibyte + 2 * 4096);
  /* These have been written; there is room again. */
  for (int i = 0; i < PROCESSES; i++)
    scene.processes[i].exec_id = 2;
  tick(SECOND);
  ck_assert_uint_gt(scene.metadata_bytes, 24 * mebibyte);
  end();
}
END_TEST

START_TEST(children_of_a_late_match_join_though_time_ran_out) {
  struct denet_rule rule = make_rule("a", "CommandLine", "app");
  begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "sh", 5 * SECOND, 1, 0};
  scene.processes[1] = (struct fake_process){11, 10, "kid", 6 * SECOND, 1, 0};
  tick(SECOND);
  scene.processes[0].name = "app";
  scene.describe_ns = 600 * MILLISECOND;
  tick(SECOND);
  scene.describe_ns = 0;
  end();
  ck_assert_uint_eq(scene.members, 2);
}
END_TEST

START_TEST(rule_without_records_takes_no_file_from_another) {
  struct denet_rule rules[] = {make_rule("a", "Comm", "app"), make_rule("b", "Comm", "app")};
  rules[0].records = false;
  begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 2);
  ck_assert_uint_eq(scene.members, 1);
}
END_TEST

START_TEST(two_rules_of_an_instance_write_one_file) {
  struct denet_rule rules[] = {make_rule("a", "Comm", "app"), make_rule("b", "Comm", "app")};
  begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  scene.processes[0].name = NULL;
  end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
}
END_TEST

START_TEST(exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file) {
  struct denet_rule rules[] = {make_rule("a", "Comm", "app"), make_rule("b", "Comm", "next")};
  begin(rules, 2);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  scene.processes[0].name = "next";
  scene.processes[0].exec_id = 2;
  tick(SECOND);
  end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 2);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], 3);
}
END_TEST

static const char *const condition_keys[] = {"Comm", "CommandLine"};

START_TEST(fork_that_execs_the_program_counts_from_birth_whatever_the_rule_looks_at) {
  struct denet_rule rule = make_rule("a", condition_keys[_i], "app");
  begin(&rule, 1);
  tick(SECOND);
  uint64_t born_ns = scene.now_ns - 50 * MILLISECOND;
  scene.processes[0] = (struct fake_process){10, 1, "sh", born_ns, 1, 40 * MILLISECOND};
  for (int i = 0; i < 5; i++)
    tick(100 * MILLISECOND);
  scene.processes[0].name = "app";
  scene.processes[0].exec_id = 2;
  scene.processes[0].cpu_ns = 300 * MILLISECOND;
  end();
  ck_assert_uint_eq(scene.group_cpu_ns, 300 * MILLISECOND);
}
END_TEST

START_TEST(late_joiner_of_a_tree_brings_no_jump_of_cpu_use) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  scene.processes[1] = (struct fake_process){11, 1, "kid", scene.now_ns, 1, 0};
  for (int i = 0; i < 20; i++, scene.processes[1].cpu_ns += SECOND / 2)
    tick(SECOND);
  scene.processes[1].parent = 10;
  scene.processes[1].name = "kid2";
  end();
  ck_assert_uint_eq(scene.members, 2);
  const char *total = strstr(scene.last_line, "\"aggregated\"");
  ck_assert_ptr_nonnull(total);
  ck_assert_msg(strstr(total, "\"cpu_usage\":0.00") != NULL, "%s", total);
}
END_TEST

static void expect_lines(unsigned metadata, unsigned samples, unsigned last) {
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], metadata);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], samples);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], last);
}

static void expect_counts(uint64_t starts, uint64_t exits, unsigned members) {
  ck_assert_uint_eq(scene.starts, starts);
  ck_assert_uint_eq(scene.exits, exits);
  ck_assert_uint_eq(scene.members, members);
}

static void expect_in_last_line(const char *text) {
  ck_assert_msg(strstr(scene.last_line, text) != NULL, "%s is not in %s", text, scene.last_line);
}

START_TEST(process_that_lived_between_two_ticks_is_counted_once) {
  struct denet_rule rule = make_rule("a", condition_keys[_i], "app");
  begin(&rule, 1);
  tick(SECOND);
  uint64_t now_ns = scene.now_ns;
  scene.processes[0] =
      (struct fake_process){10, 1, "app", now_ns - SECOND / 2, 1, 40 * MILLISECOND};
  scene.ends[0] = (struct fake_end){true, now_ns - SECOND / 4, 0, false};
  tick(SECOND);
  tick(SECOND);
  end();
  expect_counts(1, 1, 0);
  expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 40 * MILLISECOND);
  ck_assert_uint_eq(scene.lost, 0);
}
END_TEST

START_TEST(process_whose_command_line_came_only_when_it_had_ended_is_counted) {
  struct denet_rule rule = make_rule("a", "CommandLine", "app");
  begin(&rule, 1);
  tick(SECOND);
  uint64_t born_ns = scene.now_ns - SECOND / 10;
  scene.processes[0] = (struct fake_process){10, 1, "app", born_ns, 1, 40 * MILLISECOND};
  scene.is_held = true;
  tick(SECOND);
  scene.is_held = false;
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 4, 0, false};
  tick(SECOND);
  end();
  expect_counts(1, 1, 0);
  expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, 40 * MILLISECOND);
}
END_TEST

/* Two of them with one pid, one after the other. */
static const pid_t pids_of_short_lives[PROCESSES] = {10, 10, 12, 13};

START_TEST(all_that_lived_between_two_ticks_are_counted) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  tick(SECOND);
  for (unsigned i = 0; i < PROCESSES; i++) {
    uint64_t born_ns = 1000 * SECOND + (i + 1) * SECOND / 10;
    scene.processes[i] =
        (struct fake_process){pids_of_short_lives[i], 1, "app", born_ns, 1, 5 * MILLISECOND};
    scene.ends[i] = (struct fake_end){true, born_ns + SECOND / 20, 0, false};
  }
  tick(SECOND);
  end();
  expect_counts(PROCESSES, PROCESSES, 0);
  expect_lines(PROCESSES, 0, PROCESSES);
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
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns - 9 * MILLISECOND, 1, 0};
  scene.ends[0] = (struct fake_end){true, scene.now_ns - 5 * MILLISECOND, exits[_i].exit_status,
                                    exits[_i].oom_killed};
  end();
  expect_in_last_line(exits[_i].text);
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
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  struct fake_process *app = &scene.processes[0];
  if (moments[_i].was_there)
    *app = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  if (!moments[_i].was_there)
    *app = (struct fake_process){10, 1, "app", scene.now_ns - 900 * MILLISECOND, 1, 0};
  uint64_t ended_ns = moments[_i].before_tick_ns ? scene.now_ns - moments[_i].before_tick_ns : 0;
  scene.ends[0] = (struct fake_end){true, ended_ns, 0, false};
  scene.scan_ns = moments[_i].scan_ns;
  end();
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], 1);
  expect_in_last_line(moments[_i].text);
  expect_in_last_line("\"exit\"");
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
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  struct fake_process *process = &scene.processes[0];
  if (!launches[_i].was_there_before)
    tick(SECOND);
  uint64_t age_ns = launches[_i].was_there_before ? 500 * SECOND : 50 * MILLISECOND;
  *process = (struct fake_process){10, 1, "sh", scene.now_ns - age_ns, 1, 40 * MILLISECOND};
  for (unsigned i = 0; i < launches[_i].ticks; i++)
    tick(SECOND);
  process->name = "app";
  process->exec_id = 2;
  process->cpu_ns = 300 * MILLISECOND;
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 2, 7 << 8, false};
  tick(SECOND);
  end();
  expect_counts(1, 1, 0);
  expect_lines(1, 0, 1);
  ck_assert_uint_eq(scene.group_cpu_ns, launches[_i].group_cpu_ns);
  expect_in_last_line("\"exit\":{\"code\":7}");
}
END_TEST

START_TEST(member_that_execd_another_program_and_ended_has_one_last_line) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", 5 * SECOND, 1, 0};
  tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "sh", 5 * SECOND, 2, 0};
  scene.ends[0] = (struct fake_end){true, scene.now_ns - SECOND / 2, 0, false};
  tick(SECOND);
  end();
  expect_counts(0, 1, 0);
  expect_lines(1, 1, 1);
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
  tick(SECOND);
  if (!families[row].parent_was_there)
    scene.processes[0] = (struct fake_process){10, 1, "app", then_ns + SECOND / 4, 1, 0};
  scene.ends[0] = (struct fake_end){true, then_ns + SECOND / 2, 0, false};
  uint64_t child_ns = then_ns + (families[row].parent_is_younger ? SECOND / 5 : SECOND / 3);
  scene.processes[1] = (struct fake_process){11, 10, "kid", child_ns, 1, 30 * MILLISECOND};
  if (families[row].child_is_over)
    scene.ends[1] = (struct fake_end){true, then_ns + 3 * SECOND / 4, 0, false};
}

START_TEST(child_joins_the_tree_of_a_parent_that_is_gone) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  bool joins = families[_i].has_children && !families[_i].parent_is_younger;
  bool lives_on = joins && !families[_i].child_is_over;
  rule.children = families[_i].has_children;
  begin(&rule, 1);
  show_family(_i);
  tick(SECOND);
  end();
  expect_counts(families[_i].starts, families[_i].exits, lives_on);
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], !lives_on);
  ck_assert_uint_eq(scene.group_cpu_ns, joins ? 30 * MILLISECOND : 0);
}
END_TEST

START_TEST(tree_whose_root_ended_between_two_ticks_ends_with_its_last_child) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  tick(SECOND);
  uint64_t now_ns = scene.now_ns;
  scene.processes[0] = (struct fake_process){10, 1, "app", now_ns - SECOND / 2, 1, 0};
  scene.processes[1] = (struct fake_process){11, 10, "kid", now_ns - SECOND / 3, 1, 0};
  scene.ends[0] = (struct fake_end){true, now_ns - SECOND / 4, 9, false};
  tick(SECOND);
  expect_lines(1, 1, 0);
  expect_in_last_line("\"parent\":null");
  scene.ends[1] = (struct fake_end){true, scene.now_ns - SECOND / 4, 0, false};
  end();
  expect_lines(1, 1, 1);
  expect_in_last_line("\"ts_ms\":1001750,");
  expect_in_last_line("\"exit\":{\"signal\":9}");
}
END_TEST

START_TEST(two_lines_never_have_one_time) {
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  scene.processes[0] = (struct fake_process){10, 1, "app", scene.now_ns, 1, 0};
  tick(0);
  expect_in_last_line("\"ts_ms\":1000000,");
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_FINAL, NULL), 0);
  expect_in_last_line("\"ts_ms\":1000001,");
  denet_monitor_free(scene.monitor);
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
  struct denet_rule rule = make_rule("a", "Comm", "app");
  begin(&rule, 1);
  for (unsigned i = 0; i < strangers[_i].ticks; i++)
    tick(SECOND);
  scene.processes[0] = (struct fake_process){10, 1, "app", strangers[_i].born_ns, 1, SECOND};
  scene.ends[0] = (struct fake_end){true, strangers[_i].ended_ns, 0, false};
  tick(SECOND);
  end();
  expect_counts(0, 0, 0);
  expect_lines(0, 0, 0);
  ck_assert_uint_eq(scene.group_cpu_ns, 0);
  ck_assert_uint_eq(scene.lost, 0);
}
END_TEST

START_TEST(ended_processes_that_there_was_no_time_to_match_are_told_as_lost) {
  struct denet_rule rule = make_rule("a", "CommandLine", "app");
  begin(&rule, 1);
  tick(SECOND);
  for (int i = 0; i < PROCESSES; i++) {
    scene.processes[i] = (struct fake_process){10 + i, 1, "app", scene.now_ns - SECOND / 2, 1, 0};
    scene.ends[i] = (struct fake_end){true, scene.now_ns - SECOND / 3, 0, false};
  }
  scene.describe_ns = 300 * MILLISECOND;
  tick(SECOND);
  end();
  ck_assert_uint_gt(scene.starts, 0);
  ck_assert_uint_gt(scene.lost, 0);
  ck_assert_uint_eq(scene.starts + scene.lost, PROCESSES);
  expect_counts(scene.starts, scene.starts, 0);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], scene.starts);
}
END_TEST

void add_cases(Suite *suite) {
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
  ADD_TABLE(suite, process_that_lived_between_two_ticks_is_counted_once, condition_keys);
  ADD_TEST(suite, process_whose_command_line_came_only_when_it_had_ended_is_counted);
  ADD_TEST(suite, all_that_lived_between_two_ticks_are_counted);
  ADD_TABLE(suite, last_line_of_one_that_lived_between_two_ticks_says_how_it_ended, exits);
  ADD_TABLE(suite, last_line_is_of_the_moment_at_which_the_process_ended, moments);
  ADD_TABLE(suite, process_that_execd_and_ended_between_two_ticks_is_counted_once, launches);
  ADD_TEST(suite, member_that_execd_another_program_and_ended_has_one_last_line);
  ADD_TABLE(suite, child_joins_the_tree_of_a_parent_that_is_gone, families);
  ADD_TEST(suite, tree_whose_root_ended_between_two_ticks_ends_with_its_last_child);
  ADD_TEST(suite, two_lines_never_have_one_time);
  ADD_TABLE(suite, ended_process_that_was_not_born_under_watch_is_not_counted, strangers);
  ADD_TEST(suite, ended_processes_that_there_was_no_time_to_match_are_told_as_lost);
}
