#include "core/source/procfs/proc_file.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* target: in the folder of the link; has_file: there is a file of this name. */
static const struct {
  const char *link, *target, *expected;
  bool has_file;
} rows[] = {
    {"9/exe", "tool", "tool", false},
    {"9/exe", "tool (deleted)", "tool", false},
    {"9/exe", "tool (deleted)", "tool (deleted)", true},
    {"9/exe", "tool (deleted) (deleted)", "tool (deleted)", false},
    {"9/cwd", "tool (deleted)", "tool (deleted)", false},
    {"9/an_exe", "tool (deleted)", "tool (deleted)", false},
};

START_TEST(only_what_the_kernel_has_appended_to_the_name_of_an_executable_is_cut) {
  struct denet_buffer text = {0};
  char folder[] = "/tmp/denet-link-XXXXXX", target[64];
  ck_assert_ptr_nonnull(mkdtemp(folder));
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int length = snprintf(target, sizeof(target), "%s/%s", folder, rows[_i].target);
  ck_assert_int_lt(length, (int)sizeof(target));
  ck_assert_int_eq(mkdirat(dir, "9", 0700), 0);
  ck_assert_int_eq(symlinkat("/", dir, "9/root"), 0);
  ck_assert_int_eq(symlinkat(target, dir, rows[_i].link), 0);
  if (rows[_i].has_file)
    close(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ck_assert_int_eq(denet_proc_file_read(&text, dir, rows[_i].link, 100), 0);
  ck_assert_str_eq(denet_buffer_text(&text).bytes + strlen(folder) + 1, rows[_i].expected);
  unlinkat(dir, rows[_i].link, 0);
  unlinkat(dir, "9/root", 0);
  unlinkat(dir, "9", AT_REMOVEDIR);
  unlink(target);
  close(dir);
  rmdir(folder);
  denet_buffer_done(&text);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, only_what_the_kernel_has_appended_to_the_name_of_an_executable_is_cut, rows);
}
