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

/* The host, its source and what the monitor makes of it. */
static struct scene {
  struct fake_process processes[PROCESSES]; /* by ascending pid */
  uint64_t now_ns, scan_ns, describe_ns;    /* the last two: what these cost */
  struct denet_monitor *monitor;
  unsigned members, lines[3]; /* by kind */
  uint64_t group_cpu_ns;
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

static int scan(struct denet_source *source, struct denet_roster *roster,
                struct denet_error *error) {
  (void)source;
  (void)error;
  ck_assert_int_eq(denet_roster_begin(roster), 0);
  for (size_t i = 0; i < PROCESSES && scene.processes[i].name; i++) {
    const struct fake_process *fake = &scene.processes[i];
    struct denet_process *process;
    ck_assert_int_eq(denet_roster_see(roster, fake->pid, &process), 0);
    struct denet_identity identity = {.start_ticks = fake->born_ns / (10 * MILLISECOND),
                                      .born_ns = fake->born_ns,
                                      .parent_pid = fake->parent,
                                      .name = fake->name,
                                      .has_exec_stamp = true,
                                      .exec_stamp = fake->exec_id,
                                      .threads = 1};
    denet_process_identify(process, &identity);
    process->measured_ns = scene.now_ns;
    denet_values_set(&process->now, DENET_CPU_USER, fake->cpu_ns);
    denet_values_set(&process->now, DENET_CPU_SYSTEM, 0);
  }
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
  (void)kind;
  scene.now_ns += scene.describe_ns;
  denet_buffer_clear(out);
  return denet_buffer_append_string(out, process->name);
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
  snprintf(scene.last_line, sizeof(scene.last_line), "%.*s", (int)line->json.length,
           line->json.bytes);
  return 0;
}

static void keep_report(void *context, const struct denet_group_report *report) {
  (void)context;
  scene.members = report->group->members;
  scene.group_cpu_ns = denet_values_cpu_ns(&report->group->values);
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

void add_cases(Suite *suite) {
  ADD_TEST(suite, slow_scan_leaves_time_to_match);
  ADD_TEST(suite, matching_goes_on_where_it_ran_out_of_time);
  ADD_TEST(suite, children_of_a_late_match_join_though_time_ran_out);
  ADD_TEST(suite, rule_without_records_takes_no_file_from_another);
  ADD_TEST(suite, two_rules_of_an_instance_write_one_file);
  ADD_TEST(suite, exec_from_one_rule_into_another_of_the_instance_goes_on_in_a_file);
  ADD_TABLE(suite, fork_that_execs_the_program_counts_from_birth_whatever_the_rule_looks_at,
            condition_keys);
  ADD_TEST(suite, late_joiner_of_a_tree_brings_no_jump_of_cpu_use);
}
