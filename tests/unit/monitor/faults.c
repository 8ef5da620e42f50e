/* Ticks over an invented /proc in which one call after the other fails: what could not be read is
 * missing from that tick, and the next ticks give the same as without a failure. */
#include "core/monitor/monitor.h"

#include "tests/unit/faults.h"
#include "tests/unit/proc_scene.h"

/* After proc_scene.h, whose parameters are named as its variable. */
#include "tests/unit/monitor_scene.h"

#include <stdlib.h>

#define INTERVAL (SECOND / 10 * 9)
#define TICKS 5
#define FILES_MOST 32
#define GROUPS_MOST 16
#define NO_TICK 0
#define ALL_TICKS (TICKS + 1)
#define CALLS (FAULT_OPEN | FAULT_READ | FAULT_LIST | FAULT_LINK | FAULT_STATUS)

/* The third tick is the one in which things happen. Ticks are at 1000.0 s, 1000.9 s and so on. */
static const struct fake fakes[] = {
    {1, 6, 1, 0, "init", "init", "/sbin/init", "/init.scope", 1, 100, 'S', 0, false, true, false},
    {1, 6, 10, 1, "srv", "srv --all", "/bin/srv", "/", 500, 1, 'S', 0, true, false, false},
    {1, 6, 11, 10, "kid", "kid", "/bin/kid", "/", 501, 1, 'S', 0, true, false, false},
    {3, 6, 12, 10, "kid", "kid new", "/bin/kid", "/", 100150, 1, 'S', 0, false, false, false},
    {1, 2, 13, 10, "kid", "kid", "/bin/kid", "/", 502, 1, 'S', 0, false, false, false},
    {3, 4, 13, 10, "kid", "", "/bin/kid", "/", 502, 1, 'Z', 768, false, false, false},
    {1, 6, 20, 1, "job", "job one", "/bin/job", "/", 503, 1, 'S', 0, false, false, false},
    {3, 6, 21, 1, "job", "job one", "/bin/job", "/", 100160, 1, 'S', 0, false, false, false},
    /* Its pid is used again. */
    {1, 2, 22, 1, "re", "re", "/bin/re", "/", 504, 1, 'S', 0, false, false, true},
    {3, 6, 22, 1, "re", "re two", "/bin/re", "/", 100170, 1, 'S', 0, false, false, false},
    /* Execs the program that a rule matches. */
    {2, 2, 30, 1, "sh", "sh", "/bin/sh", "/a.service", 100085, 1, 'S', 0, false, false, false},
    {3, 6, 30, 1, "app", "app x", "/bin/app", "/a.service", 100085, 2, 'S', 0, false, false, false},
    /* Waits for a child: from then on I/O is summed over the threads. */
    {1, 2, 40, 1, "pool", "pool", "/bin/pool", "/", 505, 1, 'S', 0, true, false, false},
    {3, 6, 40, 1, "pool", "pool", "/bin/pool", "/", 505, 1, 'S', 0, true, true, false},
    {1, 6, 50, 1, "main", "main", "/bin/main", "/", 506, 1, 'S', 0, false, false, false},
    /* Changes its title, without an event. */
    {1, 2, 60, 1, "tit", "starts", "/bin/tit", "/", 99995, 1, 'S', 0, false, false, true},
    {3, 6, 60, 1, "tit", "title", "/bin/tit", "/", 99995, 1, 'S', 0, false, false, true},
    /* Goes from one instance to the other. */
    {1, 2, 70, 1, "mva", "mva", "/bin/mv", "/", 507, 1, 'S', 0, false, false, false},
    {3, 6, 70, 1, "mvb", "mvb", "/bin/mv", "/", 507, 1, 'S', 0, false, false, false},
    {1, 6, 71, 1, "mva", "mva", "/bin/mv", "/", 508, 1, 'S', 0, false, false, false},
};

static const struct {
  const char *name;
  const char *settings[8]; /* key, value, ... */
  bool has_children;
} rules[] = {
    {"tree", {"Comm", "srv"}, true},
    {"job", {"CommandLine", "^job (one|two)", "Instance", "job-%{1}-%{slot}"}, false},
    {"re", {"Comm", "re", "User", "user7"}, false},
    {"app", {"Executable", "/bin/app", "Cgroup", "/*", "Instance", "%{unit}"}, false},
    {"pool", {"Comm", "pool"}, false},
    {"main", {"PidFile", ""}, false},
    {"title", {"CommandLine", "^title"}, false},
    {"mover", {"Comm", "~^mv", "Instance", "%{comm}-%{user}"}, false},
};

/* What was handed over for one file. */
struct file {
  char key[160];
  unsigned metadata, samples, last;
  char metadata_line[1024], line[4096]; /* the latest ones */
};

/* What the ticks gave. */
struct run {
  struct file files[FILES_MOST];
  struct denet_group groups[TICKS + 1][GROUPS_MOST]; /* by tick; without what they own */
  size_t file_count, group_count[TICKS + 1];
  struct denet_monitor_stats stats;
  bool has_failed, had_zero;
};

static struct proc_scene host;
static struct run reference, tested, *run; /* without and with failures; the one that runs */

/* Returns the file of this name, NULL: there is none. */
static struct file *find_file(struct run *of, const char *key) {
  for (size_t i = 0; i < of->file_count; i++)
    if (!strcmp(of->files[i].key, key))
      return &of->files[i];
  return NULL;
}

static int take_line(void *context, const struct denet_line *line) {
  struct file *file = &run->files[run->file_count];
  bool is_metadata = line->kind == DENET_LINE_METADATA;
  if (run->file_count == FILES_MOST)
    abort();
  snprintf(file->key, sizeof(file->key), "%s/%d-%llu", line->instance, (int)line->pid,
           (unsigned long long)line->t0_ms);
  if (find_file(run, file->key))
    file = find_file(run, file->key);
  else
    run->file_count++;
  file->metadata += is_metadata;
  file->samples += line->kind == DENET_LINE_SAMPLE;
  file->last += line->kind == DENET_LINE_LAST;
  snprintf(is_metadata ? file->metadata_line : file->line,
           is_metadata ? sizeof(file->metadata_line) : sizeof(file->line), "%.*s",
           (int)line->json.length, line->json.bytes);
  run->had_zero |= strstr(file->line, "\"mem_rss_kb\":0,") != NULL;
  return 0;
}

static void take_report(void *context, const struct denet_group_report *report) {
  size_t *count = &run->group_count[*(unsigned *)context];
  if (*count == GROUPS_MOST)
    abort();
  run->groups[*(unsigned *)context][(*count)++] = *report->group;
}

static struct denet_monitor *open_monitor(const struct denet_env *env) {
  struct denet_monitor_settings settings = {
      .interval = {SECOND / 10, INTERVAL}, .host_name = "h", .sink = take_line};
  struct denet_rule made[DENET_COUNT_OF(rules)];
  struct denet_source *source;
  struct denet_monitor *monitor;
  struct denet_error error;
  proc_path pid_file;
  proc_join(host.top, "pid", pid_file);
  for (size_t i = 0; i < DENET_COUNT_OF(rules); i++) {
    ck_assert_int_eq(denet_rule_init(&made[i], rules[i].name, NULL), 0);
    for (const char *const *pair = rules[i].settings; *pair; pair += 2) {
      struct denet_setting setting = {pair[0], DENET_SETTING_STRING,
                                      .string = *pair[1] ? pair[1] : pid_file};
      ck_assert_msg(!denet_rule_set(&made[i], &setting, &error), "%s", error.text);
    }
    made[i].children = rules[i].has_children;
    ck_assert_int_eq(denet_rule_finish(&made[i], NULL), 0);
  }
  ck_assert_int_eq(denet_procfs_open(env, NULL, &source), 0);
  ck_assert_int_eq(
      denet_monitor_new(&settings, env, source, made, DENET_COUNT_OF(made), NULL, &monitor), 0);
  return monitor;
}

static pid_t victim;

static void vanish(void) { proc_vanish(&host, victim); }

/* Runs all ticks; calls fail in one of them. */
static void run_ticks(struct run *out_run, unsigned fault_tick, struct fault fault) {
  struct denet_env env = scene_env;
  env.proc_path = host.proc;
  run = out_run;
  *run = (struct run){0};
  host.vanished = 0;
  fault.happens = vanish;
  proc_enter(&host, 1); /* for what is read but once */
  struct denet_monitor *monitor = open_monitor(&env);
  for (unsigned tick = 1; tick <= TICKS; tick++) {
    proc_enter(&host, tick);
    scene.now_ns = 1000 * SECOND + (tick - 1) * INTERVAL;
    if (tick == fault_tick || fault_tick == ALL_TICKS)
      faults_begin(fault);
    denet_monitor_tick(monitor, DENET_TICK_ALL, NULL);
    run->has_failed |= faults_end();
    denet_monitor_report(monitor, take_report, &tick, &run->stats);
  }
  denet_monitor_free(monitor);
}

/* --- Comparing --- */

static char what[80]; /* fails in the tested run */

#define EXPECT(is_right, format, ...) ck_assert_msg(is_right, "%s: " format, what, __VA_ARGS__)

static const struct denet_group *find_group(const struct run *of, unsigned tick, const char *name) {
  for (size_t i = 0; i < of->group_count[tick]; i++)
    if (!strcmp(of->groups[tick][i].name, name))
      return &of->groups[tick][i];
  return NULL;
}

/* A counter that members add up. */
static bool is_counter(unsigned metric) {
  return denet_metric_info[metric].kind == DENET_COUNTER &&
         denet_metric_info[metric].combine == DENET_SUM;
}

/* A thread that has exited was blocked until its last sample; there are four of them. */
static uint64_t slack_of(unsigned metric) { return metric == DENET_OFF_CPU ? 4 * INTERVAL : 0; }

/* Returns what a group's counter has gained between two ticks; from tick 0, all of it. */
static unsigned long gain(const struct run *of, unsigned from, unsigned to, const char *name,
                          unsigned metric) {
  const struct denet_group *before = find_group(of, from, name), *after = find_group(of, to, name);
  uint64_t began = before ? before->values.value[metric] : 0;
  return after ? after->values.value[metric] - began : 0;
}

/* No counter of a group falls, or has more than in the reference. */
static void expect_no_jump(const char *name) {
  for (unsigned tick = 2; tick <= TICKS; tick++)
    for (unsigned m = 0; m < DENET_METRICS; m++) {
      unsigned long before = gain(&tested, 0, tick - 1, name, m);
      unsigned long gained = gain(&tested, 0, tick, name, m);
      unsigned long most = gain(&reference, 0, tick, name, m) + slack_of(m);
      EXPECT(!is_counter(m) || (gained >= before && gained <= most),
             "%s: metric %u is %lu in tick %u after %lu, and %lu in the reference", name, m, gained,
             tick, before, most);
    }
}

/* The group gained the same as in the reference since that tick. */
static void expect_group(const struct denet_group *wanted, unsigned since) {
  const struct denet_group *group = find_group(&tested, TICKS, wanted->name);
  EXPECT(group != NULL, "%s is not there", wanted->name);
  /* A process that was there before may have been matched later than in the reference. */
  const struct denet_group *before = find_group(&tested, since, wanted->name);
  const struct denet_group *expected = find_group(&reference, since, wanted->name);
  uint64_t starts = wanted->starts + (before ? before->starts - expected->starts : 0);
  EXPECT(group->members == wanted->members && group->starts == starts &&
             group->exits == wanted->exits,
         "%s has %u members, %lu starts, %lu exits", wanted->name, group->members,
         (unsigned long)group->starts, (unsigned long)group->exits);
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    EXPECT(denet_values_has(&group->values, m) == denet_values_has(&wanted->values, m),
           "%s has metric %u or not", wanted->name, m);
    unsigned from = is_counter(m) ? since : 0;
    unsigned long gained = gain(&tested, from, TICKS, wanted->name, m), slack = slack_of(m);
    unsigned long all = gain(&reference, from, TICKS, wanted->name, m);
    EXPECT(denet_metric_info[m].combine != DENET_SUM ||
               (gained <= all + slack && gained + slack >= all),
           "%s: metric %u is %lu instead of %lu", wanted->name, m, gained, all);
  }
}

static void expect_groups(unsigned since) {
  static const char one[] = "mva-user7", other[] = "mvb-user7";
  EXPECT(tested.group_count[TICKS] == reference.group_count[TICKS], "%zu groups",
         tested.group_count[TICKS]);
  for (size_t i = 0; i < reference.group_count[TICKS]; i++) {
    const struct denet_group *wanted = &reference.groups[TICKS][i];
    if (strncmp(wanted->name, "mv", 2)) {
      expect_no_jump(wanted->name);
      expect_group(wanted, since);
    }
  }
  /* Two groups together gained the same: a process may go from one to the other a tick later. */
  for (unsigned m = 0; m < DENET_METRICS; m++)
    EXPECT(!is_counter(m) ||
               gain(&tested, since, TICKS, one, m) + gain(&tested, since, TICKS, other, m) ==
                   gain(&reference, since, TICKS, one, m) +
                       gain(&reference, since, TICKS, other, m),
           "%s and %s: metric %u", one, other, m);
}

/* Returns where the lines differ before their last off_cpu_ns, which is checked in the groups. */
static size_t find_difference(const char *line, const char *expected) {
  const char *end = expected, *next;
  size_t at = 0;
  while ((next = strstr(end, "\"off_cpu_ns\"")))
    end = next + 1;
  while (expected + at < end && line[at] == expected[at])
    at++;
  return expected + at < end ? at : SIZE_MAX;
}

/* Each file has one metadata line, the right one, and its samples, except those that were dropped
 * or belong to a tick in which its process was missing. */
static void expect_files(unsigned since) {
  EXPECT(tested.file_count == reference.file_count, "%zu files", tested.file_count);
  for (size_t i = 0; i < reference.file_count; i++) {
    const struct file *wanted = &reference.files[i], *file = find_file(&tested, wanted->key);
    EXPECT(file != NULL, "%s is not there", wanted->key);
    EXPECT(file->metadata == 1 && !strcmp(file->metadata_line, wanted->metadata_line),
           "%s has %u metadata lines, the last %s", wanted->key, file->metadata,
           file->metadata_line);
    bool may_lack_last = tested.stats.records_dropped && !file->last;
    EXPECT(file->last == wanted->last || may_lack_last, "%s has %u last lines", wanted->key,
           file->last);
    EXPECT(file->samples <= wanted->samples + (wanted->last ? 1 : 0) &&
               file->samples + 2 >= wanted->samples,
           "%s has %u lines instead of %u", wanted->key, file->samples, wanted->samples);
    size_t at = find_difference(file->line, wanted->line);
    EXPECT(since || wanted->last || at == SIZE_MAX, "%s ends with %s instead of %s", wanted->key,
           file->line + at, wanted->line + at);
  }
}

/* since: nothing is expected of the ticks before. */
static void expect_reference(unsigned since) {
  expect_groups(since);
  expect_files(since);
  ck_assert_msg(!tested.had_zero, "%s: a line says that there is no memory", what);
}

/* --- Tests --- */

static void begin(void) {
  proc_begin(&host, fakes, DENET_COUNT_OF(fakes), TICKS);
  PROC_PRINT(host.top, "pid", "50\n");
  run_ticks(&reference, NO_TICK, (struct fault){0});
  ck_assert_uint_eq(reference.stats.records_dropped, 0);
}

/* Used in turn; a lasting failure is the first one. */
static const int errors[] = {EMFILE, EIO, EINTR, ENOMEM, ENFILE};

/* Fails one call after the other, or each second one and so on, with as many behind it, until all
 * have failed once. */
static void fail_each(unsigned fault_tick, unsigned step, struct fault fault) {
  for (fault.first = 1;; fault.first += step) {
    bool lasts = fault.count == FAULT_ALWAYS;
    fault.error = errors[lasts ? 0 : fault.first % DENET_COUNT_OF(errors)];
    run_ticks(&tested, fault_tick, fault);
    if (!tested.has_failed)
      break;
    snprintf(what, sizeof(what), "errno %d of %u calls from number %u in tick %u", fault.error,
             fault.count, fault.first, fault_tick);
    expect_reference(fault_tick == 1 ? 2 : 0);
  }
  ck_assert_uint_gt(fault.first, 1);
}

/* Of the first tick, the next, and the one in which things happen. */
START_TEST(each_allocation_of_a_tick_may_fail) {
  begin();
  fail_each((unsigned)_i + 1, 1, (struct fault){.calls = FAULT_ALLOCATE, .count = 1});
  proc_end(&host);
}
END_TEST

static const struct {
  unsigned tick, count, step;
} failures[] = {{1, 1, 2}, {2, 1, 3}, {3, 1, 1}, {3, 3, 3}, {3, FAULT_ALWAYS, 5}};

START_TEST(each_system_call_of_a_tick_may_fail) {
  begin();
  fail_each(failures[_i].tick, failures[_i].step,
            (struct fault){.calls = CALLS, .count = failures[_i].count});
  proc_end(&host);
}
END_TEST

START_TEST(reads_of_one_byte_give_everything) {
  struct fault fault = {
      .calls = FAULT_READ, .first = 1, .count = FAULT_ALWAYS, .error = FAULT_SHORT};
  begin();
  run_ticks(&tested, ALL_TICKS, fault);
  ck_assert(tested.has_failed);
  snprintf(what, sizeof(what), "a byte at a time");
  expect_reference(0);
  proc_end(&host);
}
END_TEST

/* A process in the middle of a tree, and one with a tree of its own. */
static const struct {
  pid_t pid;
  const char *in_path, *group, *file, *in_line;
  bool is_alone;
} victims[] = {{11, "/11/", "tree", "tree/10-5000", "{\"pid\":11,", false},
               {50, "/50/", "main", "main/50-5060", "", true}};

static void expect_end_of_victim(int row) {
  const char *name = victims[row].group;
  const struct denet_group *group = find_group(&tested, TICKS, name);
  const struct denet_group *whole = find_group(&reference, TICKS, name);
  const struct file *file = find_file(&tested, victims[row].file);
  EXPECT(group->exits == whole->exits + 1 && group->starts == whole->starts &&
             group->members == whole->members - 1,
         "%lu starts, %lu exits, %u members", (unsigned long)group->starts,
         (unsigned long)group->exits, group->members);
  expect_no_jump(name);
  for (unsigned m = 0; m < DENET_METRICS && !victims[row].is_alone; m++)
    EXPECT(!is_counter(m) || gain(&tested, 2, TICKS, name, m) + slack_of(m) >=
                                 gain(&reference, 2, TICKS, name, m) / 2,
           "metric %u", m);
  EXPECT(file->metadata == 1 && file->last == victims[row].is_alone, "%u last lines", file->last);
  bool is_in_line = *victims[row].in_line && strstr(file->line, victims[row].in_line);
  EXPECT(!is_in_line, "%s", file->line);
}

START_TEST(process_that_vanishes_at_some_call_ends_once) {
  struct fault fault = {
      .calls = CALLS, .count = FAULT_ALWAYS, .error = FAULT_VANISH, .gone = victims[_i].in_path};
  victim = victims[_i].pid;
  begin();
  for (fault.first = 1;; fault.first += 4) {
    run_ticks(&tested, 3, fault);
    if (!tested.has_failed)
      break;
    snprintf(what, sizeof(what), "at call %u", fault.first);
    expect_end_of_victim(_i);
    for (size_t i = 0; i < reference.group_count[TICKS]; i++)
      if (strcmp(reference.groups[TICKS][i].name, victims[_i].group))
        expect_group(&reference.groups[TICKS][i], 0);
  }
  ck_assert_uint_gt(fault.first, 100);
  proc_end(&host);
}
END_TEST

void add_cases(Suite *suite) {
  add_loop_case(suite, "allocations", each_allocation_of_a_tick_may_fail, 3);
  ADD_TABLE(suite, each_system_call_of_a_tick_may_fail, failures);
  ADD_TEST(suite, reads_of_one_byte_give_everything);
  ADD_TABLE(suite, process_that_vanishes_at_some_call_ends_once, victims);
}
