#include "tests/unit/unit.h"

#include <stdlib.h>

int main(int argc, char **argv) {
  Suite *suite = suite_create(argv[0]);
  add_cases(suite);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
