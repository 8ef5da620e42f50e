#include "tests/fuzz/ticks.h"

#include "core/source/procfs/aside.h"
#include "core/source/procfs/reader.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILES_MOST 64
#define GROUPS_MOST 64

/* The files that lines have opened, and each group's counters as they were reported last. */
static struct {
  struct file {
    char instance[128];
    pid_t pid;
    uint64_t t0_ms;
  } files[FILES_MOST];
  size_t file_count;
  struct told {
    const struct denet_group *group; /* may be gone; ASan gives its address to no other soon */
    struct denet_values values;
  } told[GROUPS_MOST];
  size_t told_count;
} seen;

static struct file *find_file(const struct denet_line *line) {
  for (size_t i = 0; i < seen.file_count; i++)
    if (seen.files[i].pid == line->pid && seen.files[i].t0_ms == line->t0_ms &&
        !strcmp(seen.files[i].instance, line->instance))
      return &seen.files[i];
  return NULL;
}

static void open_file(const struct denet_line *line) {
  if (find_file(line) || seen.file_count == FILES_MOST)
    return;
  struct file *file = &seen.files[seen.file_count++];
  *file = (struct file){.pid = line->pid, .t0_ms = line->t0_ms};
  snprintf(file->instance, sizeof(file->instance), "%s", line->instance);
}

/* A metadata line comes before any other of a file. */
static int take_line(void *context, const struct denet_line *line) {
  (void)context;
  CLAIM(fuzz_is_json_line(line->json));
  CLAIM(fuzz_is_safe_name(line->instance) && line->pid > 0);
  if (line->kind == DENET_LINE_METADATA)
    open_file(line);
  CLAIM(find_file(line) || seen.file_count == FILES_MOST);
  return 0;
}

bool ticks_is_held_up, ticks_may_wrap;

static struct told *find_told(const struct denet_group *group) {
  for (size_t i = 0; i < seen.told_count; i++)
    if (seen.told[i].group == group)
      return &seen.told[i];
  if (seen.told_count == GROUPS_MOST)
    return NULL;
  struct told *told = &seen.told[seen.told_count++];
  *told = (struct told){.group = group};
  return told;
}

/* No counter of a group ever falls. */
static void take_report(void *context, const struct denet_group_report *report) {
  (void)context;
  const struct denet_group *group = report->group;
  struct told *told = find_told(group);
  CLAIM(fuzz_is_safe_name(group->name));
  for (unsigned m = 0; told && m < DENET_METRICS; m++) {
    bool is_counter = denet_metric_info[m].kind == DENET_COUNTER;
    bool is_in_both = denet_values_has(&told->values, m) && denet_values_has(&group->values, m);
    CLAIM(!is_counter || !is_in_both || ticks_may_wrap ||
          told->values.value[m] <= group->values.value[m]);
  }
  for (unsigned d = 0; d < DENET_DERIVEDS; d++)
    CLAIM(!(report->derived_present >> d & 1) || report->derived[d] >= 0);
  if (told)
    told->values = group->values;
}

static void set(struct denet_rule *rule, const char *key, const char *value) {
  struct denet_setting setting = {.key = key, .type = DENET_SETTING_STRING, .string = value};
  struct denet_error error;
  CLAIM(denet_rule_set(rule, &setting, &error) == 0);
}

static void make_rules(struct denet_rule rules[3]) {
  static const char *const names[] = {"every/one", "a", "sh"};
  struct denet_error error;
  for (size_t i = 0; i < 3; i++)
    CLAIM(denet_rule_init(&rules[i], names[i], &error) == 0);
  set(&rules[0], "CommandLine", "^(..?)");
  set(&rules[0], "Instance", "%{1}");
  set(&rules[0], "OffCPU", "stacks");
  set(&rules[1], "Comm", "~^a");
  set(&rules[1], "Instance", "%{exe}.%{user}.%{slot}");
  rules[1].children = false;
  set(&rules[2], "Executable", "*h");
  set(&rules[2], "Unit", "!x.service");
  set(&rules[2], "Instance", "%{unit}%{cgroup}%{comm}");
  set(&rules[2], "OffCPU", "times");
  rules[2].max_instances = 2;
  for (size_t i = 0; i < 3; i++) {
    CLAIM(denet_rule_finish(&rules[i], &error) == 0);
    denet_rule_inherit_off_cpu(&rules[i], DENET_OFF_CPU_TIMES);
  }
}

struct denet_monitor *ticks_start(const struct denet_env *env, struct denet_source *source,
                                  struct denet_profiler *profiler, bool since_process_start) {
  struct denet_error error;
  struct denet_monitor *monitor;
  struct denet_rule rules[3];
  memset(&seen, 0, sizeof(seen));
  ticks_is_held_up = false;
  make_rules(rules);
  struct denet_monitor_settings settings = {.interval = {100000000, 1000000000},
                                            .since_process_start = since_process_start,
                                            .host_name = "host",
                                            .profiler = profiler,
                                            .sink = take_line};
  CLAIM(denet_monitor_new(&settings, env, source, rules, 3, &error, &monitor) == 0);
  return monitor;
}

/* --- core/aside.h, without a thread --- */

int denet_aside_new(struct denet_aside **out_aside) {
  *out_aside = NULL;
  return 0;
}

int denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                     const char *path, size_t limit, struct denet_buffer *out) {
  (void)aside, (void)key;
  if (ticks_is_held_up)
    return DENET_LATER;
  return denet_buffer_read_path(out, folder, path, limit);
}

void denet_aside_free(struct denet_aside *aside) { (void)aside; }

/* --- core/reader.h, likewise: process 102 can hold it up --- */

struct denet_reader {
  bool is_busy;
  unsigned at;
};

struct denet_reader *denet_reader_new(void) {
  return calloc(1, sizeof(struct denet_reader));
}

void denet_reader_call(struct denet_reader *reader, int folder, struct denet_reader_file *files,
                       unsigned from, unsigned count) {
  for (reader->at = from; reader->at < count && !reader->is_busy; reader->at++) {
    struct denet_reader_file *file = &files[reader->at];
    reader->is_busy = ticks_is_held_up && !file->is_spared && !strncmp(file->path, "102/", 4);
    if (reader->is_busy)
      return;
    if (!file->is_spared)
      file->outcome = denet_buffer_read_path(&file->text, folder, file->path, file->limit);
  }
}

bool denet_reader_is_busy(struct denet_reader *reader, uint64_t *out_since_ns) {
  *out_since_ns = 0;
  return reader->is_busy && ticks_is_held_up;
}

unsigned denet_reader_finish(struct denet_reader *reader, uint64_t patience_ns) {
  (void)patience_ns;
  return reader->at;
}

void denet_reader_dismiss(struct denet_reader *reader) { free(reader); }

/* --- Ticks --- */

void ticks_tick(struct denet_monitor *monitor, enum denet_tick_scope scope) {
  struct denet_monitor_stats stats;
  struct denet_error error = {""};
  int outcome = denet_monitor_tick(monitor, scope, &error);
  CLAIM(outcome == 0 || fuzz_is_sentence(error.text));
  if (scope == DENET_TICK_ALL)
    denet_monitor_report(monitor, take_report, NULL, &stats);
}
