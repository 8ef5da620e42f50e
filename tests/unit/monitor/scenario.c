/* Whole ticks over a /proc that is written from a text: each file of tests/scenarios is one test.
 *
 * First come options and rules, one setting a line, as in collectd.conf but without brackets: `Rule
 * NAME` begins a rule. Each line `tick`, or `tick N ms`, begins a tick: 1,000 or N ms after the one
 * before; `tick N ms final` the last one, when the monitor stops. Below it stand the processes that
 * differ from the tick before, as in proc_writer.h, and then all lines that the tick has to write,
 * in this order:
 *
 *   expect KIND GROUP/PID KEY=VALUE ...   KIND: metadata, sample, last (of its file), or end
 *     parent KEY=VALUE ... | null         members of this object of a tree
 *     child PID KEY=VALUE ...             the metrics of the next child; no child is left out
 *     aggregated KEY=VALUE ...
 *
 * KEY names a member of the JSON line (`exit.code`), and VALUE is its text or `absent`. Members
 * that are not named may have any value. GROUP/PID may be followed by `-` and the start of the
 * process in ms. The first tick is 1,000 s after the boot, at 1,700,000,000,000 ms.
 *
 *   refuse ERROR KIND ...   from this tick on the sink refuses lines of these kinds, and no others:
 *                           ENOBUFS: for now; EMSGSIZE: for ever
 *
 * A line that begins with # is a comment. With DENET_SCENARIO_PRINT all written lines are printed.
 */
#include "core/monitor/monitor.h"

#include "tests/unit/proc_writer.h"

/* After proc_scene.h, whose parameters are named as its variable. */
#include "tests/unit/monitor_scene.h"

#include <ctype.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>

#define TEXT_LIMIT (1 << 20)

/* A line that the monitor has written. */
struct written {
  const char *kind;
  char file[512]; /* GROUP/PID-START */
  char *json;     /* owned */
};

struct expectation {
  char *text; /* borrowed from the scenario */
  unsigned line;
};

struct run {
  const char *path;
  char proc[64];
  struct denet_monitor_settings settings;
  struct denet_rule rules[4];
  size_t rule_count;
  struct denet_monitor *monitor; /* NULL before the first tick */
  struct proc_writer writer;
  struct expectation expected[64];
  struct written written[64];
  size_t expected_count, written_count; /* of the present tick */
  unsigned ticks, failures;
  enum denet_tick_scope scope; /* of the present tick */
  int refusals[4];             /* by kind: errno of the sink; 0: it takes the line */
};

static const char *const kinds[] = {[DENET_LINE_METADATA] = "metadata",
                                    [DENET_LINE_SAMPLE] = "sample",
                                    [DENET_LINE_LAST] = "last",
                                    [DENET_LINE_END] = "end"};

static void read_refusals(struct run *run, char *rest) {
  struct denet_text word;
  proc_next_word(&rest, &word);
  proc_next_word(&rest, &word);
  int error = !strcmp(word.bytes, "EMSGSIZE") ? EMSGSIZE : ENOBUFS;
  memset(run->refusals, 0, sizeof(run->refusals));
  while (proc_next_word(&rest, &word))
    for (size_t i = 0; i < DENET_COUNT_OF(kinds); i++)
      run->refusals[i] |= strcmp(kinds[i], word.bytes) ? 0 : error;
}

static int take_line(void *context, const struct denet_line *line) {
  struct run *run = context;
  if (run->refusals[line->kind])
    return run->refusals[line->kind];
  ck_assert_uint_lt(run->written_count, DENET_COUNT_OF(run->written));
  struct written *written = &run->written[run->written_count++];
  written->kind = kinds[line->kind];
  snprintf(written->file, sizeof(written->file), "%s/%d-%" PRIu64, line->instance, (int)line->pid,
           line->t0_ms);
  written->json = strndup(line->json.bytes ? line->json.bytes : "", line->json.length);
  ck_assert_ptr_nonnull(written->json);
  if (getenv("DENET_SCENARIO_PRINT"))
    fprintf(stderr, "%s %s %s\n", written->kind, written->file, written->json);
  return 0;
}

/* Returns the end of the JSON value at text: the comma or bracket behind it. */
static const char *value_end(const char *text) {
  bool is_string = false;
  for (int depth = 0; *text; text++) {
    if (is_string && *text == '\\')
      text++;
    else if (*text == '"')
      is_string = !is_string;
    else if (is_string)
      continue;
    else if (strchr("{[", *text))
      depth++;
    else if ((depth == 0 && *text == ',') || (strchr("}]", *text) && depth-- == 0))
      break;
  }
  return text;
}

/* Returns the member of a JSON object that path names, `a.b` too. bytes is NULL if there is none.
 */
static struct denet_text member(struct denet_text object, const char *path, size_t path_length) {
  const char *dot = memchr(path, '.', path_length), *at = object.bytes;
  size_t length = dot ? (size_t)(dot - path) : path_length;
  while (at && strchr("{,", *at) && at[1] == '"') {
    const char *key = at + 2, *value = strchr(key, '"') + 2;
    at = value_end(value);
    if ((size_t)(value - 2 - key) != length || memcmp(key, path, length))
      continue;
    struct denet_text found = {value, (size_t)(at - value)};
    return dot ? member(found, dot + 1, path_length - length - 1) : found;
  }
  return (struct denet_text){0};
}

static void report(struct run *run, const struct expectation *expectation, const char *what,
                   struct denet_text actual) {
  run->failures++;
  fprintf(stderr, "%s:%u: expected %s, written: %.*s\n", run->path, expectation->line, what,
          actual.bytes ? (int)actual.length : 7, actual.bytes ? actual.bytes : "nothing");
}

/* Compares the members of a JSON object that are named, or the object with a word without `=`. */
static void compare_members(struct run *run, const struct expectation *expectation, char *rest,
                            struct denet_text object) {
  struct denet_text word;
  while (proc_next_word(&rest, &word)) {
    const char *equals = strchr(word.bytes, '='), *wanted = equals ? equals + 1 : word.bytes;
    struct denet_text actual =
        equals ? member(object, word.bytes, (size_t)(equals - word.bytes)) : object;
    bool is_same = actual.bytes ? actual.length == strlen(wanted) &&
                                      !memcmp(actual.bytes, wanted, actual.length)
                                : !strcmp(wanted, "absent");
    if (!is_same)
      report(run, expectation, word.bytes, actual);
  }
}

static bool is_line(const struct expectation *expectation) {
  return !strncmp(expectation->text, "expect ", strlen("expect "));
}

static void compare_line(struct run *run, const struct expectation *expectation,
                         const struct written *written) {
  char *rest = expectation->text;
  struct denet_text expect, kind, file;
  bool is_whole = is_line(expectation) && proc_next_word(&rest, &expect) &&
                  proc_next_word(&rest, &kind) && proc_next_word(&rest, &file);
  ck_assert_msg(is_whole, "%s:%u: %s", run->path, expectation->line, expectation->text);
  if (strcmp(written->kind, kind.bytes))
    report(run, expectation, kind.bytes, denet_text_of(written->kind));
  if (strncmp(written->file, file.bytes, file.length) || !strchr("-", written->file[file.length]))
    report(run, expectation, file.bytes, denet_text_of(written->file));
  compare_members(run, expectation, rest, denet_text_of(written->json));
}

/* Compares the next of the children. Returns what stands behind it. */
static const char *compare_child(struct run *run, const struct expectation *expectation, char *rest,
                                 const char *children) {
  struct denet_text pid, child = {0};
  ck_assert(proc_next_word(&rest, &pid));
  if (*children == '{') {
    child = (struct denet_text){children, (size_t)(value_end(children) - children)};
    children += child.length + (children[child.length] == ',');
  }
  struct denet_text actual = member(child, "pid", 3);
  if (actual.length != pid.length || memcmp(actual.bytes, pid.bytes, pid.length))
    report(run, expectation, pid.bytes, actual);
  compare_members(run, expectation, rest, member(child, "metrics", 7));
  return children;
}

/* Compares a line with its expectations: `expect` and the parts of a tree. Returns what follows. */
static const struct expectation *compare_tree(struct run *run, const struct expectation *at,
                                              const struct written *written) {
  const struct expectation *end = run->expected + run->expected_count, *first = at;
  const char *children = strstr(written->json, "\"children\":[");
  children = children ? children + strlen("\"children\":[") : "";
  compare_line(run, at++, written);
  for (; at < end && !is_line(at); at++) {
    char *rest = at->text;
    struct denet_text part;
    proc_next_word(&rest, &part);
    if (!strcmp(part.bytes, "child"))
      children = compare_child(run, at, rest, children);
    else
      compare_members(run, at, rest, member(denet_text_of(written->json), part.bytes, part.length));
  }
  if (*children == '{')
    report(run, first, "no further child", denet_text_of(children));
  return at;
}

/* Compares what a tick has written with what is expected, and clears both. */
static void compare_tick(struct run *run, unsigned end_line) {
  const struct expectation *at = run->expected, *end = at + run->expected_count;
  const struct expectation nothing = {NULL, end_line};
  for (size_t i = 0; i < run->written_count; i++) {
    if (at < end)
      at = compare_tree(run, at, &run->written[i]);
    else
      report(run, &nothing, "no further line", denet_text_of(run->written[i].json));
    free(run->written[i].json);
  }
  for (; at < end; at++)
    report(run, at, at->text, (struct denet_text){0});
  run->written_count = run->expected_count = 0;
}

static void open_monitor(struct run *run, const struct denet_env *env) {
  struct denet_error error = {0};
  struct denet_source *source = NULL;
  for (size_t i = 0; i < run->rule_count; i++)
    ck_assert_msg(denet_rule_finish(&run->rules[i], &error) == 0, "%s", error.text);
  ck_assert_msg(denet_procfs_open(env, &error, &source) == 0, "%s", error.text);
  ck_assert_int_eq(denet_monitor_new(&run->settings, env, source, run->rules, run->rule_count,
                                     &error, &run->monitor),
                   0);
}

/* Runs the tick whose lines have been read, if there is one. */
static void run_tick(struct run *run, const struct denet_env *env, unsigned end_line) {
  struct denet_error error = {0};
  if (!run->ticks)
    return;
  proc_writer_write(&run->writer, run->proc);
  if (!run->monitor)
    open_monitor(run, env);
  int outcome = denet_monitor_tick(run->monitor, run->scope, &error);
  ck_assert_msg(outcome == 0, "%s:%u: %s", run->path, end_line, error.text);
  compare_tick(run, end_line);
}

static void read_setting(struct run *run, char *line) {
  char *space = strchr(line, ' '), *end;
  ck_assert_msg(space, "no value: %s", line);
  *space = '\0';
  struct denet_setting setting = {.key = line, .type = DENET_SETTING_STRING, .string = space + 1};
  setting.number = strtod(setting.string, &end);
  setting.boolean = !strcmp(setting.string, "true");
  if (!*end)
    setting.type = DENET_SETTING_NUMBER;
  if (setting.boolean || !strcmp(setting.string, "false"))
    setting.type = DENET_SETTING_BOOLEAN;
  struct denet_error error = {0};
  int outcome = 0;
  if (!strcmp(setting.key, "Rule")) {
    ck_assert_uint_lt(run->rule_count, DENET_COUNT_OF(run->rules));
    outcome = denet_rule_init(&run->rules[run->rule_count++], setting.string, &error);
  } else if (run->rule_count) {
    outcome = denet_rule_set(&run->rules[run->rule_count - 1], &setting, &error);
  } else {
    ck_assert_str_eq(setting.key, "SinceProcessStart");
    run->settings.since_process_start = setting.boolean;
  }
  ck_assert_msg(outcome == 0, "%s: %s", setting.key, error.text);
}

static void read_line(struct run *run, const struct denet_env *env, char *line, unsigned number) {
  line += strspn(line, " ");
  if (!*line || *line == '#')
    return;
  if (isupper((unsigned char)*line)) {
    read_setting(run, line);
  } else if (!strncmp(line, "tick", 4)) {
    run_tick(run, env, number);
    uint64_t ms = line[4] ? strtoull(line + 4, NULL, 10) : 1000;
    scene.now_ns += run->ticks++ ? ms * MILLISECOND : 0;
    run->scope = strstr(line, " final") ? DENET_TICK_FINAL : DENET_TICK_DUE;
  } else if (!strncmp(line, "refuse ", strlen("refuse "))) {
    read_refusals(run, line);
  } else if (!proc_writer_read(&run->writer, line)) {
    ck_assert_uint_lt(run->expected_count, DENET_COUNT_OF(run->expected));
    run->expected[run->expected_count++] = (struct expectation){line, number};
  }
}

static glob_t scenarios;

START_TEST(each_tick_writes_the_expected_lines) {
  struct run run = {.path = scenarios.gl_pathv[_i],
                    .proc = "/tmp/denet-scenario-XXXXXX",
                    .settings = {.interval = {100000000, 1000000000},
                                 .host_name = "testhost",
                                 .sink = take_line,
                                 .sink_context = &run}};
  struct denet_env env = scene_env;
  env.proc_path = run.proc;
  scene.now_ns = 1000 * SECOND;
  scene.calendar_ms = UINT64_C(1699999000000);
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  ck_assert_int_eq(denet_buffer_read_path(&text, AT_FDCWD, run.path, TEXT_LIMIT), 0);
  ck_assert_ptr_nonnull(mkdtemp(run.proc));
  unsigned number = 0;
  for (char *rest = text.bytes, *line; (line = strsep(&rest, "\n"));)
    read_line(&run, &env, line, ++number);
  run_tick(&run, &env, number);
  denet_monitor_free(run.monitor);
  nftw(run.proc, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  ck_assert_uint_ge(run.ticks, 2);
  ck_assert_msg(run.failures == 0, "%s: %u values differ", run.path, run.failures);
}
END_TEST

void add_cases(Suite *suite) {
  if (glob(DENET_SCENARIOS "/*.txt", 0, NULL, &scenarios))
    abort();
  add_loop_case(suite, "each_tick_writes_the_expected_lines", each_tick_writes_the_expected_lines,
                (int)scenarios.gl_pathc);
}
