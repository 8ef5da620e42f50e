/* A store whose system calls fail one after the other. Its files have whole lines, each once: all
 * lines whose write succeeded, and no others; and later lines are written again. */
#include "tests/unit/faults.h"
#include "tests/unit/store_scene.h"

#include <ftw.h>

#define PROCESSES 3
#define ROUNDS 8 /* of lines, one of each process; the first is metadata, the last one ends */
#define LINES (PROCESSES * ROUNDS)
#define FAULTY_LINES (PROCESSES * 5) /* a fault that lasts is over then */
#define CALLS                                                                                      \
  (FAULT_OPEN | FAULT_READ | FAULT_LIST | FAULT_STATUS | FAULT_MAKE | FAULT_REMOVE | FAULT_WRITE | \
   FAULT_CUT | FAULT_SEEK)

/* Each process has several segments, and not all of their descriptors are kept. */
static const struct limits limits = {.file_bytes = 300, .open_files = 2};

static char what[64]; /* the failure, for messages */

static struct {
  int outcome[LINES];    /* of the writes */
  unsigned found[LINES]; /* how often each line is in the files */
  uint64_t bytes;        /* of all files */
} result;

static void make_line(unsigned number, char *out, size_t size) {
  unsigned round = number / PROCESSES;
  snprintf(out, size, "{\"kind\":\"%s\",\"n\":%u,\"filler\":\"%060d\"}",
           round ? "sample" : "metadata", number, 0);
}

static enum denet_line_kind kind_of(unsigned number) {
  unsigned round = number / PROCESSES;
  if (!round)
    return DENET_LINE_METADATA;
  return round == ROUNDS - 1 ? DENET_LINE_LAST : DENET_LINE_SAMPLE;
}

/* Writes all lines. The fault lasts for so many of them at most. Returns whether it struck. */
static bool write_all(struct scene *scene, struct fault fault, unsigned fault_lines) {
  bool has_failed = false;
  faults_begin(fault);
  for (unsigned i = 0; i < LINES; i++) {
    char line[160];
    make_line(i, line, sizeof(line));
    if (i == fault_lines)
      has_failed = faults_end();
    if (i % PROCESSES == 0)
      denet_store_resume(scene->store);
    result.outcome[i] = write_key(scene, "web", (pid_t)(i % PROCESSES) + 1, kind_of(i), line);
  }
  return faults_end() || has_failed;
}

static void count_line(const char *line, bool is_first) {
  unsigned number = 0;
  char expected[160];
  bool is_header = strstr(line, "\"metadata\"") != NULL;
  ck_assert_msg(is_header == is_first, "%s: a header is in the wrong place: %s", what, line);
  const char *at = strstr(line, "\"n\":");
  ck_assert_msg(at && sscanf(at, "\"n\":%u", &number) == 1 && number < LINES, "%s: %s", what, line);
  make_line(number, expected, sizeof(expected));
  ck_assert_msg(!strcmp(line, expected), "%s: a line is not whole: %s", what, line);
  result.found[number]++;
}

static void read_lines(const char *file) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  ck_assert_msg(!denet_buffer_read_path(&text, AT_FDCWD, file, 1 << 20), "%s: %m", file);
  if (!text.length) /* it could not even be removed again */
    return;
  ck_assert_msg(text.bytes[text.length - 1] == '\n', "%s: %s has a torn line", what, file);
  result.bytes += text.length;
  const char *line = text.bytes;
  for (char *newline; (newline = strchr(line, '\n')); line = newline + 1) {
    *newline = '\0';
    count_line(line, line == text.bytes);
  }
}

static int check_entry(const char *file, const struct stat *status, int type, struct FTW *walk) {
  if (type == FTW_F)
    read_lines(file);
  return 0;
}

/* A metadata line whose write failed may begin a file later, or several. */
static void expect_lines(unsigned fault_lines) {
  for (unsigned i = 0; i < LINES; i++) {
    bool is_written = result.outcome[i] == 0;
    bool is_header = kind_of(i) == DENET_LINE_METADATA;
    ck_assert_msg(is_header || result.found[i] == is_written,
                  "%s: line %u is there %u times, and writing it said %d", what, i, result.found[i],
                  result.outcome[i]);
    bool lacks_header = result.outcome[i % PROCESSES] == -ENOMEM;
    ck_assert_msg(i < fault_lines || is_written || lacks_header,
                  "%s: line %u is not written when all is well: %d", what, i, result.outcome[i]);
  }
}

static const struct {
  const char *what;
  struct fault fault;
  unsigned lines;
} failures[] = {
    {"no memory once", {.calls = FAULT_ALLOCATE, .count = 1}, LINES},
    {"no memory", {.calls = FAULT_ALLOCATE, .count = FAULT_ALWAYS}, FAULTY_LINES},
    {"EINTR once", {.calls = CALLS, .count = 1, .error = EINTR}, LINES},
    {"EINTR thrice", {.calls = FAULT_WRITE, .count = 3, .error = EINTR}, LINES},
    {"EIO once", {.calls = CALLS, .count = 1, .error = EIO}, LINES},
    {"EIO twice", {.calls = CALLS, .count = 2, .error = EIO}, LINES},
    {"EIO", {.calls = CALLS, .count = FAULT_ALWAYS, .error = EIO}, FAULTY_LINES},
    {"ENOSPC", {.calls = FAULT_WRITE | FAULT_MAKE, .count = 4, .error = ENOSPC}, LINES},
    {"EMFILE", {.calls = FAULT_OPEN, .count = 5, .error = EMFILE}, LINES},
    {"EACCES", {.calls = FAULT_OPEN, .count = FAULT_ALWAYS, .error = EACCES}, FAULTY_LINES},
    {"a short write", {.calls = FAULT_WRITE, .count = 1, .error = FAULT_SHORT}, LINES},
    {"short writes", {.calls = FAULT_WRITE, .count = 9, .error = FAULT_SHORT}, LINES},
};

START_TEST(each_call_of_a_write_may_fail) {
  struct fault fault = failures[_i].fault;
  bool has_failed = true;
  for (fault.first = 1; has_failed; fault.first++) {
    path folder;
    snprintf(what, sizeof(what), "%s at call %u", failures[_i].what, fault.first);
    unsigned descriptors = count_descriptors();
    struct scene scene = begin(limits);
    memset(&result, 0, sizeof(result));
    has_failed = write_all(&scene, fault, failures[_i].lines);
    nftw(path_of(&scene, HOST "/web", folder), check_entry, 16, FTW_PHYS);
    expect_lines(has_failed ? failures[_i].lines : 0);
    /* A file that could not be checked, or that there is no memory for, counts no more. */
    uint64_t counted = denet_store_total_bytes(scene.store);
    ck_assert_msg(has_failed ? counted <= result.bytes : counted == result.bytes,
                  "%s: %lu bytes are counted, of %lu", what, (unsigned long)counted,
                  (unsigned long)result.bytes);
    end_scene(&scene);
    ck_assert_uint_eq(count_descriptors(), descriptors);
  }
  ck_assert_uint_gt(fault.first, 5);
}
END_TEST

static const struct {
  unsigned calls;
  int error;
} refusals[] = {{FAULT_ALLOCATE, 0}, {CALLS, EIO}, {CALLS, EMFILE}, {CALLS, EINTR}};

START_TEST(each_call_of_an_opening_may_fail) {
  struct scene scene = begin(limits);
  struct fault fault = {.calls = refusals[_i].calls, .count = 1, .error = refusals[_i].error};
  bool has_failed = true;
  for (pid_t pid = 1; pid <= 3; pid++)
    write_whole(&scene, pid);
  denet_store_close(scene.store);
  for (fault.first = 1; has_failed; fault.first++) {
    unsigned descriptors = count_descriptors();
    scene.store = NULL;
    faults_begin(fault);
    int error = try_open(&scene, HOST, limits, &scene.store);
    has_failed = faults_end();
    ck_assert_msg(has_failed || !error, "%s", scene.error.text);
    ck_assert(!error == (scene.store != NULL));
    denet_store_close(scene.store);
    ck_assert_uint_eq(count_descriptors(), descriptors);
  }
  scene.store = NULL;
  open_again(&scene, limits);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * FILE_BYTES);
  end_scene(&scene);
}
END_TEST

/* A file that cannot be removed stays, and no line is lost for it. */
START_TEST(each_call_of_the_retention_may_fail) {
  struct fault fault = {.calls = refusals[_i].calls, .count = 1, .error = refusals[_i].error};
  bool has_failed = true;
  for (fault.first = 1; has_failed; fault.first++) {
    struct scene scene = begin((struct limits){.total_bytes = 2 * FILE_BYTES});
    for (pid_t pid = 1; pid <= 3; pid++)
      write_whole(&scene, pid);
    faults_begin(fault);
    write_key(&scene, "web", 4, DENET_LINE_METADATA, HEADER);
    write_key(&scene, "web", 4, DENET_LINE_LAST, LINE);
    has_failed = faults_end();
    denet_store_resume(scene.store);
    for (pid_t pid = 5; pid <= 8; pid++)
      write_whole(&scene, pid);
    ck_assert_uint_le(denet_store_total_bytes(scene.store), 2 * FILE_BYTES);
    ck_assert(exists(&scene, WEB "8-1000.jsonl"));
    ck_assert(!exists(&scene, WEB "5-1000.jsonl"));
    end_scene(&scene);
  }
  ck_assert_uint_gt(fault.first, 3);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, each_call_of_a_write_may_fail, failures);
  ADD_TABLE(suite, each_call_of_an_opening_may_fail, refusals);
  ADD_TABLE(suite, each_call_of_the_retention_may_fail, refusals);
}
