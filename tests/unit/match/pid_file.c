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

/* Returns the pid in the file. 0: none, and *out_error says why. */
static pid_t read_file(const char *path, struct denet_error *out_error) {
  struct denet_pid_file file = {.pid = -1};
  *out_error = (struct denet_error){""};
  int error = denet_pid_file_read(path, &file, out_error);
  ck_assert_int_eq(!error, !out_error->text[0]);
  if (error) {
    ck_assert_int_eq(file.pid, -1);
    return 0;
  }
  struct stat status;
  ck_assert_int_eq(stat(path, &status), 0);
  ck_assert_uint_eq(file.owner, status.st_uid);
  ck_assert_uint_eq(file.written_ms / 1000, (uint64_t)status.st_mtim.tv_sec);
  return file.pid;
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

START_TEST(pid_is_a_number_alone_on_its_line) {
  struct place place = new_place(texts[_i].text);
  struct denet_error error;
  ck_assert_int_eq(read_file(place.file, &error), texts[_i].pid);
  link_to(&place, place.file);
  ck_assert_int_eq(read_file(place.link, &error), texts[_i].pid);
  ck_assert_ptr_nonnull(strstr(error.text, texts[_i].pid ? "" : "first line must be a pid"));
  remove_place(&place);
}
END_TEST

/* The target of a link, NULL for a FIFO in its place, and what the sentence says. */
static const struct {
  const char *target, *words;
} kinds[] = {
    {"/dev/zero", "is a device"},
    {"/", "is a folder"},
    {"/nowhere", "does not exist"},
    {"link", "loop of links"},
    {"/proc/self/root/nowhere", "link of /proc"},
    {"/proc/sys/kernel/pid_max", "is in /proc"},
    {NULL, "is a FIFO"},
};

START_TEST(only_a_regular_file_outside_of_proc_is_read) {
  struct place place = new_place(denet_text_of("1234"));
  struct denet_error error;
  if (kinds[_i].target)
    link_to(&place, kinds[_i].target);
  else
    ck_assert_int_eq(mkfifo(place.link, 0600), 0);
  ck_assert_int_eq(read_file(place.link, &error), 0);
  ck_assert_msg(strstr(error.text, kinds[_i].words) != NULL, "%s", error.text);
  remove_place(&place);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, pid_is_a_number_alone_on_its_line, texts);
  ADD_TABLE(suite, only_a_regular_file_outside_of_proc_is_read, kinds);
}
