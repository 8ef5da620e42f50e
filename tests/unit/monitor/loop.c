/* The loop over the /proc of this host, with a face in the same process. */
#include "core/monitor/loop.h"

#include "tests/unit/monitor_scene.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What the face has taken. */
static struct {
  struct denet_loop *loop;
  atomic_uint lines[4]; /* by kind */
  atomic_bool blocks;   /* the sink is to wait for a post of release */
  atomic_bool is_blocked;
  sem_t release;
  struct denet_monitor_stats stats;
  unsigned groups;
  uint64_t rss_bytes;
  char log[8][600];
  unsigned sentences;
} face;

static int take_line(void *context, const struct denet_line *line) {
  ck_assert_ptr_eq(context, &face);
  ck_assert_str_eq(line->instance, "me");
  ck_assert_int_eq(line->pid, getpid());
  if (face.blocks) {
    face.is_blocked = true;
    sem_wait(&face.release);
    face.is_blocked = false;
  }
  face.lines[line->kind]++;
  return 0;
}

static void take_sentence(void *context, enum denet_severity severity, const char *sentence) {
  ck_assert_ptr_eq(context, &face);
  if (severity != DENET_SEVERITY_INFO && face.sentences < 8)
    snprintf(face.log[face.sentences++], sizeof(face.log[0]), "%s", sentence);
}

static void take_report(void *context, const struct denet_group_report *report) {
  ck_assert_ptr_eq(context, &face);
  face.groups++;
  face.rss_bytes = report->group->values.value[DENET_RSS];
}

static void set(struct denet_settings *settings, const char *key, const char *value) {
  struct denet_setting setting = {key, DENET_SETTING_STRING, .string = value};
  ck_assert_int_eq(denet_settings_set(settings, &setting, NULL), 0);
}

/* Makes settings with one rule, which matches this process. */
static void make_settings(struct denet_settings *settings) {
  char name[DENET_COMM_BYTES]; /* that no other process has */
  snprintf(name, sizeof(name), "loop%d", (int)getpid());
  prctl(PR_SET_NAME, name);
  ck_assert_int_eq(denet_settings_init(settings), 0);
  struct denet_rule rule = scene_rule_for("me", "Comm", name, "me");
  ck_assert_int_eq(denet_settings_add_rule(settings, &rule, NULL), 0);
  set(settings, "Source", "procfs");
  settings->base_interval_ns = settings->max_interval_ns = 10 * MILLISECOND;
  sem_init(&face.release, 0, 0);
}

/* Starts a loop, and checks that it takes the settings over. */
static int start(struct denet_settings *settings) {
  struct denet_loop_face it = {
      .host_name = "host", .sink = take_line, .sink_context = &face, .log = {take_sentence, &face}};
  int error = denet_loop_start(settings, &it, &face.loop);
  ck_assert_ptr_null(settings->rules);
  return error;
}

static int report(uint64_t timeout_ns) {
  return denet_loop_report(face.loop, timeout_ns, take_report, &face, &face.stats);
}

static void expect_log(unsigned index, const char *words) {
  ck_assert_uint_gt(face.sentences, index);
  ck_assert_msg(strstr(face.log[index], words) != NULL, "%s", face.log[index]);
}

static void wait_for_lines(enum denet_line_kind kind, unsigned count) {
  for (unsigned ms = 0; face.lines[kind] < count; ms++) {
    ck_assert_uint_lt(ms, 10000);
    usleep(1000);
  }
}

static void block(void) {
  face.blocks = true;
  while (!face.is_blocked)
    usleep(1000);
}

static void release(void) {
  face.blocks = false;
  sem_post(&face.release);
}

START_TEST(lines_and_values_reach_a_face_in_the_same_process_and_the_end_writes_a_line) {
  struct denet_settings settings;
  make_settings(&settings);
  settings.base_interval_ns = settings.max_interval_ns = 3600 * SECOND;
  ck_assert_int_eq(start(&settings), 0);
  wait_for_lines(DENET_LINE_SAMPLE, 1);
  ck_assert_int_eq(report(10 * SECOND), 0);
  ck_assert_uint_eq(face.groups, 1);
  ck_assert_uint_gt(face.rss_bytes, 0);
  ck_assert_uint_eq(face.stats.source_id, DENET_SOURCE_ID_PROCFS);
  ck_assert(denet_loop_stop(face.loop, 10 * SECOND));
  ck_assert_uint_eq(face.lines[DENET_LINE_METADATA], 1);
  ck_assert_uint_eq(face.lines[DENET_LINE_SAMPLE], 2);
  ck_assert_uint_eq(face.sentences, 0);
}
END_TEST

START_TEST(stalled_tick_times_a_report_and_the_end_out) {
  struct denet_settings settings;
  make_settings(&settings);
  ck_assert_int_eq(start(&settings), 0);
  ck_assert_int_eq(report(10 * SECOND), 0);
  block();
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(report(50 * MILLISECOND), -ETIMEDOUT);
  expect_log(0, "does not come to an end");
  ck_assert_uint_eq(face.sentences, 1);
  unsigned before = face.lines[DENET_LINE_SAMPLE];
  release();
  wait_for_lines(DENET_LINE_SAMPLE, before + 1); /* the one that stalled */
  usleep(50000);
  ck_assert_uint_eq(face.groups, 1); /* nothing comes of what has timed out */
  ck_assert_int_eq(report(10 * SECOND), 0);
  expect_log(1, "goes on");
  block();
  ck_assert(!denet_loop_stop(face.loop, 50 * MILLISECOND));
  expect_log(2, "no last samples");
  unsigned samples = face.lines[DENET_LINE_SAMPLE];
  release();
  wait_for_lines(DENET_LINE_SAMPLE, samples + 1);
  usleep(50000);
  ck_assert_uint_eq(face.lines[DENET_LINE_SAMPLE], samples + 1);
  ck_assert_uint_eq(face.sentences, 3);
}
END_TEST

/* Options that keep the loop from starting, or do not. */
static const struct {
  const char *key, *value;
  bool starts;
  const char *sentence;
} options[] = {
    {"Source", "magic", false, "Source \"magic\""},
    {"ProcPath", "/nowhere/proc", false, "/nowhere/proc"},
    {"OffCPU", "stacks", true, "OffCPU \"stacks\" is not available: they need the bpf source"},
};

START_TEST(option_that_cannot_be_met_is_logged) {
  struct denet_settings settings;
  make_settings(&settings);
  set(&settings, options[_i].key, options[_i].value);
  ck_assert_int_eq(start(&settings) == 0, options[_i].starts);
  if (options[_i].starts)
    ck_assert(denet_loop_stop(face.loop, 10 * SECOND));
  expect_log(0, options[_i].sentence);
  ck_assert_uint_eq(face.sentences, 1);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, lines_and_values_reach_a_face_in_the_same_process_and_the_end_writes_a_line);
  ADD_TEST(suite, stalled_tick_times_a_report_and_the_end_out);
  ADD_TABLE(suite, option_that_cannot_be_met_is_logged, options);
}
