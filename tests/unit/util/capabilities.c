#include "core/util/capabilities.h"

#include "tests/unit/unit.h"

#define BIT(name) DENET_CAPABILITY(name)
#define IO (BIT(SYS_PTRACE) | BIT(DAC_READ_SEARCH))
#define FORBIDS ", a sandbox, a security module or a user namespace forbids it"

static const struct {
  uint64_t needed, has;
  const char *expected;
} rows[] = {
    {BIT(SYS_PTRACE), 0, "no; this needs CAP_SYS_PTRACE"},
    {IO, BIT(BPF), "no; this needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"},
    {IO, BIT(SYS_PTRACE), "no; this needs CAP_DAC_READ_SEARCH"},
    {IO, BIT(DAC_READ_SEARCH), "no; this needs CAP_SYS_PTRACE"},
    {BIT(BPF) | BIT(PERFMON), BIT(BPF), "no; this needs CAP_PERFMON"},
    {BIT(SYS_PTRACE), IO, "no; although this process has CAP_SYS_PTRACE" FORBIDS},
    {IO, UINT64_MAX,
     "no; although this process has CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" FORBIDS},
};

START_TEST(only_what_is_lacking_is_named_as_the_remedy) {
  struct denet_error error;
  denet_capabilities_explain("no", rows[_i].needed, rows[_i].has, &error);
  ck_assert_str_eq(error.text, rows[_i].expected);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, only_what_is_lacking_is_named_as_the_remedy, rows);
}
