#include "core/match/pid_file.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with a pid file. */
struct place {
  char folder[64], file[80], link[80];
};

static struct place new_place(const char *text) {
  struct place place = {.folder = "/tmp/denet-pid-file-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(place.folder));
  snprintf(place.file, sizeof(place.file), "%s/file", place.folder);
  snprintf(place.link, sizeof(place.link), "%s/link", place.folder);
  FILE *file = fopen(place.file, "we");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
  return place;
}

static void remove_place(const struct place *place) {
  unlink(place->link);
  unlink(place->file);
  ck_assert_int_eq(rmdir(place->folder), 0);
}

static void link_to(const struct place *place, const char *target) {
  unlink(place->link);
  ck_assert_int_eq(symlink(target, place->link), 0);
}

static pid_t read_file(const char *path, uid_t *out_owner) {
  pid_t pid = -1;
  ck_assert_int_eq(denet_pid_file_read(path, &pid, out_owner), 0);
  return pid;
}

START_TEST(a_file_has_a_pid_and_an_owner) {
  struct place place = new_place(" 1234\n and more");
  uid_t owner = 77;
  ck_assert_int_eq(read_file(place.file, &owner), 1234);
  ck_assert_uint_eq(owner, geteuid());
  link_to(&place, place.file);
  ck_assert_int_eq(read_file(place.link, &owner), 1234);
  remove_place(&place);
}
END_TEST

START_TEST(only_a_regular_file_outside_of_proc_is_read) {
  struct place place = new_place("1234");
  uid_t owner = 77;
  char in_process[128];
  snprintf(in_process, sizeof(in_process), "/proc/%d/root%s", (int)getpid(), place.file);
  const char *const targets[] = {"/dev/zero", "/dev/tty", "/",
                                 "/nowhere",  in_process, "/proc/sys/kernel/pid_max"};
  for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
    link_to(&place, targets[i]);
    ck_assert_int_eq(read_file(place.link, &owner), 0);
  }
  unlink(place.link);
  ck_assert_int_eq(mkfifo(place.link, 0600), 0);
  ck_assert_int_eq(read_file(place.link, &owner), 0);
  ck_assert_uint_eq(owner, 77);
  remove_place(&place);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, a_file_has_a_pid_and_an_owner);
  ADD_TEST(suite, only_a_regular_file_outside_of_proc_is_read);
}
