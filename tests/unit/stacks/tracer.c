#include "core/stacks/tracer.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const struct {
  int failure;
  const char *kernel, *sentence;
} failures[] = {
    {-EINVAL, "5.10.0-46-cloud-amd64",
     "stacks need Linux 5.15 or newer; this is 5.10.0-46-cloud-amd64"},
    {-EINVAL, "4.19", "stacks need Linux 5.15 or newer; this is 4.19"},
    {-EINVAL, "5.15.0", "the BPF programs cannot be loaded: Invalid argument"},
    {-EINVAL, "6.1.0", "the BPF programs cannot be loaded: Invalid argument"},
    {-EINVAL, "unknown", "the BPF programs cannot be loaded: Invalid argument"},
    {-EPERM, "5.10.0", "BPF is not permitted"},
};

START_TEST(failure_on_an_old_kernel_names_the_version_that_is_needed) {
  struct denet_error error = {0};
  ck_assert_int_eq(denet_tracer_explain(failures[_i].failure, failures[_i].kernel, &error),
                   failures[_i].failure);
  /* The remedy depends on the rights of the test (unit_util_capabilities). */
  size_t length = failures[_i].failure == -EPERM ? strlen(failures[_i].sentence) : SIZE_MAX;
  ck_assert_int_eq(strncmp(error.text, failures[_i].sentence, length), 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, failure_on_an_old_kernel_names_the_version_that_is_needed, failures);
}
