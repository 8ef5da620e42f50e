/* Whole ticks over the folders in tests/fixtures: each tickN there is a /proc, expected.jsonl has
 * the lines that the monitor must hand over, expected.files which file each belongs to and as what.
 * A file "options" has options that are not a rule's.
 */
#include "core/monitor/monitor.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_LIMIT (1 << 20)

static const char *const fixtures[] = {
    "born_and_died",
    "changes_instance",
    "changes_network",
    "child_exits",
    "child_reparented",
    "exec_again",
    "exec_by_thread",
    "exit_hidden",
    "fork_then_exec",
    "gone_before_its_stat",
    "hostile_name",
    "kernel_thread",
    "killed_by_signal",
    "late_match",
    "late_match_tree",
    "leaves_rule",
    "main_thread_exited",
    "main_thread_exits_young",
    "many_interfaces",
    "mid_exit",
    "never_matched",
    "no_run_queue_times",
    "pid_reuse",
    "reaped_child_io",
    "reenters_rule",
    "reenters_rule_since_start",
    "rule_for_itself",
    "thread_exits",
    "threads_unreadable_once",
    "unreadable_io",
    "vanishes_busy",
    "zombie_lingers",
};

struct path {
  char text[4096];
};

/* One fixture while it runs. */
struct run {
  const char *name;
  struct path proc; /* the folder that the source has open */
  uint64_t boot_ns, unix_ms;
  struct denet_buffer lines, files;
};

static struct path join(const char *folder, const char *name) {
  struct path path;
  int length = snprintf(path.text, sizeof(path.text), "%s/%s", folder, name);
  ck_assert(length > 0 && (size_t)length < sizeof(path.text));
  return path;
}

static struct path fixture_path(const char *fixture, const char *name) {
  struct path folder = join(DENET_FIXTURES, fixture);
  return join(folder.text, name);
}

static void read_file(const char *path, struct denet_buffer *out) {
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
  ck_assert_int_eq(denet_buffer_read(out, fd, TEXT_LIMIT), 0);
}

/* Takes the next line off the front of text, its newline made a NUL; NULL at the end. */
static char *next_line(char **text) {
  char *line = *text;
  if (!line || !*line)
    return NULL;
  char *newline = strchr(line, '\n');
  *text = newline ? newline + 1 : NULL;
  if (newline)
    *newline = '\0';
  return line;
}

static void copy_file(const char *from, const char *to) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer bytes = {0};
  read_file(from, &bytes);
  DENET_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  ck_assert_msg(fd >= 0, "%s: %s", to, strerror(errno));
  ck_assert_int_eq(write(fd, bytes.bytes, bytes.length), (ssize_t)bytes.length);
}

static void copy_link(const char *from, const char *to) {
  char target[4096] = "";
  ck_assert_int_gt(readlink(from, target, sizeof(target) - 1), 0);
  ck_assert_int_eq(symlink(target, to), 0);
}

/* Both: FTS_PHYSICAL walks below folder, each entry's path being folder and what stands behind it.
 */
static FTS *walk(char *folder) {
  char *folders[] = {folder, NULL};
  FTS *walk = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  ck_assert_ptr_nonnull(walk);
  return walk;
}

static void copy_content(struct path from, struct path to) {
  FTS *entries = walk(from.text);
  FTSENT *entry;
  while ((entry = fts_read(entries))) {
    if (entry->fts_level == FTS_ROOTLEVEL)
      continue;
    struct path target = join(to.text, entry->fts_path + strlen(from.text) + 1);
    if (entry->fts_info == FTS_D)
      ck_assert_int_eq(mkdir(target.text, 0700), 0);
    else if (entry->fts_info == FTS_F)
      copy_file(entry->fts_path, target.text);
    else if (entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE)
      copy_link(entry->fts_path, target.text);
  }
  fts_close(entries);
}

static void remove_content(struct path folder) {
  FTS *entries = walk(folder.text);
  FTSENT *entry;
  while ((entry = fts_read(entries))) {
    if (entry->fts_level == FTS_ROOTLEVEL || entry->fts_info == FTS_D)
      continue;
    ck_assert_int_eq(remove(entry->fts_path), 0);
  }
  fts_close(entries);
}

static struct denet_setting parse_setting(char *line) {
  struct denet_setting setting = {.key = line, .type = DENET_SETTING_STRING};
  char *space = strchr(line, ' ');
  ck_assert_msg(space, "no value: %s", line);
  *space = '\0';
  setting.string = space + 1;
  char *end;
  setting.number = strtod(setting.string, &end);
  setting.boolean = !strcmp(setting.string, "true");
  if (!*end)
    setting.type = DENET_SETTING_NUMBER;
  if (setting.boolean || !strcmp(setting.string, "false"))
    setting.type = DENET_SETTING_BOOLEAN;
  return setting;
}

/* A line with the key Name starts a rule. Returns how many there are. */
static size_t load_rules(const char *fixture, struct denet_rule *rules, size_t room) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_error error = {0};
  read_file(fixture_path(fixture, "rule").text, &text);
  size_t count = 0;
  char *rest = text.bytes, *line;
  while ((line = next_line(&rest))) {
    struct denet_setting setting = parse_setting(line);
    bool is_name = !strcmp(setting.key, "Name");
    ck_assert(is_name ? count < room : count > 0);
    int outcome = is_name ? denet_rule_init(&rules[count++], setting.string, &error)
                          : denet_rule_set(&rules[count - 1], &setting, &error);
    ck_assert_msg(outcome == 0, "%s: %s", setting.key, error.text);
  }
  for (size_t i = 0; i < count; i++)
    ck_assert_msg(denet_rule_finish(&rules[i], &error) == 0, "%s", error.text);
  return count;
}

/* Takes over what the file "options" says, if there is one. */
static void load_options(const char *fixture, struct denet_monitor_settings *settings) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct path path = fixture_path(fixture, "options");
  if (access(path.text, F_OK))
    return;
  read_file(path.text, &text);
  char *rest = text.bytes, *line;
  while ((line = next_line(&rest))) {
    struct denet_setting setting = parse_setting(line);
    ck_assert_str_eq(setting.key, "SinceProcessStart");
    settings->since_process_start = setting.boolean;
  }
}

static int take_line(void *context, const struct denet_line *line) {
  static const char *const kinds[] = {[DENET_LINE_METADATA] = "metadata",
                                      [DENET_LINE_SAMPLE] = "sample",
                                      [DENET_LINE_LAST] = "last",
                                      [DENET_LINE_END] = "end"};
  struct run *run = context;
  char file[512];
  snprintf(file, sizeof(file), "%s/%d-%" PRIu64 " %s\n", line->instance, (int)line->pid,
           line->t0_ms, kinds[line->kind]);
  denet_buffer_append_string(&run->files, file);
  denet_buffer_append(&run->lines, line->json.bytes, line->json.length);
  denet_buffer_append_string(&run->lines, "\n");
  return 0;
}

static uint64_t boot_ns(void *context) { return ((struct run *)context)->boot_ns; }

static uint64_t unix_ms(void *context) { return ((struct run *)context)->unix_ms; }

static int user_name(void *context, uid_t uid, char *out, size_t size) {
  (void)context;
  snprintf(out, size, "user%u", (unsigned)uid);
  return 0;
}

/* Sets the clocks and the content of the /proc folder to those of tick number, from 1. */
static void enter_tick(struct run *run, const char *clock, unsigned number) {
  char tick[32], *end;
  snprintf(tick, sizeof(tick), "tick%u", number);
  run->boot_ns = (uint64_t)llround(strtod(clock, &end) * 1e9);
  run->unix_ms = strtoull(end, NULL, 10);
  remove_content(run->proc);
  copy_content(fixture_path(run->name, tick), run->proc);
}

static struct denet_monitor *open_monitor(struct run *run, const struct denet_env *env) {
  struct denet_monitor_settings settings = {.interval = {100000000, 1000000000},
                                            .host_name = "testhost",
                                            .sink = take_line,
                                            .sink_context = run};
  struct denet_error error = {0};
  struct denet_rule rules[4];
  struct denet_source *source = NULL;
  struct denet_monitor *monitor = NULL;
  size_t count = load_rules(run->name, rules, DENET_COUNT_OF(rules));
  load_options(run->name, &settings);
  ck_assert_msg(denet_procfs_open(env, &error, &source) == 0, "%s", error.text);
  ck_assert_int_eq(denet_monitor_new(&settings, env, source, rules, count, &error, &monitor), 0);
  return monitor;
}

static void run_ticks(struct run *run) {
  struct denet_env env = {.proc_path = run->proc.text,
                          .tick_ns = 10000000,
                          .page_bytes = 4096,
                          .context = run,
                          .boot_ns = boot_ns,
                          .unix_ms = unix_ms,
                          .user_name = user_name};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_error error = {0};
  read_file(fixture_path(run->name, "clock").text, &text);
  copy_content(fixture_path(run->name, "tick1"), run->proc); /* for what is read but once */
  struct denet_monitor *monitor = open_monitor(run, &env);
  char *rest = text.bytes, *clock;
  for (unsigned number = 1; (clock = next_line(&rest)); number++) {
    enter_tick(run, clock, number);
    int outcome = denet_monitor_tick(monitor, DENET_TICK_DUE, &error);
    ck_assert_msg(outcome == 0, "tick %u: %s", number, error.text);
  }
  denet_monitor_free(monitor);
}

/* How many lines differ; says which. */
static unsigned compare(struct run *run, const char *what, struct denet_buffer *actual) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer expected = {0};
  read_file(fixture_path(run->name, what).text, &expected);
  char *expected_rest = expected.bytes, *actual_rest = actual->bytes;
  unsigned number = 0, differences = 0;
  for (;;) {
    const char *wanted = next_line(&expected_rest), *given = next_line(&actual_rest);
    number++;
    if (!wanted && !given)
      return differences;
    if (wanted && given && !strcmp(wanted, given))
      continue;
    differences++;
    size_t same = 0;
    while (wanted && given && wanted[same] == given[same])
      same++;
    fprintf(stderr, "%s/%s line %u, differs from character %zu:\n  expected: %s\n  actual:   %s\n",
            run->name, what, number, same + 1, wanted ? wanted : "(no line)",
            given ? given : "(no line)");
  }
}

START_TEST(each_tick_writes_the_expected_lines) {
  struct run run = {.name = fixtures[_i]};
  const char *temporary = getenv("TMPDIR");
  run.proc = join(temporary ? temporary : "/tmp", "denet-fixture-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(run.proc.text));
  run_ticks(&run);
  remove_content(run.proc);
  rmdir(run.proc.text);
  if (getenv("DENET_FIXTURE_UPDATE"))
    fprintf(stderr, "== %s\n%s%s", run.name, denet_buffer_text(&run.lines).bytes,
            denet_buffer_text(&run.files).bytes);
  unsigned differences =
      compare(&run, "expected.jsonl", &run.lines) + compare(&run, "expected.files", &run.files);
  denet_buffer_done(&run.lines);
  denet_buffer_done(&run.files);
  ck_assert_msg(differences == 0, "%s: %u lines differ", run.name, differences);
}
END_TEST

START_TEST(every_folder_of_fixtures_is_run) {
  char folder[] = DENET_FIXTURES;
  FTS *entries = walk(folder);
  FTSENT *entry;
  while ((entry = fts_read(entries))) {
    if (entry->fts_level != 1 || entry->fts_info != FTS_D)
      continue;
    fts_set(entries, entry, FTS_SKIP);
    bool is_run = access(fixture_path(entry->fts_name, "rule").text, F_OK) != 0;
    for (size_t i = 0; i < DENET_COUNT_OF(fixtures); i++)
      is_run = is_run || !strcmp(fixtures[i], entry->fts_name);
    ck_assert_msg(is_run, "%s is not in the table", entry->fts_name);
  }
  fts_close(entries);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, each_tick_writes_the_expected_lines, fixtures);
  ADD_TEST(suite, every_folder_of_fixtures_is_run);
}
