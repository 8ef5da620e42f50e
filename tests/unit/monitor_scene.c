#include "tests/unit/monitor_scene.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

struct scene scene;

static uint64_t read_clock(void *context) { return scene.now_ns; }

static uint64_t read_calendar(void *context) {
  return scene.now_ns / MILLISECOND + scene.calendar_ms;
}

static int name_user(void *context, uid_t uid, char *out, size_t size) {
  snprintf(out, size, "user%u", (unsigned)uid);
  return 0;
}

const struct denet_env scene_env = {.proc_path = "/nonexistent",
                                    .tick_ns = 10 * MILLISECOND,
                                    .page_bytes = 4096,
                                    .boot_ns = read_clock,
                                    .unix_ms = read_calendar,
                                    .user_name = name_user};

static void fill(const struct fake_process *fake, const struct fake_end *end,
                 struct denet_process *process) {
  bool is_over = end->is_over || fake->pid == scene.zombie;
  struct denet_identity identity = {.start_ticks = fake->born_ns / (10 * MILLISECOND),
                                    .born_ns = fake->born_ns,
                                    .parent_pid = fake->parent,
                                    .name = fake->name,
                                    .never_execd = scene.are_forks,
                                    .has_exec_stamp = true,
                                    .exec_stamp = fake->exec_id,
                                    .threads = !is_over,
                                    .is_zombie = is_over,
                                    .has_exit_status = true,
                                    .exit_status = end->exit_status,
                                    .oom_killed = end->oom_killed};
  denet_process_identify(process, &identity);
  process->ended_ns = end->ended_ns;
  ck_assert_ptr_nonnull(denet_process_use(process));
  process->usage->measured_ns = end->ended_ns ? end->ended_ns : scene.now_ns;
  denet_values_set(&process->usage->now, DENET_CPU_USER, fake->cpu_ns);
  denet_values_set(&process->usage->now, DENET_CPU_SYSTEM, 0);
}

/* Reports the end of a process. It is in the table if it was seen before. */
static void end_fake(struct denet_process_table *table, struct fake_process *fake,
                     struct fake_end *end) {
  while (denet_process_table_next_unseen(table, fake->pid))
    denet_process_table_remove(table);
  struct denet_process *process = denet_process_table_next_unseen(table, fake->pid + 1);
  bool is_known = process && process->born_ns == fake->born_ns;
  if (!is_known)
    ck_assert_int_eq(denet_process_table_add_gone(table, fake->pid, &process), 0);
  fill(fake, end, process);
  if (is_known)
    denet_process_table_remove(table);
  fake->pid = 0;
  *end = (struct fake_end){0};
}

static int scan(struct denet_source *source, struct denet_process_table *table,
                struct denet_error *error) {
  source->table = table;
  ck_assert_int_eq(denet_process_table_begin(table), 0);
  for (size_t i = 0; i < PROCESSES && scene.processes[i].name; i++) {
    struct denet_process *process;
    if (scene.ends[i].is_over) {
      end_fake(table, &scene.processes[i], &scene.ends[i]);
    } else if (scene.processes[i].pid) {
      ck_assert_int_eq(denet_process_table_upsert(table, scene.processes[i].pid, &process), 0);
      fill(&scene.processes[i], &scene.ends[i], process);
    }
  }
  denet_process_table_end(table, true);
  scene.now_ns += scene.scan_ns;
  return 0;
}

static void measure(struct denet_source *source, struct denet_process *process,
                    const struct denet_metric_set *wanted, bool first) {}

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  scene.now_ns += scene.read_ns;
  denet_buffer_clear(out);
  if (scene.stalled >> kind & 1)
    return scene.are_gone ? DENET_GONE : DENET_LATER;
  if (kind != DENET_TEXT_ARGUMENTS || !scene.argument_bytes)
    return denet_buffer_append_string(out, process->name);
  ck_assert_int_eq(denet_buffer_reserve(out, scene.argument_bytes), 0);
  memset(out->bytes, 'x', scene.argument_bytes);
  out->length = scene.argument_bytes;
  out->bytes[out->length] = '\0';
  return 0;
}

static int read_uid(struct denet_source *source, const struct denet_process *process,
                    uid_t *out_uid) {
  *out_uid = 1;
  return 0;
}

static bool drain_events(struct denet_source *source,
                         bool (*is_wanted)(void *context, struct denet_process *process),
                         void *context) {
  return true;
}

static void free_nothing(struct denet_source *source) {}

static struct denet_source fake_source = {.name = "fake",
                                          .scan = scan,
                                          .measure = measure,
                                          .read_text = read_text,
                                          .read_uid = read_uid,
                                          .drain_events = drain_events,
                                          .free = free_nothing};

static int keep_line(void *context, const struct denet_line *line) {
  scene.lines[line->kind]++;
  scene.metadata_bytes += line->kind == DENET_LINE_METADATA ? line->json.length : 0;
  char *kept = line->kind == DENET_LINE_METADATA ? scene.last_metadata : scene.last_line;
  snprintf(kept, sizeof(scene.last_line), "%.*s", (int)line->json.length, line->json.bytes);
  return 0;
}

static void keep_sentence(void *context, enum denet_severity severity, const char *sentence) {
  (void)context;
  (void)severity;
  scene.sentences++;
  snprintf(scene.last_sentence, sizeof(scene.last_sentence), "%s", sentence);
}

static void keep_report(void *context, const struct denet_group_report *report) {
  scene.members = report->group->members;
  scene.group_cpu_ns = denet_values_cpu_ns(&report->group->values);
  scene.starts = report->group->starts;
  scene.exits = report->group->exits;
  scene.cpu_percent_max = report->derived[DENET_DERIVED_CPU_PERCENT_MAX];
}

struct denet_rule scene_rule(const char *name, const char *key, const char *value) {
  return scene_rule_for(name, key, value, "x");
}

struct denet_rule scene_rule_for(const char *name, const char *key, const char *value,
                                 const char *instance_template) {
  struct denet_rule rule;
  struct denet_setting condition = {key, DENET_SETTING_STRING, .string = value};
  struct denet_setting instance = {"Instance", DENET_SETTING_STRING, .string = instance_template};
  ck_assert_int_eq(denet_rule_init(&rule, name, NULL), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &condition, NULL), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &instance, NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  return rule;
}

void scene_begin(struct denet_rule *rules, size_t count) {
  scene_begin_at((struct denet_interval){100 * MILLISECOND, SECOND}, rules, count);
}

void scene_begin_at(struct denet_interval interval, struct denet_rule *rules, size_t count) {
  struct denet_monitor_settings settings = {
      .interval = interval, .host_name = "h", .sink = keep_line, .log = {keep_sentence, NULL}};
  scene = (struct scene){.now_ns = 1000 * SECOND};
  ck_assert_int_eq(
      denet_monitor_new(&settings, &scene_env, &fake_source, rules, count, NULL, &scene.monitor),
      0);
}

void scene_begin_with(const char *key) {
  struct denet_rule rule = scene_rule("a", key, "app");
  scene_begin(&rule, 1);
}

void scene_tick(uint64_t then_ns) {
  ck_assert_int_eq(denet_monitor_tick(scene.monitor, DENET_TICK_ALL, NULL), 0);
  scene.now_ns += then_ns;
}

void scene_report(void) {
  struct denet_monitor_stats stats;
  denet_monitor_report(scene.monitor, keep_report, NULL, &stats);
  scene.lost = stats.lost;
}

void scene_end(void) {
  scene_tick(0);
  scene_report();
  denet_monitor_free(scene.monitor);
}

void scene_expect_lines(unsigned metadata, unsigned samples, unsigned last) {
  ck_assert_uint_eq(scene.lines[DENET_LINE_METADATA], metadata);
  ck_assert_uint_eq(scene.lines[DENET_LINE_SAMPLE], samples);
  ck_assert_uint_eq(scene.lines[DENET_LINE_LAST], last);
}

void scene_expect_counts(uint64_t starts, uint64_t exits, unsigned members) {
  ck_assert_uint_eq(scene.starts, starts);
  ck_assert_uint_eq(scene.exits, exits);
  ck_assert_uint_eq(scene.members, members);
}

void scene_expect_in_last_line(const char *text) {
  ck_assert_msg(strstr(scene.last_line, text) != NULL, "%s is not in %s", text, scene.last_line);
}
