#include "core/store/repair.h"

#include "core/util/cleanup.h"
#include "core/util/error.h"
#include "tests/unit/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define LINE "{\"n\":1}\n"
#define LONG_BYTES 3000000

static const struct {
  struct denet_text text;
  uint64_t torn_bytes;
} ends[] = {
    {BYTES(""), 0},
    {BYTES(LINE), 0},
    {BYTES("{}\n"), 0},
    {BYTES(LINE LINE), 0},
    {BYTES("{"), 1},
    {BYTES("\n"), 1},
    {BYTES("{\"n\":1}"), 7},
    {BYTES(LINE "{"), 1},
    {BYTES(LINE "{\"n\":1}"), 7},
    {BYTES(LINE LINE "{\"n\""), 4},
    {BYTES(LINE "\0"), 1},
    {BYTES(LINE "\0\0\0\0"), 4},
    {BYTES(LINE "\0\0\0\n"), 4},
    {BYTES(LINE "{\"n\"\0\0\0\0}\n"), 10},
    {BYTES(LINE "{\"n\"\0\0\0\0}\n" LINE), 0},
    {BYTES(LINE "\0\0\0\0\"n\":1}\n"), 11},
    {BYTES(LINE "{\"n\"\0{\"a\":1}\n"), 13},
    {BYTES(LINE "\"n\":1}\n"), 7},
    {BYTES(LINE "{\"n\":\n"), 6},
    {BYTES(LINE "\n"), 1},
    {BYTES(LINE "\n\n" LINE), 0},
    {BYTES(LINE "{\n"), 2},
    {BYTES(LINE "}\n"), 2},
    {BYTES("\0\0\0\0"), 4},
    {BYTES("}\n"), 2},
    {BYTES("n\":1}\n"), 6},
    {BYTES("\n\n\n"), 3},
    {BYTES("n\":1}\n" LINE), 0},
    {BYTES(LINE "\xff\xfe"), 2},
};

/* A folder with the file "f" in it. */
struct scene {
  char path[64];
  int folder;
};

static struct scene begin(struct denet_text content) {
  struct scene scene = {.path = "/tmp/denet-repair-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(scene.path));
  scene.folder = open(scene.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ck_assert_int_ge(scene.folder, 0);
  DENET_CLOSE int fd = openat(scene.folder, "f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  ck_assert_int_eq(write(fd, content.bytes, content.length), (ssize_t)content.length);
  return scene;
}

static void end_scene(struct scene *scene) {
  unlinkat(scene->folder, "f", 0);
  unlinkat(scene->folder, "f", AT_REMOVEDIR);
  close(scene->folder);
  ck_assert_int_eq(rmdir(scene->path), 0);
}

static struct stat get_status(const struct scene *scene) {
  struct stat status;
  ck_assert_int_eq(fstatat(scene->folder, "f", &status, AT_SYMLINK_NOFOLLOW), 0);
  return status;
}

START_TEST(bytes_after_the_last_whole_line_are_cut_off_and_the_time_of_change_stays) {
  struct denet_text text = ends[_i].text;
  const struct timespec times[] = {{1000, 0}, {2000, 5}};
  uint64_t whole_bytes = text.length - ends[_i].torn_bytes, bytes = 12345;
  struct scene scene = begin(text);
  ck_assert_int_eq(utimensat(scene.folder, "f", times, 0), 0);
  int outcome = denet_repair_file(scene.folder, "f", &bytes);
  ck_assert_int_eq(outcome, whole_bytes ? 0 : DENET_GONE);
  if (whole_bytes) {
    struct stat status = get_status(&scene);
    ck_assert_uint_eq(bytes, whole_bytes);
    ck_assert_int_eq(status.st_size, (off_t)whole_bytes);
    ck_assert_int_eq(status.st_mtim.tv_sec, 2000);
    ck_assert_int_eq(status.st_mtim.tv_nsec, 5);
  } else {
    ck_assert_int_eq(faccessat(scene.folder, "f", F_OK, AT_SYMLINK_NOFOLLOW), -1);
  }
  end_scene(&scene);
  ck_assert_uint_eq(denet_repair_whole_bytes(text, true), whole_bytes);
  /* The end of a file may begin anywhere in a line, and has no other whole lines. */
  for (size_t from = 0; from < text.length; from++) {
    struct denet_text end = {text.bytes + from, text.length - from};
    size_t found = denet_repair_whole_bytes(end, false);
    ck_assert(!found || from + found == whole_bytes);
  }
}
END_TEST

START_TEST(lines_may_be_megabytes_long) {
  static char bytes[2 * LONG_BYTES];
  memset(bytes, 'x', LONG_BYTES);
  bytes[0] = '{';
  memcpy(bytes + LONG_BYTES - 2, "}\n", 2);
  memcpy(bytes + LONG_BYTES, bytes, LONG_BYTES);
  struct scene scene = begin((struct denet_text){bytes, sizeof(bytes)});
  uint64_t left = 0;
  ck_assert_int_eq(denet_repair_file(scene.folder, "f", &left), 0);
  ck_assert_uint_eq(left, sizeof(bytes));
  for (int cut = 1; cut <= 2; cut++) {
    DENET_CLOSE int fd = openat(scene.folder, "f", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, (off_t)sizeof(bytes) - cut), 0);
    ck_assert_int_eq(denet_repair_file(scene.folder, "f", &left), 0);
    ck_assert_uint_eq(left, LONG_BYTES);
    ck_assert_int_eq(pwrite(fd, bytes, LONG_BYTES, LONG_BYTES), LONG_BYTES);
  }
  end_scene(&scene);
}
END_TEST

START_TEST(end_that_takes_too_much_memory_stays) {
  struct scene scene = begin((struct denet_text)BYTES(LINE));
  uint64_t bytes = 0, size = (UINT64_C(65) << 20);
  DENET_CLOSE int fd = openat(scene.folder, "f", O_WRONLY | O_CLOEXEC);
  ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
  ck_assert_int_eq(denet_repair_file(scene.folder, "f", &bytes), -EFBIG);
  ck_assert_uint_eq(get_status(&scene).st_size, size);
  end_scene(&scene);
}
END_TEST

START_TEST(only_regular_files_are_touched) {
  struct scene scene = begin((struct denet_text)BYTES(LINE "torn"));
  uint64_t bytes = 0;
  ck_assert_int_eq(symlinkat("f", scene.folder, "link"), 0);
  ck_assert_int_eq(denet_repair_file(scene.folder, "link", &bytes), -ELOOP);
  ck_assert_int_eq(unlinkat(scene.folder, "link", 0), 0);
  ck_assert_int_eq(get_status(&scene).st_size, sizeof(LINE "torn") - 1);
  ck_assert_int_eq(unlinkat(scene.folder, "f", 0), 0);
  ck_assert_int_eq(denet_repair_file(scene.folder, "f", &bytes), -ENOENT);
  ck_assert_int_eq(mkfifoat(scene.folder, "f", 0600), 0);
  ck_assert_int_eq(denet_repair_file(scene.folder, "f", &bytes), -EINVAL);
  ck_assert(S_ISFIFO(get_status(&scene).st_mode));
  ck_assert_int_eq(unlinkat(scene.folder, "f", 0), 0);
  ck_assert_int_eq(mkdirat(scene.folder, "f", 0700), 0);
  ck_assert_int_eq(denet_repair_file(scene.folder, "f", &bytes), -EISDIR);
  end_scene(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, bytes_after_the_last_whole_line_are_cut_off_and_the_time_of_change_stays, ends);
  ADD_TEST(suite, lines_may_be_megabytes_long);
  ADD_TEST(suite, end_that_takes_too_much_memory_stays);
  ADD_TEST(suite, only_regular_files_are_touched);
}
