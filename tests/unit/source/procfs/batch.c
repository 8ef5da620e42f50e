#include "core/source/procfs/batch.h"

#include "core/util/error.h"

#include "tests/unit/proc_scene.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A folder with a file, a link and a FIFO: whoever opens that is held up until somebody writes. */
struct place {
  char path[32];
  int folder;
  struct denet_batch *batch;
};

static struct place open_place(void) {
  struct place place = {.path = "/tmp/denet-batch-XXXXXX"};
  proc_path fifo, link;
  ck_assert_ptr_nonnull(mkdtemp(place.path));
  place.folder = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ck_assert_int_ge(place.folder, 0);
  proc_write(place.path, "file", "some text", 9);
  ck_assert_int_eq(symlink("where it leads", proc_join(place.path, "link", link)), 0);
  ck_assert_int_eq(mkfifo(proc_join(place.path, "held", fifo), 0600), 0);
  ck_assert_int_eq(denet_batch_new(place.folder, &place.batch), 0);
  return place;
}

static void close_place(struct place *place) {
  denet_batch_free(place->batch);
  close(place->folder);
  nftw(place->path, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Lets go whoever waits in the FIFO now. */
static void let_go(const struct place *place) {
  proc_path path;
  DENET_CLOSE int fd = open(proc_join(place->path, "held", path), O_WRONLY | O_NONBLOCK);
  ck_assert_int_ge(fd, 0);
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void check(const struct place *place, unsigned at, int outcome, const char *text) {
  struct denet_text got;
  ck_assert_int_eq(denet_batch_text(place->batch, at, &got), outcome);
  if (!outcome)
    ck_assert_str_eq(got.bytes, text);
}

/* One file in a batch of its own. */
static int read_one(const struct place *place, pid_t pid, const char *name) {
  struct denet_text text;
  denet_batch_begin(place->batch);
  unsigned at = denet_batch_add(place->batch, pid, name, 100);
  denet_batch_read(place->batch);
  return denet_batch_text(place->batch, at, &text);
}

static int wait_while_later(const struct place *place, pid_t pid) {
  int outcome = DENET_LATER;
  for (int i = 0; i < 5000 && outcome == DENET_LATER; i++) {
    outcome = read_one(place, pid, "file");
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return outcome;
}

static const struct {
  const char *name;
  size_t limit;
  int outcome;
  const char *text;
} files[] = {
    {"file", 100, 0, "some text"}, {"file", 4, 0, "some"},  {"link", 100, 0, "where it leads"},
    {"none", 100, -ENOENT, ""},    {".", 100, -EISDIR, ""},
};

START_TEST(each_file_of_a_batch_has_its_own_outcome) {
  struct place place = open_place();
  for (int round = 0; round < 3; round++) {
    denet_batch_begin(place.batch);
    for (size_t i = 0; i < DENET_COUNT_OF(files); i++)
      ck_assert_uint_eq(denet_batch_add(place.batch, 1, files[i].name, files[i].limit), i);
    denet_batch_read(place.batch);
    for (unsigned i = 0; i < DENET_COUNT_OF(files); i++)
      check(&place, i, files[i].outcome, files[i].text);
  }
  close_place(&place);
}
END_TEST

START_TEST(a_list_can_go_on_after_it_was_read) {
  struct place place = open_place();
  denet_batch_begin(place.batch);
  denet_batch_read(place.batch);
  for (unsigned i = 0; i < DENET_BATCH_FILES; i++) {
    ck_assert_uint_eq(denet_batch_room(place.batch), DENET_BATCH_FILES - i);
    ck_assert_uint_eq(denet_batch_add(place.batch, 1, i % 2 ? "none" : "file", 100), i);
    denet_batch_read(place.batch);
  }
  ck_assert_uint_eq(denet_batch_room(place.batch), 0);
  for (unsigned i = 0; i < DENET_BATCH_FILES; i++)
    check(&place, i, i % 2 ? -ENOENT : 0, "some text");
  close_place(&place);
}
END_TEST

START_TEST(who_holds_it_up_is_left_behind_with_all_its_files) {
  struct place place = open_place();
  static const char *const names[] = {"file", "held", "file", "held", "file", "none"};
  static const pid_t pids[] = {1, 2, 2, 3, 4, 2};
  static const int outcomes[] = {0, DENET_LATER, DENET_LATER, DENET_LATER, 0, DENET_LATER};
  denet_batch_begin(place.batch);
  for (size_t i = 0; i < DENET_COUNT_OF(names); i++)
    denet_batch_add(place.batch, pids[i], names[i], 100);
  denet_batch_read(place.batch);
  for (unsigned i = 0; i < DENET_COUNT_OF(names); i++)
    check(&place, i, outcomes[i], "some text");
  let_go(&place);
  close_place(&place);
}
END_TEST

START_TEST(it_is_not_looked_at_before_it_lets_go) {
  struct place place = open_place();
  ck_assert_int_eq(read_one(&place, 1, "held"), DENET_LATER);
  for (int i = 0; i < 100; i++)
    ck_assert_int_eq(read_one(&place, 1, "file"), DENET_LATER);
  ck_assert_int_eq(wait_while_later(&place, 2), 0);
  let_go(&place);
  ck_assert_int_eq(wait_while_later(&place, 1), 0);
  close_place(&place);
}
END_TEST

/* As many threads as can be held up have been; they come back one by one. */
START_TEST(many_are_left_behind_and_taken_up_again) {
  struct place place = open_place();
  for (pid_t pid = 1; pid <= 64; pid++)
    ck_assert_int_eq(read_one(&place, pid, "held"), DENET_LATER);
  ck_assert_int_eq(read_one(&place, 65, "file"), 0);
  ck_assert_int_eq(read_one(&place, 64, "file"), DENET_LATER);
  let_go(&place);
  for (pid_t pid = 1; pid <= 65; pid++)
    ck_assert_int_eq(wait_while_later(&place, pid), 0);
  close_place(&place);
}
END_TEST

START_TEST(the_end_waits_for_nobody) {
  struct place place = open_place();
  ck_assert_int_eq(read_one(&place, 1, "held"), DENET_LATER);
  denet_batch_free(place.batch);
  place.batch = NULL;
  let_go(&place);
  close_place(&place);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, each_file_of_a_batch_has_its_own_outcome);
  ADD_TEST(suite, a_list_can_go_on_after_it_was_read);
  ADD_TEST(suite, who_holds_it_up_is_left_behind_with_all_its_files);
  ADD_TEST(suite, it_is_not_looked_at_before_it_lets_go);
  ADD_TEST(suite, many_are_left_behind_and_taken_up_again);
  ADD_TEST(suite, the_end_waits_for_nobody);
}
