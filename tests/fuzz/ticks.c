#include "tests/fuzz/ticks.h"

#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/read_at_once.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILES_MOST 64
#define GROUPS_MOST 64

/* The files of which metadata lines were seen, and the counters of each group's last report. */
static struct {
  struct file {
    char instance[128];
    pid_t pid;
    uint64_t t0_ms;
  } files[FILES_MOST];
  size_t file_count;
  struct report {
    const struct denet_group *group; /* may be freed; ASan does not reuse its address soon */
    struct denet_values values;
  } reports[GROUPS_MOST];
  size_t report_count;
} seen;

static struct file *find_file(const struct denet_line *line) {
  for (size_t i = 0; i < seen.file_count; i++)
    if (seen.files[i].pid == line->pid && seen.files[i].t0_ms == line->t0_ms &&
        !strcmp(seen.files[i].instance, line->instance))
      return &seen.files[i];
  return NULL;
}

/* Claims that the metadata line of a file comes before all its other lines. */
static int take_line(void *context, const struct denet_line *line) {
  CLAIM(fuzz_is_json_line(line->json));
  CLAIM(fuzz_is_safe_name(line->instance) && line->pid > 0);
  if (find_file(line) || seen.file_count == FILES_MOST)
    return 0;
  CLAIM(line->kind == DENET_LINE_METADATA);
  struct file *file = &seen.files[seen.file_count++];
  *file = (struct file){.pid = line->pid, .t0_ms = line->t0_ms};
  snprintf(file->instance, sizeof(file->instance), "%s", line->instance);
  return 0;
}

bool ticks_may_wrap;

static struct report *find_report(const struct denet_group *group) {
  for (size_t i = 0; i < seen.report_count; i++)
    if (seen.reports[i].group == group)
      return &seen.reports[i];
  if (seen.report_count == GROUPS_MOST)
    return NULL;
  struct report *last = &seen.reports[seen.report_count++];
  *last = (struct report){.group = group};
  return last;
}

/* Claims that no counter of a group falls. */
static void take_report(void *context, const struct denet_group_report *report) {
  const struct denet_group *group = report->group;
  struct report *last = find_report(group);
  CLAIM(fuzz_is_safe_name(group->name));
  for (unsigned m = 0; last && m < DENET_METRICS; m++) {
    bool is_counter = denet_metric_info[m].kind == DENET_COUNTER;
    bool is_in_both = denet_values_has(&last->values, m) && denet_values_has(&group->values, m);
    CLAIM(!is_counter || !is_in_both || ticks_may_wrap ||
          last->values.value[m] <= group->values.value[m]);
  }
  for (unsigned d = 0; d < DENET_DERIVEDS; d++)
    CLAIM(!(report->derived_present >> d & 1) || report->derived[d] >= 0);
  if (last)
    last->values = group->values;
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

uint64_t ticks_now_ns;

static uint64_t boot_ns(void *context) { return ticks_now_ns; }

static uint64_t unix_ms(void *context) { return UINT64_C(1700000000000) + ticks_now_ns / 1000000; }

static int user_name(void *context, uid_t uid, char *out, size_t size) {
  if (uid & 1)
    return -ENOENT;
  snprintf(out, size, "user/%u", (unsigned)uid);
  return 0;
}

struct denet_env ticks_env = {.proc_path = "/proc",
                              .tick_ns = 10000000,
                              .page_bytes = 4096,
                              .boot_ns = boot_ns,
                              .unix_ms = unix_ms,
                              .user_name = user_name};

struct denet_monitor *ticks_start(struct denet_source *source, struct denet_profiler *profiler,
                                  bool since_process_start) {
  struct denet_error error;
  struct denet_monitor *monitor;
  struct denet_rule rules[3];
  memset(&seen, 0, sizeof(seen));
  read_at_once_stalls = false;
  make_rules(rules);
  struct denet_monitor_settings settings = {.interval = {100000000, 1000000000},
                                            .since_process_start = since_process_start,
                                            .host_name = "host",
                                            .profiler = profiler,
                                            .sink = take_line};
  CLAIM(denet_monitor_new(&settings, &ticks_env, source, rules, 3, &error, &monitor) == 0);
  return monitor;
}

void ticks_tick(struct denet_monitor *monitor, enum denet_tick_scope scope) {
  struct denet_monitor_stats stats;
  struct denet_error error = {""};
  int outcome = denet_monitor_tick(monitor, scope, &error);
  CLAIM(outcome == 0 || fuzz_is_sentence(error.text));
  if (scope == DENET_TICK_ALL)
    denet_monitor_report(monitor, take_report, NULL, &stats);
}
