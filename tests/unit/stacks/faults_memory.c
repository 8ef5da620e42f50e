/* Each allocation fails in turn: the result is -ENOMEM, or something is counted as lost. Nothing is
 * lost for good, and the next attempt succeeds. tests/unit/monitor/faults.c does the same with
 * whole ticks over /proc. */
#include "core/model/stack_counts.h"
#include "core/monitor/monitor.h"
#include "core/source/bpf/lifecycle.h"
#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/perf_map.h"
#include "core/store/queue.h"

#include "tests/unit/faults.h"
#include "tests/unit/unit.h"

#include "core/util/cleanup.h"

#include <errno.h>

/* attempt() runs while an allocation fails, and again while none does: then it does what has not
 * been done. It returns 0, -ENOMEM, or 1: done, with something counted as lost. check() checks the
 * result and frees it. These are between them: */
static struct denet_rule rule;
static struct denet_lifecycle lifecycle;
static struct denet_process_table table;
static struct denet_queue *queue;
static struct denet_monitor *monitor;
static struct denet_maps maps, copied;
static struct denet_perf_map perf_map;
static struct denet_stack_counts stacks;
static struct denet_frames *frames;

/* --- Rules --- */

static const struct denet_setting settings[] = {
    {.key = "Comm", .type = DENET_SETTING_STRING, .string = "!~^x"},
    {.key = "CommandLine", .type = DENET_SETTING_STRING, .string = "-D /srv/pg([0-9]+)"},
    {.key = "Executable", .type = DENET_SETTING_STRING, .string = "/usr/*/postgres"},
    {.key = "PidFile", .type = DENET_SETTING_STRING, .string = "/run/x.pid"},
    {.key = "Instance", .type = DENET_SETTING_STRING, .string = "pg-%{1}"},
};

static int attempt_rule(void) {
  static size_t taken;
  int error = 0;
  if (!rule.instance) {
    denet_rule_done(&rule);
    taken = 0;
    error = denet_rule_init(&rule, "rule", NULL);
  }
  for (; !error && taken < DENET_COUNT_OF(settings); taken += !error)
    error = denet_rule_set(&rule, &settings[taken], NULL);
  return error;
}

static void check_rule(void) {
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert_uint_eq(rule.condition_count, 4);
  ck_assert_uint_eq(rule.groups, 1);
  ck_assert_str_eq(rule.instance, "pg-%{1}");
  denet_rule_done(&rule);
}

static int attempt_process_match(void) {
  denet_rule_done(&rule);
  int error = denet_rule_init_process(&rule, "shard-%{1}", "shard([0-9]+)", NULL);
  return error ? error : denet_rule_finish(&rule, NULL);
}

static int attempt_bad_rule(void) {
  struct denet_setting bad = {
      .key = "Executable", .type = DENET_SETTING_STRING, .string = "/usr/[ab"};
  denet_rule_done(&rule);
  int error = denet_rule_init(&rule, "rule", NULL);
  int outcome = error ? error : denet_rule_set(&rule, &bad, NULL);
  return outcome == -EINVAL && !rule.condition_count ? 0 : outcome;
}

static void free_rule(void) { denet_rule_done(&rule); }

/* --- The monitor --- */

static int take_no_line(void *context, const struct denet_line *line) { return 0; }

static int attempt_monitor(void) {
  struct denet_monitor_settings wanted = {.host_name = "h", .sink = take_no_line};
  struct denet_env env = denet_env_here("/proc");
  struct denet_source *source;
  if (monitor)
    return 0;
  faults_pause(true);
  denet_rule_done(&rule);
  denet_rule_init_default(&rule, NULL);
  denet_rule_finish(&rule, NULL);
  faults_pause(false);
  int error = denet_procfs_open(&env, NULL, &source);
  if (error)
    return error;
  error = denet_monitor_new(&wanted, &env, source, &rule, 1, NULL, &monitor);
  if (error)
    denet_source_free(source);
  return error;
}

static void check_monitor(void) {
  ck_assert_ptr_null(rule.name); /* taken over */
  denet_monitor_free(DENET_TAKE(monitor));
}

/* --- Events, records and the ends of processes --- */

#define ENTRIES 40

static int attempt_lifecycle(void) {
  struct denet_bpf_fork fork = {.head = {DENET_BPF_FORK, 0, 7}, .parent_pid = 1};
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, 0, 7}};
  int failure = 0;
  for (denet_u32 pid = 1; pid <= ENTRIES; pid++) {
    fork.head.pid = texts.head.pid = pid;
    failure |= denet_lifecycle_note(&lifecycle, &fork, sizeof(fork));
    failure |= denet_lifecycle_note(&lifecycle, &texts, sizeof(texts));
  }
  return failure;
}

static void check_lifecycle(void) {
  ck_assert_uint_eq(lifecycle.count, ENTRIES);
  for (size_t i = 0; i < lifecycle.count; i++) {
    ck_assert_int_eq(lifecycle.entries[i]->pid, (pid_t)i + 1);
    ck_assert(lifecycle.entries[i]->was_forked && lifecycle.entries[i]->texts);
  }
  denet_lifecycle_done(&lifecycle);
}

static int attempt_ends(void) {
  struct denet_process *process;
  int error = denet_process_table_begin(&table);
  for (pid_t pid = 1; pid <= ENTRIES && !error; pid++)
    error = denet_process_table_add_gone(&table, pid, &process);
  denet_process_table_end(&table, !error);
  return error;
}

static void check_ends(void) {
  ck_assert_uint_eq(table.gone_count, ENTRIES);
  denet_process_table_done(&table);
}

/* --- The writer's queue --- */

static int attempt_queue(void) {
  static const struct denet_line line = {
      .kind = DENET_LINE_SAMPLE, .instance = "i", .json = {"{}", 2}};
  int error = queue ? 0 : denet_queue_new(4096, &queue);
  return error ? error : denet_queue_push(queue, &line);
}

static void check_queue(void) { denet_queue_free(DENET_TAKE(queue)); }

/* --- Stacks --- */

#define MAPS                                                                                       \
  "1000-2000 r-xp 00000000 08:01 7 /bin/a\n"                                                       \
  "3000-4000 r-xp 00000000 08:01 8 /lib/a-rather-long-name-of-a-library-that-fills-a-buffer.so\n"

static int attempt_maps(void) {
  int error = denet_maps_parse(denet_text_of(MAPS), &maps);
  if (!error)
    error = denet_maps_copy(&maps, &copied);
  return error ? error : denet_perf_map_parse(denet_text_of("10 10 one\n20 10 two\n"), &perf_map);
}

static void check_maps(void) {
  const struct denet_mapping *found = denet_maps_find(&copied, 0x1800);
  ck_assert_ptr_nonnull(found);
  ck_assert_str_eq(denet_mapping_path(&copied, found), "/bin/a");
  ck_assert_str_eq(denet_perf_map_find(&perf_map, 0x25), "two");
  denet_maps_done(&maps);
  denet_maps_done(&copied);
  denet_perf_map_done(&perf_map);
}

static int attempt_stacks(void) {
  uint64_t lost = stacks.lost;
  if (!frames)
    frames = denet_frames_new((struct denet_text){"main", 5});
  for (denet_u32 i = 0; i < 20 && frames; i++) {
    struct denet_stack stack = {.frames = frames, .reason = i % 2, .count = 1, .time_ns = 1};
    snprintf(stack.thread, sizeof(stack.thread), "t%u", i);
    denet_stack_counts_add(&stacks, &stack);
  }
  return frames ? stacks.lost > lost : -ENOMEM;
}

static void check_stacks(void) {
  uint64_t counted = 0;
  for (size_t i = 0; i < stacks.count; i++)
    counted += stacks.stacks[i].count;
  ck_assert_uint_eq(stacks.count, 20);
  ck_assert(counted + stacks.lost == 40 || counted == 20);
  denet_stack_counts_done(&stacks);
  denet_frames_release(DENET_TAKE(frames));
}

static const struct {
  const char *name;
  int (*attempt)(void);
  void (*check)(void);
} fields[] = {
    {"rule", attempt_rule, check_rule},
    {"ProcessMatch", attempt_process_match, free_rule},
    {"bad rule", attempt_bad_rule, free_rule},
    {"monitor", attempt_monitor, check_monitor},
    {"lifecycle", attempt_lifecycle, check_lifecycle},
    {"ends", attempt_ends, check_ends},
    {"queue", attempt_queue, check_queue},
    {"maps", attempt_maps, check_maps},
    {"stacks", attempt_stacks, check_stacks},
};

START_TEST(each_allocation_may_fail) {
  struct fault fault = {.calls = FAULT_ALLOCATE, .count = 1};
  bool has_failed = true;
  for (fault.first = 1; has_failed; fault.first++) {
    faults_begin(fault);
    int outcome = fields[_i].attempt();
    has_failed = faults_end();
    bool is_reported = outcome == -ENOMEM || outcome == 1;
    ck_assert_msg(has_failed ? is_reported : !outcome, "%s: %d at allocation %u", fields[_i].name,
                  outcome, fault.first);
    outcome = fields[_i].attempt();
    ck_assert_msg(!outcome, "%s: %d after allocation %u", fields[_i].name, outcome, fault.first);
    fields[_i].check();
  }
  ck_assert_uint_gt(fault.first, 2);
}
END_TEST

void add_cases(Suite *suite) { ADD_TABLE(suite, each_allocation_may_fail, fields); }
