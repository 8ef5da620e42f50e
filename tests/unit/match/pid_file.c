#include "core/match/pid_file.h"

#include "core/util/buffer.h"
#include "tests/unit/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with a pid file. */
struct place {
  char folder[64], file[80], link[80];
};

static struct place new_place(struct denet_text text) {
  struct place place = {.folder = "/tmp/denet-pid-file-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(place.folder));
  snprintf(place.file, sizeof(place.file), "%s/file", place.folder);
  snprintf(place.link, sizeof(place.link), "%s/link", place.folder);
  FILE *file = fopen(place.file, "we");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(text.bytes, 1, text.length, file), text.length);
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

static const struct {
  struct denet_text text;
  pid_t pid; /* 0: none */
} texts[] = {
    {BYTES("1"), 1},
    {BYTES(" \t\r\n 4242 \v\f\r\n"), 4242},
    {BYTES("2147483647"), 2147483647},
    {BYTES("00042"), 42},
    {BYTES("4242\n/var/lib/postgresql/15/main\n1700000000\n5432\n"), 4242},
    {BYTES("4242 \n17"), 4242},
    {BYTES("2147483648"), 0},
    {BYTES("18446744073709551617"), 0},
    {BYTES("99999999999999999999999999999999999999"), 0},
    {BYTES("0"), 0},
    {BYTES("-1"), 0},
    {BYTES("+1"), 0},
    {BYTES(""), 0},
    {BYTES(" \n"), 0},
    {BYTES("x4242"), 0},
    {BYTES("4242x"), 0},
    {BYTES("42 42"), 0},
    {BYTES("42\t\v42\n"), 0},
    {BYTES("4\0"), 0},
    {BYTES("\0004"), 0},
};

START_TEST(pid_is_a_number_alone_on_its_line_and_has_the_owner_of_the_file) {
  struct place place = new_place(texts[_i].text);
  uid_t owner = 77;
  ck_assert_int_eq(read_file(place.file, &owner), texts[_i].pid);
  ck_assert_uint_eq(owner, texts[_i].pid ? geteuid() : 77);
  link_to(&place, place.file);
  ck_assert_int_eq(read_file(place.link, &owner), texts[_i].pid);
  remove_place(&place);
}
END_TEST

START_TEST(only_a_regular_file_outside_of_proc_is_read) {
  struct place place = new_place(denet_text_of("1234"));
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
  ADD_TABLE(suite, pid_is_a_number_alone_on_its_line_and_has_the_owner_of_the_file, texts);
  ADD_TEST(suite, only_a_regular_file_outside_of_proc_is_read);
}
