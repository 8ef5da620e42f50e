/* What lines do to files, whatever happens to these meanwhile: each text of tests/scenarios/store
 * has scenarios, each with its claim in the first line. Each further line is a step:
 *
 *   for VALUE ...              first: runs the scenario for each value, which replaces each $
 *   open [LIMIT=N] ... [host=] opens the store again; LIMIT is file, total, block (bytes) or open
 *                              (files). A scenario without it begins with a store without limits
 *   second                     opens and closes another store in the same folder
 *   metadata|sample|last|end [INSTANCE/]PIDS [TEXT] [xN] [= ERROR]
 *                              writes a line of each process (1-3), all that N times; ERROR is
 *                              GONE, the name of an errno, or fails
 *   whole PIDS                 writes a metadata line and a last one
 *   disk N STEP                a step while no file may be longer than N bytes, as on a full disk
 *   fault CALL,N,ERROR STEP    a step whose Nth open, status, remove or cut fails (faults.h)
 *   resume [xN]                denet_store_resume()
 *   clock DAY TIME             sets the wall clock
 *   file FILE TEXT ...         checks the whole content of a file
 *   files PIDS TEXT ...        likewise of the first files of processes
 *   exists|absent FILE ...     checks that files or folders are there, or not
 *   mode FILE OCTAL            checks type and rights
 *   total|at-most N            checks denet_store_total_bytes()
 *   descriptors N              checks how many the store has opened
 *   write|link|remove|rename|folder|age FILE [TEXT ...|TARGET|NAME|SECONDS]
 *                              what others do; a link's target is beside the store's folder
 *
 * TEXT is H, a header of 20 bytes with its newline, or L, a line of 24; H99 or L99 has 99 bytes.
 * All other texts are lines as they stand; one that begins with + has no newline. N may end with F:
 * so many files of H and L. FILE is below the store's folder or, without a slash, in the day's
 * folder of the instance "web". ^ stands for a space. A line that begins with # is a comment. */
#include "tests/unit/faults.h"
#include "tests/unit/store_scene.h"

#include <ctype.h>
#include <glob.h>

#define WORDS 16

static struct {
  const char *file, *claim;
  char *steps; /* a copy; lines up to one that is not indented */
} scenarios[128];
static size_t scenario_count;

/* A scenario while it runs. */
static struct scene scene;
static unsigned descriptors; /* that were open before the store */
static const char *what;     /* the step, for messages */
static struct fault fault;   /* of the next line; without calls: none */

#define EXPECT(condition, format, ...) ck_assert_msg(condition, "%s: " format, what, ##__VA_ARGS__)

static uint64_t number(const char *word) {
  char *end;
  uint64_t value = strtoull(word, &end, 10);
  EXPECT(isdigit((unsigned char)*word) && (!*end || !strcmp(end, "F")), "%s is no number", word);
  return *end ? value * FILE_BYTES : value;
}

static void open_with(char **words) {
  struct limits limits = {0};
  const char *host = HOST;
  for (; *words; words++) {
    const char *value = strchr(*words, '=') + 1;
    if (!strncmp(*words, "host=", 5))
      host = value;
    else if (!strncmp(*words, "open=", 5))
      limits.open_files = (unsigned)number(value);
    else if (!strncmp(*words, "block=", 6))
      limits.block_bytes = (unsigned)number(value);
    else
      *(**words == 'f' ? &limits.file_bytes : &limits.total_bytes) = number(value);
  }
  denet_store_close(DENET_TAKE(scene.store));
  descriptors = count_descriptors();
  EXPECT(!try_open(&scene, host, limits, &scene.store), "%s", scene.error.text);
}

/* Appends one text: a header, a line, or what the word says. */
static void append_text(struct denet_buffer *content, const char *word) {
  char padded[120000];
  bool is_header = *word == 'H', is_short = !word[1];
  if (*word == 'H' || *word == 'L') {
    const char *text = is_header ? HEADER : LINE;
    size_t length = is_short ? strlen(text) : number(word + 1) - 1;
    snprintf(padded, sizeof(padded), "%.*s%*s", (int)strlen(text) - 1, text,
             (int)(length - strlen(text) + 1), "}");
    word = padded;
  }
  denet_buffer_append_string(content, word + (*word == '+'));
  if (*word != '+')
    denet_buffer_append_string(content, "\n");
}

/* Returns the texts of the words, owned by the caller. */
static struct denet_buffer make_content(char **words) {
  struct denet_buffer content = {0};
  denet_buffer_append_string(&content, "");
  for (; *words; words++)
    append_text(&content, *words);
  return content;
}

static const char *full_path(const char *name, path out_path) {
  char relative[256];
  snprintf(relative, sizeof(relative), "%s%s", strchr(name, '/') ? "" : WEB, name);
  return path_of(&scene, relative, out_path);
}

static void expect_content(const char *name, char **words) {
  path full;
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer found = {0}, expected = make_content(words);
  EXPECT(!denet_buffer_read_path(&found, AT_FDCWD, full_path(name, full), 1 << 20), "%s: %m", name);
  EXPECT(!strcmp(denet_buffer_text(&found).bytes, expected.bytes), "%s is %.200s", name,
         denet_buffer_text(&found).bytes);
}

/* Splits [INSTANCE/]FIRST[-LAST]. */
static void split_pids(char *word, const char **out_instance, pid_t *out_first, pid_t *out_last) {
  char *slash = strrchr(word, '/'), *pids = slash ? slash + 1 : word, *dash = strchr(pids, '-');
  if (slash)
    *slash = '\0';
  *out_instance = slash ? word : "web";
  *out_first = (pid_t)strtol(pids, NULL, 10);
  *out_last = dash ? (pid_t)number(dash + 1) : *out_first;
}

static void expect_outcome(int outcome, const char *instance, const char *wanted) {
  bool is_wanted = !wanted                    ? !outcome
                   : !strcmp(wanted, "fails") ? outcome < 0
                   : !strcmp(wanted, "GONE")  ? outcome == DENET_GONE
                                              : !strcmp(strerrorname_np(-outcome), wanted);
  EXPECT(is_wanted, "outcome %d, %s", outcome, scene.error.text);
  if (outcome < 0)
    EXPECT(strstr(scene.error.text, outcome == -EINVAL ? instance : scene.folder), "%s",
           scene.error.text);
}

static void write_lines(enum denet_line_kind kind, char **words, rlim_t disk_bytes) {
  const char *instance, *outcome = NULL;
  pid_t first, last;
  uint64_t times = 1;
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  split_pids(*words++, &instance, &first, &last);
  for (; *words; words++) {
    if (!strcmp(*words, "="))
      outcome = *++words;
    else if (**words == 'x')
      times = number(*words + 1);
    else
      append_text(&text, *words);
  }
  if (!text.length)
    append_text(&text, kind == DENET_LINE_METADATA ? "H" : "L");
  text.bytes[text.length - 1] = '\0'; /* the store adds the newline */
  for (; times; times--)
    for (pid_t pid = first; pid <= last; pid++) {
      faults_begin(fault);
      int error = try_limited(&scene, disk_bytes, instance, pid, kind, text.bytes);
      bool has_failed = faults_end();
      EXPECT(has_failed || !fault.calls, "there is no such call");
      fault.calls = 0;
      expect_outcome(error, instance, outcome);
    }
}

/* Takes CALL,N,ERROR. */
static void prepare_fault(const char *word) {
  char call[8], error[16];
  EXPECT(sscanf(word, "%7[a-z],%u,%15s", call, &fault.first, error) == 3, "no fault");
  fault.calls = *call == 'o'   ? FAULT_OPEN
                : *call == 's' ? FAULT_STATUS
                : *call == 'r' ? FAULT_REMOVE
                               : FAULT_CUT;
  fault.count = 1;
  for (fault.error = 1; strcmp(strerrorname_np(fault.error), error) != 0;)
    fault.error++;
}

static bool run_line_step(char **words, rlim_t disk_bytes) {
  static const char *const kinds[] = {[DENET_LINE_METADATA] = "metadata",
                                      [DENET_LINE_SAMPLE] = "sample",
                                      [DENET_LINE_LAST] = "last",
                                      [DENET_LINE_END] = "end"};
  for (size_t kind = 0; kind < DENET_COUNT_OF(kinds); kind++)
    if (!strcmp(words[0], kinds[kind])) {
      write_lines((enum denet_line_kind)kind, words + 1, disk_bytes);
      return true;
    }
  return false;
}

static void run_store_step(char **words) {
  const char *step = words[0], *instance;
  struct denet_store *other = NULL;
  pid_t pid, last;
  if (!strcmp(step, "open")) {
    open_with(words + 1);
  } else if (!strcmp(step, "second")) {
    EXPECT(!try_open(&scene, HOST, no_limits, &other), "%s", scene.error.text);
    denet_store_close(other);
  } else if (!strcmp(step, "disk")) {
    EXPECT(run_line_step(words + 2, number(words[1])), "no step");
  } else if (!strcmp(step, "fault")) {
    prepare_fault(words[1]);
    if (!run_line_step(words + 2, RLIM_INFINITY))
      run_store_step(words + 2);
  } else if (!strcmp(step, "whole")) {
    for (split_pids(words[1], &instance, &pid, &last); pid <= last; pid++)
      write_whole(&scene, pid);
  } else if (!strcmp(step, "resume")) {
    for (uint64_t times = words[1] ? number(words[1] + 1) : 1; times; times--)
      denet_store_resume(scene.store);
  } else {
    struct tm time = {0};
    EXPECT(!strcmp(step, "clock") && strptime(words[1], "%F", &time) &&
               strptime(words[2], "%T", &time),
           "no step");
    now_ms = (uint64_t)timegm(&time) * 1000;
  }
}

static bool run_check(char **words) {
  const char *check = words[0], *instance;
  uint64_t bytes = denet_store_total_bytes(scene.store);
  path full, name;
  struct stat status = {0};
  pid_t pid, last;
  if (!strcmp(check, "file")) {
    expect_content(words[1], words + 2);
  } else if (!strcmp(check, "files")) {
    for (split_pids(words[1], &instance, &pid, &last); pid <= last; pid++) {
      snprintf(name, sizeof(name), "%d-1000.jsonl", pid);
      expect_content(name, words + 2);
    }
  } else if (!strcmp(check, "exists") || !strcmp(check, "absent")) {
    for (char **file = words + 1; *file; file++)
      EXPECT(!lstat(full_path(*file, full), &status) == (*check == 'e'), "%s", *file);
  } else if (!strcmp(check, "mode")) {
    lstat(full_path(words[1], full), &status);
    EXPECT(status.st_mode == strtoul(words[2], NULL, 8), "%o", status.st_mode);
  } else if (!strcmp(check, "total")) {
    EXPECT(bytes == number(words[1]), "%ju", (uintmax_t)bytes);
  } else if (!strcmp(check, "at-most")) {
    EXPECT(bytes <= number(words[1]), "%ju", (uintmax_t)bytes);
  } else if (!strcmp(check, "descriptors")) {
    unsigned count = count_descriptors() - descriptors;
    EXPECT(count == number(words[1]) + 1, "%u, with the lock", count);
  } else {
    return false;
  }
  return true;
}

static bool run_disturbance(char **words) {
  const char *step = words[0];
  path full, other;
  if (!words[1] || !strcmp(step, "open"))
    return false;
  full_path(words[1], full);
  if (!strcmp(step, "remove")) {
    remove_tree(full);
  } else if (!strcmp(step, "rename")) {
    EXPECT(!rename(full, full_path(words[2], other)), "%m");
  } else if (!strcmp(step, "age")) {
    time_t changed = time(NULL) - (time_t)number(words[2]);
    const struct timespec times[] = {{changed, 0}, {changed, 0}};
    EXPECT(!utimensat(AT_FDCWD, full, times, 0), "%m");
  } else if (!strcmp(step, "folder")) {
    make_parents(full);
    EXPECT(!mkdir(full, 0755), "%m");
  } else if (!strcmp(step, "link")) {
    make_parents(full);
    snprintf(other, sizeof(other), "%s/%s", scene.top, words[2]);
    EXPECT(!symlink(other, full), "%m");
  } else if (!strcmp(step, "write")) {
    DENET_CLEANUP(denet_buffer_done) struct denet_buffer content = make_content(words + 2);
    make_parents(full);
    FILE *file = fopen(full, "w");
    EXPECT(file && fputs(content.bytes, file) >= 0 && !fclose(file), "%s: %m", full);
  } else {
    return false;
  }
  return true;
}

/* Runs a line, in which value stands for each $. */
static void run_step(const char *line, const char *value) {
  char text[512] = "", shown[800], *words[WORDS + 1] = {NULL}, *rest = text;
  size_t count = 0;
  for (; *line; line++)
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s", *line == '$' ? 99 : 1,
             *line == '$' ? value : line);
  snprintf(shown, sizeof(shown), "%s: %s", what, text);
  const char *claim = what;
  what = shown;
  for (char *word; count < WORDS && (word = strsep(&rest, " "));)
    if (*word)
      words[count++] = word;
  for (char *at = text; at < text + sizeof(text); at++)
    *at = *at == '^' ? ' ' : *at;
  if (words[0] && !run_line_step(words, RLIM_INFINITY) && !run_check(words) &&
      !run_disturbance(words))
    run_store_step(words);
  what = claim;
}

static void run_scenario(const char *steps, const char *value) {
  scene = begin(no_limits);
  descriptors = count_descriptors() - 1;
  now_ms = DAY_MS;
  for (const char *line = steps; *line; line = strchr(line, '\0') + 1)
    if (strncmp(line, "  for ", 6) != 0)
      run_step(line, value);
  end_scene(&scene);
}

START_TEST(scenario) {
  static char claim[256];
  bool has_values = false;
  snprintf(claim, sizeof(claim), "%s: %s", scenarios[_i].file, scenarios[_i].claim);
  what = claim;
  for (const char *line = scenarios[_i].steps; *line; line = strchr(line, '\0') + 1) {
    char values[512], *rest = values;
    snprintf(values, sizeof(values), "%s", strncmp(line, "  for ", 6) ? "" : line + 6);
    for (const char *value; (value = strsep(&rest, " "));) {
      if (*value)
        run_scenario(scenarios[_i].steps, value);
      has_values |= *value != '\0';
    }
  }
  if (!has_values)
    run_scenario(scenarios[_i].steps, "");
}
END_TEST

/* Cuts a text into its scenarios; their steps are strings that follow each other, and an empty one.
 */
static void read_scenarios(const char *file) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  if (denet_buffer_read_path(&text, AT_FDCWD, file, 1 << 20))
    abort();
  char *rest = text.bytes, *end = NULL;
  for (char *line; (line = strsep(&rest, "\n"));) {
    if (!*line || *line == '#')
      continue;
    if (*line != ' ') {
      scenarios[scenario_count].file = strrchr(file, '/') + 1;
      scenarios[scenario_count].claim = strdup(line);
      end = scenarios[scenario_count++].steps = calloc(1, 4096);
    } else {
      end = stpcpy(end, line) + 1;
    }
  }
}

static const struct {
  rlim_t limit;
  bool is_high;
} descriptor_limits[] = {{FD_SETSIZE + 1, true}, {FD_SETSIZE, false}};

START_TEST(descriptors_that_select_can_take_are_left_to_others) {
  struct rlimit before;
  scene = begin(no_limits);
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit limit = {descriptor_limits[_i].limit, before.rlim_max};
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  ck_assert_int_eq(fcntl(FD_SETSIZE, F_GETFD) >= 0, descriptor_limits[_i].is_high);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  setrlimit(RLIMIT_NOFILE, &before);
  end_scene(&scene);
}
END_TEST

START_TEST(the_check_makes_the_folder_and_leaves_nothing_in_it) {
  scene = begin_closed();
  strcat(scene.folder, "/a/b/");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), 0);
  ck_assert_int_eq(rmdir(scene.folder), 0);
  end_scene(&scene);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_named_in_the_error) {
  scene = begin_closed();
  fclose(fopen(scene.folder, "w"));
  strcat(scene.folder, "/below");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  scene.error.text[0] = '\0';
  ck_assert_int_eq(try_open(&scene, HOST, no_limits, &scene.store), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  end_scene(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  static glob_t texts; /* the names stay in use */
  if (glob(DENET_SCENARIOS "/store/*.txt", 0, NULL, &texts))
    abort();
  for (size_t i = 0; i < texts.gl_pathc; i++)
    read_scenarios(texts.gl_pathv[i]);
  add_loop_case(suite, "scenario", scenario, (int)scenario_count);
  ADD_TABLE(suite, descriptors_that_select_can_take_are_left_to_others, descriptor_limits);
  ADD_TEST(suite, the_check_makes_the_folder_and_leaves_nothing_in_it);
  ADD_TEST(suite, a_folder_that_cannot_be_made_is_named_in_the_error);
}
