#include "core/source/procfs/read_worker.h"

#include "core/util/clock.h"
#include "core/util/error.h"

#include "tests/unit/proc_writer.h"

#include <stdlib.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* A directory with a file, a link, and a FIFO, on which a read stalls until it is opened for
 * writing. */
static struct {
  char path[32];
  int dir;
  struct denet_read_worker *worker;
  struct denet_buffer text;
} place;

static void make_place(void) {
  proc_path fifo, link;
  strcpy(place.path, "/tmp/denet-read-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(place.path));
  place.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ck_assert_int_ge(place.dir, 0);
  proc_write(place.path, "file", "some text", 9);
  ck_assert_int_eq(symlink("file (deleted)", proc_join(place.path, "link", link)), 0);
  ck_assert_int_eq(mkfifo(proc_join(place.path, "fifo", fifo), 0600), 0);
  place.worker = denet_read_worker_new(place.dir);
  ck_assert_ptr_nonnull(place.worker);
}

static void remove_place(void) {
  denet_read_worker_free(place.worker);
  denet_buffer_done(&place.text);
  close(place.dir);
  nftw(place.path, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Ends the reads that stall on the FIFO now, each with this text or a part of it. */
static void end_stalls(const char *text) {
  proc_path path;
  DENET_CLOSE int fd = open(proc_join(place.path, "fifo", path), O_WRONLY | O_NONBLOCK);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  usleep(1 * 1000);
}

static const struct {
  const char *name;
  size_t limit;
  int outcome;
  const char *text;
} files[] = {
    {"file", 100, 0, "some text"},
    {"file", 4, 0, "some"},
    {"file", 0, 0, ""},
    {"link", 100, 0, "file (deleted)"},
    {"link", 4, 0, "file"},
    {"none", 100, -ENOENT, ""},
    {".", 100, -EISDIR, ""},
};

#define FILE_AT(i) files[(i) % DENET_COUNT_OF(files)]

/* --- Lists of files --- */

static void check(unsigned index, int outcome, const char *text) {
  struct denet_text got;
  ck_assert_int_eq(denet_read_worker_text(place.worker, index, &got), outcome);
  if (!outcome)
    ck_assert_str_eq(got.bytes, text);
}

/* Reads a list of one file. */
static int read_one(pid_t pid, const char *name) {
  struct denet_text text;
  denet_read_worker_begin(place.worker);
  unsigned index = denet_read_worker_add(place.worker, pid, name, 100);
  denet_read_worker_read(place.worker);
  return denet_read_worker_text(place.worker, index, &text);
}

static int read_one_until_known(pid_t pid) {
  int outcome = DENET_LATER;
  for (int i = 0; i < 5000 && outcome == DENET_LATER; i++) {
    outcome = read_one(pid, "file");
    usleep(1 * 1000);
  }
  return outcome;
}

START_TEST(each_file_of_a_list_has_its_own_outcome) {
  for (int round = 0; round < 3; round++) {
    denet_read_worker_begin(place.worker);
    for (size_t i = 0; i < DENET_READ_WORKER_FILES; i++)
      ck_assert_uint_eq(denet_read_worker_add(place.worker, 1, FILE_AT(i).name, FILE_AT(i).limit),
                        i);
    denet_read_worker_read(place.worker);
    for (unsigned i = 0; i < DENET_READ_WORKER_FILES; i++)
      check(i, FILE_AT(i).outcome, FILE_AT(i).text);
  }
}
END_TEST

START_TEST(a_process_on_which_a_thread_stalls_is_left_out_with_all_its_files) {
  static const char *const names[] = {"file", "fifo", "file", "fifo", "file", "none"};
  static const pid_t pids[] = {1, 2, 2, 3, 4, 2};
  static const int outcomes[] = {0, DENET_LATER, DENET_LATER, DENET_LATER, 0, DENET_LATER};
  denet_read_worker_begin(place.worker);
  for (size_t i = 0; i < DENET_COUNT_OF(names); i++)
    denet_read_worker_add(place.worker, pids[i], names[i], 100);
  denet_read_worker_read(place.worker);
  for (unsigned i = 0; i < DENET_COUNT_OF(names); i++)
    check(i, outcomes[i], "some text");
  for (int i = 0; i < 100; i++)
    ck_assert_int_eq(read_one(2, "file"), DENET_LATER);
  ck_assert_int_eq(read_one_until_known(1), 0);
  end_stalls("");
  ck_assert_int_eq(read_one_until_known(2), 0);
}
END_TEST

START_TEST(as_many_threads_as_may_stall_are_left_behind_and_come_back) {
  for (pid_t pid = 1; pid <= 64; pid++)
    ck_assert_int_eq(read_one(pid, "fifo"), DENET_LATER);
  ck_assert_int_eq(read_one(65, "file"), 0);
  ck_assert_int_eq(read_one(64, "file"), DENET_LATER);
  end_stalls("");
  for (pid_t pid = 1; pid <= 65; pid++)
    ck_assert_int_eq(read_one_until_known(pid), 0);
}
END_TEST

/* --- Single texts --- */

static uint64_t exec_stamp;

static int read_text(pid_t pid, const char *name, size_t limit) {
  struct denet_read_key key = {.pid = pid, .start_ticks = 7, .exec_stamp = exec_stamp};
  denet_buffer_clear(&place.text);
  return denet_read_worker_read_text(place.worker, &key, name, limit, &place.text);
}

/* Repeats the call until the text is there: on a busy machine any read may stall. */
static void check_text(pid_t pid, const char *name, size_t limit, int outcome, const char *text) {
  int got = DENET_LATER;
  for (int i = 0; i < 5000 && got == DENET_LATER; i++) {
    got = read_text(pid, name, limit);
    usleep(1 * 1000);
  }
  ck_assert_int_eq(got, outcome);
  ck_assert_str_eq(denet_buffer_text(&place.text).bytes, text);
}

START_TEST(a_text_is_read_at_once) {
  for (int i = 0; i < 3; i++)
    check_text(1, files[_i].name, files[_i].limit, files[_i].outcome, files[_i].text);
}
END_TEST

/* What may be read while a read of process 1 stalls. */
static const struct {
  pid_t pid;
  unsigned execs;
} others[] = {{2, 0}, {1, 0}, {1, 1}};

START_TEST(other_texts_are_read_during_a_stall) {
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  exec_stamp += others[_i].execs;
  check_text(others[_i].pid, "file", 100, 0, "some text");
  exec_stamp -= others[_i].execs;
  end_stalls("the text");
  check_text(1, "fifo", 100, 0, "the text");
  /* The text was taken; this is a read of its own. */
  check_text(1, "file", 100, 0, "some text");
}
END_TEST

static void replace_fifo(const char *text) {
  ck_assert_int_eq(unlinkat(place.dir, "fifo", 0), 0);
  proc_write(place.path, "fifo", text, strlen(text));
}

START_TEST(a_text_of_the_program_before_an_exec_is_not_taken_for_the_new_one) {
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  end_stalls("old");
  replace_fifo("new");
  exec_stamp++;
  check_text(1, "fifo", 100, 0, "new");
}
END_TEST

/* However long the interval of the passes is, and for all calls: the rules and the metadata line
 * need the same text. */
START_TEST(a_text_that_came_late_is_that_of_the_next_pass) {
  denet_read_worker_begin_pass(place.worker);
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  end_stalls("the text");
  usleep(2100 * 1000);
  denet_read_worker_begin_pass(place.worker);
  check_text(2, "file", 100, 0, "some text");
  check_text(1, "fifo", 100, 0, "the text");
  check_text(2, "file", 100, 0, "some text");
  ck_assert_int_eq(read_text(1, "fifo", 100), 0);
  ck_assert_str_eq(place.text.bytes, "the text");
  denet_read_worker_begin_pass(place.worker);
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  end_stalls("");
}
END_TEST

START_TEST(a_text_that_is_not_asked_for_is_dropped_and_gets_into_no_other_read) {
  ck_assert_int_eq(read_text(1, "fifo", 100), DENET_LATER);
  end_stalls("secret");
  usleep(2100 * 1000);
  denet_read_worker_begin_pass(place.worker);
  denet_read_worker_begin_pass(place.worker);
  for (int i = 0; i < 3; i++) {
    check_text(2, "file", 100, 0, "some text");
    check_text(3, "none", 100, -ENOENT, "");
  }
  replace_fifo("later");
  check_text(1, "fifo", 100, 0, "later");
}
END_TEST

START_TEST(a_thousand_stalls_are_not_waited_for_one_by_one) {
  uint64_t began_ns = denet_clock_monotonic_ns();
  for (pid_t pid = 1; pid <= 1000; pid++)
    ck_assert_int_eq(read_text(pid, "fifo", 100), DENET_LATER);
  /* 40 ms, and the delays of a busy machine; it would be 1,000 ms if each were waited for 1 ms. */
  ck_assert_uint_lt(denet_clock_monotonic_ns() - began_ns, 500 * MS);
  end_stalls("");
}
END_TEST

START_TEST(a_text_is_read_in_the_same_half_second_as_two_stalls) {
  int outcome = DENET_LATER;
  for (pid_t pid = 1; pid < 20 && outcome; pid += 3) { /* on a busy machine any read may stall */
    usleep((pid > 1 ? 500 : 0) * 1000);
    ck_assert_int_eq(read_text(pid, "fifo", 100), DENET_LATER);
    ck_assert_int_eq(read_text(pid + 1, "fifo", 100), DENET_LATER);
    outcome = read_text(pid + 2, "file", 100);
  }
  ck_assert_int_eq(outcome, 0);
  end_stalls("");
}
END_TEST

/* And free accepts NULL. */
START_TEST(the_end_does_not_wait_for_a_stall) {
  ck_assert_int_eq(_i ? read_text(1, "fifo", 100) : read_one(1, "fifo"), DENET_LATER);
  denet_read_worker_free(DENET_TAKE(place.worker));
  end_stalls("too late");
}
END_TEST

static void add(Suite *suite, const TTest *test, int rows) {
  tcase_add_checked_fixture(add_loop_case(suite, test->name, test, rows), make_place, remove_place);
}

void add_cases(Suite *suite) {
  add(suite, each_file_of_a_list_has_its_own_outcome, 1);
  add(suite, a_process_on_which_a_thread_stalls_is_left_out_with_all_its_files, 1);
  add(suite, as_many_threads_as_may_stall_are_left_behind_and_come_back, 1);
  add(suite, a_text_is_read_at_once, DENET_COUNT_OF(files));
  add(suite, other_texts_are_read_during_a_stall, DENET_COUNT_OF(others));
  add(suite, a_text_of_the_program_before_an_exec_is_not_taken_for_the_new_one, 1);
  add(suite, a_text_that_came_late_is_that_of_the_next_pass, 1);
  add(suite, a_text_that_is_not_asked_for_is_dropped_and_gets_into_no_other_read, 1);
  add(suite, a_thousand_stalls_are_not_waited_for_one_by_one, 1);
  add(suite, a_text_is_read_in_the_same_half_second_as_two_stalls, 1);
  add(suite, the_end_does_not_wait_for_a_stall, 2);
}
