#include "core/source/procfs/aside.h"

#include "core/util/error.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* A folder with a file, and FIFOs: whoever opens one of those is held up until somebody writes. */
struct place {
  char path[32];
  int folder;
  struct denet_aside *aside;
  struct denet_buffer text;
  uint64_t exec_stamp; /* of who is looked at */
};

static void write_into(const struct place *place, const char *name, const char *text) {
  int fd = openat(place->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static struct place open_place(void) {
  struct place place = {.path = "/tmp/denet-aside-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(place.path));
  place.folder = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ck_assert_int_ge(place.folder, 0);
  ck_assert_int_eq(denet_aside_new(&place.aside), 0);
  write_into(&place, "file", "some text");
  return place;
}

static void close_place(struct place *place) {
  denet_aside_free(place->aside);
  denet_buffer_done(&place->text);
  DIR *entries = fdopendir(place->folder);
  for (struct dirent *entry; (entry = readdir(entries));)
    unlinkat(place->folder, entry->d_name, 0);
  closedir(entries);
  ck_assert_int_eq(rmdir(place->path), 0);
}

static void make_fifo(const struct place *place, const char *name) {
  ck_assert_int_eq(mkfifoat(place->folder, name, 0600), 0);
}

static void make_link(const struct place *place, const char *name, const char *target) {
  ck_assert_int_eq(symlinkat(target, place->folder, name), 0);
}

static int read_as(struct place *place, pid_t pid, const char *name, size_t limit) {
  struct denet_aside_key key = {.pid = pid, .start_ticks = 7, .exec_stamp = place->exec_stamp};
  denet_buffer_clear(&place->text);
  return denet_aside_read(place->aside, key, place->folder, name, limit, &place->text);
}

/* Until the read has brought something: on a busy machine any may be late. */
static int read_at_last(struct place *place, pid_t pid, const char *name, size_t limit) {
  int outcome = DENET_LATER;
  for (int i = 0; i < 5000 && outcome == DENET_LATER; i++) {
    outcome = read_as(place, pid, name, limit);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return outcome;
}

static uint64_t read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static const struct {
  const char *name;
  size_t limit;
  int outcome;
  const char *text;
} files[] = {
    {"file", 100, 0, "some text"}, {"file", 4, 0, "some"},  {"file", 0, 0, ""},
    {"none", 100, -ENOENT, ""},    {".", 100, -EISDIR, ""},
};

START_TEST(a_file_that_holds_nobody_up_is_read) {
  struct place place = open_place();
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(read_at_last(&place, 1, files[_i].name, files[_i].limit), files[_i].outcome);
    ck_assert_str_eq(denet_buffer_text(&place.text).bytes, files[_i].text);
  }
  close_place(&place);
}
END_TEST

START_TEST(who_is_held_up_gets_the_text_later) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  write_into(&place, "held", "at last");
  ck_assert_int_eq(read_at_last(&place, 1, "held", 100), 0);
  ck_assert_str_eq(place.text.bytes, "at last");
  /* It has been told; this is a read of its own. */
  ck_assert_int_eq(read_at_last(&place, 1, "file", 100), 0);
  ck_assert_str_eq(place.text.bytes, "some text");
  close_place(&place);
}
END_TEST

START_TEST(what_was_held_up_before_an_exec_is_not_taken_for_what_comes_after) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  write_into(&place, "held", "old");
  unlinkat(place.folder, "held", 0);
  write_into(&place, "held", "new");
  place.exec_stamp++;
  ck_assert_int_eq(read_at_last(&place, 1, "held", 100), 0);
  ck_assert_str_eq(place.text.bytes, "new");
  close_place(&place);
}
END_TEST

/* Nobody asks for it any more, and its place is another's. */
START_TEST(what_cannot_be_read_has_no_text_of_an_earlier_read) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  write_into(&place, "held", "secret");
  nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 100000000}, NULL);
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(read_at_last(&place, 2, "file", 100), 0);
    ck_assert_int_eq(read_at_last(&place, 3, "none", 100), -ENOENT);
    ck_assert_uint_eq(place.text.length, 0);
  }
  close_place(&place);
}
END_TEST

START_TEST(a_link_tells_where_it_leads_and_is_not_followed) {
  struct place place = open_place();
  make_link(&place, "exe", "file (deleted)");
  ck_assert_int_eq(read_at_last(&place, 1, "exe", 100), 0);
  ck_assert_str_eq(denet_buffer_text(&place.text).bytes, "file (deleted)");
  ck_assert_int_eq(read_at_last(&place, 1, "exe", 4), 0);
  ck_assert_str_eq(denet_buffer_text(&place.text).bytes, "file");
  close_place(&place);
}
END_TEST

START_TEST(two_files_of_one_process_are_told_apart) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  ck_assert_int_eq(read_at_last(&place, 1, "file", 100), 0);
  ck_assert_str_eq(place.text.bytes, "some text");
  write_into(&place, "held", "at last");
  ck_assert_int_eq(read_at_last(&place, 1, "held", 100), 0);
  ck_assert_str_eq(place.text.bytes, "at last");
  close_place(&place);
}
END_TEST

START_TEST(others_are_read_meanwhile) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  ck_assert_int_eq(read_at_last(&place, 2, "file", 100), 0);
  ck_assert_str_eq(place.text.bytes, "some text");
  write_into(&place, "held", "at last");
  ck_assert_int_eq(read_at_last(&place, 1, "held", 100), 0);
  ck_assert_str_eq(place.text.bytes, "at last");
  close_place(&place);
}
END_TEST

START_TEST(a_crowd_that_is_held_up_is_not_waited_for_one_by_one) {
  struct place place = open_place();
  make_fifo(&place, "held");
  uint64_t began_ns = read_clock();
  for (pid_t pid = 1; pid <= 1000; pid++)
    ck_assert_int_eq(read_as(&place, pid, "held", 100), DENET_LATER);
  /* 40 ms, and what a busy machine adds; 1,000 ms if each were waited for but 1 ms. */
  ck_assert_uint_lt(read_clock() - began_ns, 500 * MS);
  write_into(&place, "held", "");
  close_place(&place);
}
END_TEST

/* Those that hold nobody up are not made to wait for the next half second. */
START_TEST(two_that_are_held_up_make_no_other_late) {
  struct place place = open_place();
  make_fifo(&place, "held");
  int outcome = DENET_LATER;
  for (pid_t pid = 1; pid < 20 && outcome; pid += 3) { /* on a busy machine any may be late */
    nanosleep(&(struct timespec){.tv_nsec = pid > 1 ? 500000000 : 0}, NULL);
    ck_assert_int_eq(read_as(&place, pid, "held", 100), DENET_LATER);
    ck_assert_int_eq(read_as(&place, pid + 1, "held", 100), DENET_LATER);
    outcome = read_as(&place, pid + 2, "file", 100);
  }
  ck_assert_int_eq(outcome, 0);
  write_into(&place, "held", "");
  close_place(&place);
}
END_TEST

START_TEST(the_end_waits_for_nobody) {
  struct place place = open_place();
  make_fifo(&place, "held");
  ck_assert_int_eq(read_as(&place, 1, "held", 100), DENET_LATER);
  /* Held open, so that the one who is held up is let go when all is over. */
  denet_aside_free(place.aside);
  place.aside = NULL;
  write_into(&place, "held", "too late");
  close_place(&place);
}
END_TEST

START_TEST(an_end_without_a_beginning_is_fine) { denet_aside_free(NULL); }
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, a_file_that_holds_nobody_up_is_read, files);
  ADD_TEST(suite, who_is_held_up_gets_the_text_later);
  ADD_TEST(suite, what_was_held_up_before_an_exec_is_not_taken_for_what_comes_after);
  ADD_TEST(suite, what_cannot_be_read_has_no_text_of_an_earlier_read);
  ADD_TEST(suite, a_link_tells_where_it_leads_and_is_not_followed);
  ADD_TEST(suite, two_files_of_one_process_are_told_apart);
  ADD_TEST(suite, others_are_read_meanwhile);
  ADD_TEST(suite, a_crowd_that_is_held_up_is_not_waited_for_one_by_one);
  ADD_TEST(suite, two_that_are_held_up_make_no_other_late);
  ADD_TEST(suite, the_end_waits_for_nobody);
  ADD_TEST(suite, an_end_without_a_beginning_is_fine);
}
