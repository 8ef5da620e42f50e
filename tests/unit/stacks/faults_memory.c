/* Each allocation fails in turn: the result is -ENOMEM, or something is counted as lost. Nothing is
 * lost for good, and the next attempt succeeds. */
#include "core/model/stack_counts.h"
#include "core/model/thread_sums.h"
#include "core/monitor/monitor.h"
#include "core/source/bpf/lifecycle.h"
#include "core/stacks/symbols/maps.h"
#include "core/stacks/symbols/perf_map.h"
#include "core/store/queue.h"

#include "tests/unit/faults.h"
#include "tests/unit/unit.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>

/* attempt() runs while calls fail. It returns 0, -ENOMEM, or 1: done, with something counted as
 * lost. again() does what has not been done, checks the result and frees it. These are between the
 * two: */
static struct denet_rule rule;
static struct denet_lifecycle lifecycle;
static struct denet_process_table table;
static struct denet_queue *queue;
static struct denet_thread_sums *threads;
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
static size_t settings_taken;

static int attempt_rule(void) {
  settings_taken = 0;
  int error = denet_rule_init(&rule, "rule", NULL);
  for (; !error && settings_taken < DENET_COUNT_OF(settings); settings_taken++) {
    error = denet_rule_set(&rule, &settings[settings_taken], NULL);
    if (error)
      return error;
  }
  return error;
}

static void rule_again(void) {
  if (!rule.name || !rule.instance) {
    denet_rule_done(&rule);
    ck_assert_int_eq(denet_rule_init(&rule, "rule", NULL), 0);
  }
  for (; settings_taken < DENET_COUNT_OF(settings); settings_taken++)
    ck_assert_int_eq(denet_rule_set(&rule, &settings[settings_taken], NULL), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  ck_assert_uint_eq(rule.condition_count, 4);
  ck_assert_uint_eq(rule.groups, 1);
  ck_assert_str_eq(rule.instance, "pg-%{1}");
  denet_rule_done(&rule);
}

static int attempt_process_match(void) {
  return denet_rule_init_process_match(&rule, "shard-%{1}", "shard([0-9]+)", NULL);
}

static void process_match_again(void) {
  denet_rule_done(&rule);
  ck_assert_int_eq(attempt_process_match(), 0);
  ck_assert_int_eq(denet_rule_finish(&rule, NULL), 0);
  denet_rule_done(&rule);
}

static int attempt_bad_rule(void) {
  struct denet_setting bad = {
      .key = "Executable", .type = DENET_SETTING_STRING, .string = "/usr/[ab"};
  int error = denet_rule_init(&rule, "rule", NULL);
  int outcome = error ? error : denet_rule_set(&rule, &bad, NULL);
  return outcome == -EINVAL ? 0 : outcome;
}

static void bad_rule_again(void) {
  ck_assert_uint_eq(rule.condition_count, 0);
  denet_rule_done(&rule);
}

/* --- The monitor --- */

static uint64_t read_no_clock(void *context) {
  (void)context;
  return 1;
}

static const struct denet_env env = {.proc_path = "/proc",
                                     .tick_ns = 10000000,
                                     .page_bytes = 4096,
                                     .boot_ns = read_no_clock,
                                     .unix_ms = read_no_clock};

static int take_no_line(void *context, const struct denet_line *line) {
  (void)context;
  (void)line;
  return 0;
}

static int open_monitor(void) {
  struct denet_monitor_settings wanted = {.host_name = "h", .sink = take_no_line};
  struct denet_source *source;
  int error = denet_procfs_open(&env, NULL, &source);
  if (error)
    return error;
  error = denet_monitor_new(&wanted, &env, source, &rule, 1, NULL, &monitor);
  if (error)
    denet_source_free(source);
  return error;
}

static int attempt_monitor(void) {
  faults_pause(true);
  denet_rule_init_default(&rule, NULL);
  denet_rule_finish(&rule, NULL);
  faults_pause(false);
  return open_monitor();
}

static void monitor_again(void) {
  if (!monitor)
    ck_assert_int_eq(open_monitor(), 0);
  ck_assert_ptr_null(rule.name); /* taken over */
  denet_monitor_free(DENET_TAKE(monitor));
}

/* --- What the kernel tells --- */

#define ENTRIES 40

static int note_processes(void) {
  struct denet_bpf_fork fork = {.head = {DENET_BPF_FORK, 0, 7}, .parent_pid = 1};
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, 0, 7}};
  int failure = 0;
  for (denet_u32 pid = 1; pid <= ENTRIES; pid++) {
    fork.head.pid = texts.head.pid = pid;
    int fork_error = denet_lifecycle_note(&lifecycle, &fork, sizeof(fork));
    int texts_error = denet_lifecycle_note(&lifecycle, &texts, sizeof(texts));
    failure = fork_error ? fork_error : texts_error ? texts_error : failure;
  }
  return failure;
}

static void lifecycle_again(void) {
  ck_assert_int_eq(note_processes(), 0);
  ck_assert_uint_eq(lifecycle.count, ENTRIES);
  for (size_t i = 0; i < lifecycle.count; i++) {
    ck_assert_int_eq(lifecycle.entries[i]->pid, (pid_t)i + 1);
    ck_assert(lifecycle.entries[i]->was_forked && lifecycle.entries[i]->texts);
  }
  denet_lifecycle_done(&lifecycle);
}

/* --- The table --- */

#define FIRST_PASS 20
#define SECOND_PASS 60

static unsigned lost_pids;

/* Shows the pids, each as one that was born then. */
static int show(pid_t first, pid_t last, uint64_t born_ns) {
  int error = denet_process_table_begin(&table);
  for (pid_t pid = first; pid <= last && !error; pid++) {
    struct denet_process *process;
    error = denet_process_table_upsert(&table, pid, &process);
    if (!error && !process->is_new && process->born_ns != born_ns && pid % 4 == 0)
      error = denet_process_table_replace(&table, &process);
    if (!error && process->is_new)
      process->born_ns = born_ns;
  }
  denet_process_table_end(&table, !error);
  lost_pids += table.gone_count;
  return error;
}

static int attempt_table(void) {
  faults_pause(true);
  lost_pids = 0;
  show(1, FIRST_PASS, 1);
  faults_pause(false);
  /* Ten go, three are others by now, and there are new ones. */
  return show(11, SECOND_PASS, 2);
}

static void table_again(void) {
  unsigned told = lost_pids;
  ck_assert_int_eq(show(11, SECOND_PASS, 2), 0);
  /* Those that a failed begin() has left from before are not told again. */
  ck_assert_uint_ge(lost_pids, told);
  ck_assert_uint_eq(lost_pids, 10 + 3);
  ck_assert_uint_eq(table.count, SECOND_PASS - 10);
  for (size_t i = 0; i < table.count; i++) {
    ck_assert_int_eq(table.processes[i]->pid, (pid_t)i + 11);
    bool is_old = i + 11 <= FIRST_PASS && (i + 11) % 4;
    ck_assert_uint_eq(table.processes[i]->born_ns, is_old ? 1 : 2);
  }
  denet_process_table_done(&table);
}

static int attempt_end(void) {
  struct denet_process *process;
  int error = denet_process_table_begin(&table);
  for (pid_t pid = 1; pid <= 40 && !error; pid++)
    error = denet_process_table_add_gone(&table, pid, &process);
  denet_process_table_end(&table, !error);
  return error;
}

static void end_again(void) {
  ck_assert_int_eq(attempt_end(), 0);
  ck_assert_uint_eq(table.gone_count, 40);
  denet_process_table_done(&table);
}

/* --- Threads --- */

static int pass_threads(void) {
  int error = 0;
  denet_thread_sums_begin(threads, 5);
  for (pid_t tid = 1; tid <= 30 && error >= 0; tid++) {
    struct denet_thread_times times = {.run_ns = 100};
    struct denet_values counters = {0};
    denet_values_set(&counters, DENET_SWITCHES_VOLUNTARY, 10);
    error = denet_thread_sums_visit(threads, tid, &times);
    if (error > 0)
      denet_thread_sums_add(threads, &counters);
  }
  denet_thread_sums_end(threads, error >= 0);
  return error < 0 ? error : 0;
}

static int attempt_threads(void) {
  threads = denet_thread_sums_new();
  return threads ? pass_threads() : -ENOMEM;
}

static void threads_again(void) {
  if (!threads)
    threads = denet_thread_sums_new();
  ck_assert_int_eq(pass_threads(), 0);
  struct denet_values sums = {0};
  denet_thread_sums_take(threads, &sums);
  ck_assert_uint_eq(sums.value[DENET_SWITCHES_VOLUNTARY], 300);
  denet_thread_sums_free(DENET_TAKE(threads));
}

/* --- The writer's queue --- */

static const struct denet_line line = {
    .kind = DENET_LINE_SAMPLE, .instance = "i", .json = {"{}", 2}};

static int attempt_queue(void) {
  int error = denet_queue_new(4096, &queue);
  return error ? error : denet_queue_push(queue, &line);
}

static void queue_again(void) {
  if (!queue)
    ck_assert_int_eq(attempt_queue(), 0);
  denet_queue_free(DENET_TAKE(queue));
}

/* --- Stacks --- */

#define MAPS                                                                                       \
  "1000-2000 r-xp 00000000 08:01 7 /bin/a\n"                                                       \
  "3000-4000 r-xp 00000000 08:01 8 /lib/a-rather-long-name-of-a-library-that-fills-a-buffer.so\n"

static int attempt_maps(void) {
  int error = denet_maps_parse(denet_text_of(MAPS), &maps);
  return error ? error : denet_maps_copy(&maps, &copied);
}

static void maps_again(void) {
  ck_assert_int_eq(attempt_maps(), 0);
  const struct denet_mapping *found = denet_maps_find(&copied, 0x1800);
  ck_assert_ptr_nonnull(found);
  ck_assert_str_eq(denet_mapping_path(&copied, found), "/bin/a");
  denet_maps_done(&maps);
  denet_maps_done(&copied);
}

static int attempt_perf_map(void) {
  return denet_perf_map_parse(denet_text_of("10 10 one\n20 10 two\n"), &perf_map);
}

static void perf_map_again(void) {
  ck_assert_int_eq(attempt_perf_map(), 0);
  ck_assert_str_eq(denet_perf_map_find(&perf_map, 0x25), "two");
  denet_perf_map_done(&perf_map);
}

static int add_stacks(void) {
  for (denet_u32 i = 0; i < 20; i++) {
    struct denet_stack stack = {.frames = frames, .reason = i % 2, .count = 1, .time_ns = 1};
    snprintf(stack.thread, sizeof(stack.thread), "t%u", i);
    denet_stack_counts_add(&stacks, &stack);
  }
  return stacks.lost ? 1 : 0;
}

static int attempt_stacks(void) {
  frames = denet_frames_new((struct denet_text){"main", 5});
  return frames ? add_stacks() : -ENOMEM;
}

static void stacks_again(void) {
  if (!frames)
    frames = denet_frames_new((struct denet_text){"main", 5});
  uint64_t lost = stacks.lost;
  add_stacks();
  uint64_t counted = 0;
  for (size_t i = 0; i < stacks.count; i++)
    counted += stacks.stacks[i].count;
  ck_assert_uint_eq(stacks.count, 20);
  ck_assert(counted + lost == 40 || counted == 20);
  denet_stack_counts_done(&stacks);
  denet_frames_release(DENET_TAKE(frames));
}

static const struct {
  const char *name;
  int (*attempt)(void);
  void (*again)(void);
} fields[] = {
    {"rule", attempt_rule, rule_again},
    {"ProcessMatch", attempt_process_match, process_match_again},
    {"bad rule", attempt_bad_rule, bad_rule_again},
    {"monitor", attempt_monitor, monitor_again},
    {"lifecycle", note_processes, lifecycle_again},
    {"table", attempt_table, table_again},
    {"ends", attempt_end, end_again},
    {"threads", attempt_threads, threads_again},
    {"queue", attempt_queue, queue_again},
    {"maps", attempt_maps, maps_again},
    {"perf map", attempt_perf_map, perf_map_again},
    {"stacks", attempt_stacks, stacks_again},
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
    fields[_i].again();
  }
  ck_assert_uint_gt(fault.first, 2);
}
END_TEST

void add_cases(Suite *suite) { ADD_TABLE(suite, each_allocation_may_fail, fields); }
