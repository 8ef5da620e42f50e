/* What the kernel tells of processes, their ends and their threads, through the BPF source and the
 * whole of a tick to values and lines. An input is a script: one byte a step (kernel.c, and below),
 * and what that takes. */
#include "core/cleanup.h"
#include "core/monitor.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MOST 400
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
    char name[128];
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

/* A metadata line comes before any other of a file, and nothing behind its last. */
static int take_line(void *context, const struct denet_line *line) {
  (void)context;
  CLAIM(fuzz_is_json_line(line->json));
  CLAIM(fuzz_is_safe_name(line->instance) && line->pid > 0);
  if (line->kind == DENET_LINE_METADATA)
    open_file(line);
  struct file *file = find_file(line);
  CLAIM(file || seen.file_count == FILES_MOST);
  if (file && line->kind == DENET_LINE_LAST)
    *file = seen.files[--seen.file_count];
  return 0;
}

static struct told *find_told(const char *name) {
  for (size_t i = 0; i < seen.told_count; i++)
    if (!strcmp(seen.told[i].name, name))
      return &seen.told[i];
  if (seen.told_count == GROUPS_MOST)
    return NULL;
  struct told *told = &seen.told[seen.told_count++];
  snprintf(told->name, sizeof(told->name), "%s", name);
  return told;
}

/* No counter of a group ever falls. */
static void take_report(void *context, const struct denet_group_report *report) {
  (void)context;
  const struct denet_group *group = report->group;
  struct told *told = find_told(group->name);
  CLAIM(fuzz_is_safe_name(group->name));
  for (unsigned m = 0; told && m < DENET_METRICS; m++) {
    bool is_counter = denet_metric_info[m].kind == DENET_KIND_COUNTER;
    bool is_in_both = denet_values_has(&told->values, m) && denet_values_has(&group->values, m);
    CLAIM(!is_counter || !is_in_both || told->values.value[m] <= group->values.value[m]);
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
    denet_rule_settle_off_cpu(&rules[i], DENET_OFF_CPU_TIMES);
  }
}

static struct denet_monitor *new_monitor(bool since_process_start) {
  struct denet_error error = {""};
  struct denet_source *source;
  struct denet_profiler *profiler;
  struct denet_monitor *monitor;
  struct denet_rule rules[3];
  struct denet_profiler_settings profiling = {.rate = 100};
  make_rules(rules);
  int failure = denet_bpf_open(&kernel_host, &error, &source);
  if (failure)
    fprintf(stderr, "%s\n", error.text);
  CLAIM(failure == 0);
  CLAIM(denet_profiler_open(&profiling, "/proc", &error, &profiler) == 0);
  struct denet_monitor_settings settings = {.pace = {100000000, 1000000000},
                                            .since_process_start = since_process_start,
                                            .host_name = "host",
                                            .profiler = profiler,
                                            .sink = take_line};
  CLAIM(denet_monitor_new(&settings, &kernel_host, source, rules, 3, &error, &monitor) == 0);
  return monitor;
}

static void tick(struct denet_monitor *monitor, enum denet_tick_scope scope) {
  struct denet_monitor_stats stats;
  struct denet_error error = {""};
  int outcome = denet_monitor_tick(monitor, scope, &error);
  CLAIM(outcome == 0 || fuzz_is_sentence(error.text));
  if (scope == DENET_TICK_ALL)
    denet_monitor_report(monitor, take_report, NULL, &stats);
}

static void run(struct denet_monitor *monitor, struct denet_text *script) {
  for (unsigned step = 0; step < STEPS_MOST && script->length; step++) {
    char what = (char)fuzz_take_byte(script);
    if (what == 'T')
      tick(monitor, DENET_TICK_DUE);
    else if (what == 'A')
      tick(monitor, DENET_TICK_ALL);
    else if (what == 'H')
      denet_monitor_hear(monitor);
    else
      kernel_step(what, script);
  }
  tick(monitor, DENET_TICK_FINAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text script = {(const char *)bytes, length};
  memset(&seen, 0, sizeof(seen));
  kernel_start();
  struct denet_monitor *monitor = new_monitor(fuzz_take_byte(&script) & 1);
  run(monitor, &script);
  denet_monitor_free(monitor);
  kernel_stop();
  return 0;
}
