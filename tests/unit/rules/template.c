#include "core/rules/template.h"

#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define BIT(field) (1u << DENET_FIELD_##field)

static const struct denet_attributes postgres = {
    .pid = 4242,
    .field = {[DENET_FIELD_COMM] = BYTES("postgres: w"),
              [DENET_FIELD_EXECUTABLE] = BYTES("/usr/lib/postgresql/15/bin/postgres"),
              [DENET_FIELD_USER] = BYTES("www-data"),
              [DENET_FIELD_UNIT] = BYTES("postgresql@15.service\0inner.service"),
              [DENET_FIELD_USER_UNIT] = BYTES("a\\x2db.scope\0ax2db.scope"),
              [DENET_FIELD_CONTAINER] = BYTES("4c01db0b339c\0"
                                              "4c01db0b339c4c01"),
              [DENET_FIELD_POD] = BYTES("8a9f"),
              [DENET_FIELD_CGROUP] = BYTES("/system.slice/x")},
};
static const struct denet_captures captures = {
    .group = {BYTES("one"), {NULL, 0}, BYTES(""), BYTES("f\0u\xff"), [8] = BYTES("nine")}};

/* Appends the expansion for a process to "before ". The result is the caller's. */
static struct denet_buffer expand(const char *template, const struct denet_attributes *attributes) {
  const struct denet_rule rule = {.name = (char *)"pg", .instance = (char *)template};
  struct denet_buffer out = {0};
  ck_assert_int_eq(denet_buffer_append_string(&out, "before "), 0);
  ck_assert_int_eq(denet_template_expand(&rule, attributes, &captures, UINT_MAX, &out), 0);
  return out;
}

static const struct {
  const char *template;
  struct denet_text expected;
  unsigned uses;
} expanded[] = {
    {"%{rule}", BYTES("pg"), 0},
    {"%{comm}", BYTES("postgres: w"), BIT(COMM)},
    {"%{exe}", BYTES("postgres"), BIT(EXECUTABLE)},
    {"%{user}", BYTES("www-data"), BIT(USER)},
    {"%{unit}", BYTES("postgresql@15.service"), BIT(UNIT)},
    {"%{user_unit}", BYTES("a-b.scope"), BIT(USER_UNIT)},
    {"%{container}", BYTES("4c01db0b339c"), BIT(CONTAINER)},
    {"%{pod}", BYTES("8a9f"), BIT(POD)},
    {"%{cgroup}", BYTES("/system.slice/x"), BIT(CGROUP)},
    {"%{pid}", BYTES("4242"), DENET_USES_PID},
    {"%{slot}", BYTES("4294967295"), DENET_USES_SLOT},
    {"shard-%{1}", BYTES("shard-one"), DENET_USES_CAPTURE},
    {"[%{2}]", BYTES("[]"), DENET_USES_CAPTURE},
    {"[%{3}]", BYTES("[]"), DENET_USES_CAPTURE},
    {"%{4}", BYTES("f\0u\xff"), DENET_USES_CAPTURE},
    {"%{9}", BYTES("nine"), DENET_USES_CAPTURE},
    {"%{pid}-%{user}-%{pid}", BYTES("4242-www-data-4242"), DENET_USES_PID | BIT(USER)},
    {"", BYTES(""), 0},
    {"100%", BYTES("100%"), 0},
    {"%", BYTES("%"), 0},
    {"%%", BYTES("%"), 0},
    {"%%%", BYTES("%%"), 0},
    {"%%{pid}", BYTES("%{pid}"), 0},
    {"%%%{rule}", BYTES("%pg"), 0},
    {"%x%{pid}%d", BYTES("%x4242%d"), DENET_USES_PID},
    {"}{%{rule}}", BYTES("}{pg}"), 0},
    {"\xff%{rule}\n", BYTES("\xffpg\n"), 0},
};

START_TEST(template_expands_to_the_values_that_it_uses) {
  struct denet_error error = {""};
  unsigned uses = BIT(PID_FILE);
  ck_assert_msg(denet_template_check(expanded[_i].template, 9, &error, &uses) == 0, "%s",
                error.text);
  ck_assert_uint_eq(uses, expanded[_i].uses);
  DENET_CLEANUP(denet_buffer_done)
  struct denet_buffer out = expand(expanded[_i].template, &postgres);
  ck_assert_uint_eq(out.length, 7 + expanded[_i].expected.length);
  ck_assert_mem_eq(out.bytes, "before ", 7);
  ck_assert_mem_eq(out.bytes + 7, expanded[_i].expected.bytes, out.length - 7);
}
END_TEST

static const struct {
  struct denet_text comm, exe;
  const char *template, *expected;
} executables[] = {
    {BYTES("name"), {NULL, 0}, "%{exe}", "name"},
    {{NULL, 0}, {NULL, 0}, "<%{comm}%{exe}%{user}%{unit}%{cgroup}%{2}>", "<>"},
    {BYTES("name"), BYTES("/usr/bin/env"), "%{exe}", "env"},
    {BYTES("name"), BYTES("/env"), "%{exe}", "env"},
    {BYTES("name"), BYTES("/"), "%{exe}", ""},
    {BYTES("name"), BYTES(""), "%{exe}", ""},
    {BYTES("name"), {"/bin/envX", 8}, "%{exe}", "env"},
};

START_TEST(executable_is_named_by_what_follows_its_last_slash_and_else_by_the_name) {
  const struct denet_attributes own = {.field = {[DENET_FIELD_COMM] = executables[_i].comm,
                                                 [DENET_FIELD_EXECUTABLE] = executables[_i].exe}};
  DENET_CLEANUP(denet_buffer_done)
  struct denet_buffer out = expand(executables[_i].template, &own);
  ck_assert_str_eq(out.bytes + 7, executables[_i].expected);
}
END_TEST

static const struct {
  const char *template;
  size_t groups;
  const char *sentence;
} refused[] = {
    {"x-%{foo}", 0, "unknown placeholder %{foo} at character 3"},
    {"%{}", 9, "unknown placeholder %{} at character 1"},
    {"%{rules}", 9, "unknown placeholder %{rules} at character 1"},
    {"%{rul}", 9, "unknown placeholder %{rul} at character 1"},
    {"%{0}", 9, "unknown placeholder %{0} at character 1"},
    {"%{10}", 20, "unknown placeholder %{10} at character 1"},
    {"%{:}", 20, "unknown placeholder %{:} at character 1"},
    {"%{rule%{1}}", 9, "unknown placeholder %{rule%{1} at character 1"},
    {"%%%{foo}", 9, "unknown placeholder %{foo} at character 3"},
    {"%{0123456789012345678901234567890123456789tail}", 9,
     "unknown placeholder %{0123456789012345678901234567890123456789} at character 1"},
    {"%{", 9, "unclosed %{ at character 1"},
    {"%{rule}%{", 9, "unclosed %{ at character 8"},
    {"%{1}", 0, "%{1} at character 1: the regular expressions have no group 1"},
    {"%{1}%{3}", 2, "%{3} at character 5: the regular expressions have no group 3"},
};

START_TEST(bad_template_is_refused_with_its_position) {
  struct denet_error error = {""};
  unsigned uses = BIT(PID_FILE);
  int rc = denet_template_check(refused[_i].template, refused[_i].groups, &error, &uses);
  ck_assert_int_eq(rc, -EINVAL);
  ck_assert_str_eq(error.text, refused[_i].sentence);
  ck_assert_uint_eq(uses, BIT(PID_FILE));
}
END_TEST

START_TEST(long_templates_and_values_are_expanded_whole) {
  static char template[100 * 1024 + 8], value[100 * 1024];
  memset(template, 't', sizeof(template));
  strcpy(template + sizeof(template) - 8, "%{comm}");
  memset(value, 'v', sizeof(value));
  struct denet_attributes own = {.field = {[DENET_FIELD_COMM] = {value, sizeof(value)}}};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer out = expand(template, &own);
  ck_assert_uint_eq(out.length, 7 + 2 * sizeof(value));
  ck_assert_mem_eq(out.bytes + 7, template, sizeof(value));
  ck_assert_mem_eq(out.bytes + 7 + sizeof(value), value, sizeof(value));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, template_expands_to_the_values_that_it_uses, expanded);
  ADD_TABLE(suite, executable_is_named_by_what_follows_its_last_slash_and_else_by_the_name,
            executables);
  ADD_TABLE(suite, bad_template_is_refused_with_its_position, refused);
  ADD_TEST(suite, long_templates_and_values_are_expanded_whole);
}
