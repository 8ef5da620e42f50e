/* The frame of all unit tests: each program is one Check suite. */
#pragma once

#include <check.h>
#include <dirent.h>

/* Adds the test cases of a file; main() is in unit.c. */
void add_cases(Suite *suite);

/* Adds one test, or one for each row of a table, as a case of the same name. */
#define ADD_TEST(suite, test) add_loop_case(suite, #test, test, 1)
#define ADD_TABLE(suite, test, rows)                                                               \
  add_loop_case(suite, #test, test, (int)(sizeof(rows) / sizeof((rows)[0])))

/* Returns the case, for fixtures. */
static inline TCase *add_loop_case(Suite *suite, const char *name, const TTest *test, int rows) {
  TCase *test_case = tcase_create(name);
  tcase_set_timeout(test_case, 60);
  tcase_add_loop_test(test_case, test, 0, rows);
  suite_add_tcase(suite, test_case);
  return test_case;
}

/* Returns how many descriptors the process has open, and some more, always as many. */
static inline unsigned count_descriptors(void) {
  unsigned open_count = 0;
  DIR *entries = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(entries);
  while (readdir(entries))
    open_count++;
  closedir(entries);
  return open_count;
}
