#include "core/rules/template.h"

#include "tests/unit/settings.h"

#include <errno.h>
#include <string.h>

static const struct denet_template_values values = {
    .rule = BYTES("pg"),
    .comm = BYTES("postgres"),
    .exe = BYTES("/usr/lib/postgresql/15/bin/postgres"),
    .user = BYTES("www-data"),
    .unit = BYTES("postgresql@15.service"),
    .cgroup = BYTES("/system.slice/x"),
    .pid = 4242,
    .slot = UINT64_MAX,
    .captures =
        {.group = {BYTES("one"), {NULL, 0}, BYTES(""), BYTES("f\0u\xff"), [8] = BYTES("nine")}},
};

static const struct {
  const char *template;
  struct denet_text expected;
} expanded[] = {
    {"%{rule}", BYTES("pg")},
    {"%{comm}", BYTES("postgres")},
    {"%{exe}", BYTES("postgres")},
    {"%{user}", BYTES("www-data")},
    {"%{unit}", BYTES("postgresql@15.service")},
    {"%{cgroup}", BYTES("/system.slice/x")},
    {"%{pid}", BYTES("4242")},
    {"%{slot}", BYTES("18446744073709551615")},
    {"shard-%{1}", BYTES("shard-one")},
    {"[%{2}]", BYTES("[]")},
    {"[%{3}]", BYTES("[]")},
    {"%{4}", BYTES("f\0u\xff")},
    {"%{9}", BYTES("nine")},
    {"%{1}%{9}%{rule}", BYTES("oneninepg")},
    {"", BYTES("")},
    {"plain", BYTES("plain")},
    {"100%", BYTES("100%")},
    {"%", BYTES("%")},
    {"%%", BYTES("%")},
    {"%%%", BYTES("%%")},
    {"%%%%", BYTES("%%")},
    {"%%{rule}", BYTES("%{rule}")},
    {"%%%{rule}", BYTES("%pg")},
    {"%x%{pid}%d", BYTES("%x4242%d")},
    {"{rule}", BYTES("{rule}")},
    {"}%{rule}}", BYTES("}pg}")},
    {"\xff%{rule}\n", BYTES("\xffpg\n")},
};

START_TEST(template_expands_to_the_values) {
  struct denet_error error = {""};
  ck_assert_msg(denet_template_check(expanded[_i].template, 9, &error, NULL) == 0, "%s",
                error.text);
  struct denet_buffer out = {0};
  ck_assert_int_eq(denet_buffer_append_string(&out, "before "), 0);
  ck_assert_int_eq(denet_template_expand(expanded[_i].template, &values, &out), 0);
  ck_assert_uint_eq(out.length, 7 + expanded[_i].expected.length);
  ck_assert_mem_eq(out.bytes, "before ", 7);
  ck_assert_mem_eq(out.bytes + 7, expanded[_i].expected.bytes, out.length - 7);
  denet_buffer_done(&out);
}
END_TEST

START_TEST(absent_values_expand_to_nothing) {
  static const struct denet_template_values nothing = {0};
  static const char all[] = "<%{rule}%{comm}%{exe}%{user}%{unit}%{cgroup}%{1}%{9}>";
  struct denet_buffer out = {0};
  ck_assert_int_eq(denet_template_expand(all, &nothing, &out), 0);
  ck_assert_str_eq(out.bytes, "<>");
  denet_buffer_done(&out);
}
END_TEST

static const struct {
  struct denet_text exe;
  const char *expected;
} executables[] = {
    {BYTES("/usr/bin/env"), "env"},
    {BYTES("env"), "env"},
    {BYTES("/env"), "env"},
    {BYTES("/"), ""},
    {BYTES("dir/"), ""},
    {BYTES(""), ""},
    {{"/bin/envX", 8}, "env"},
};

START_TEST(executable_is_named_by_what_follows_its_last_slash) {
  struct denet_template_values own = {.exe = executables[_i].exe};
  struct denet_buffer out = {0};
  ck_assert_int_eq(denet_template_expand("=%{exe}", &own, &out), 0);
  ck_assert_str_eq(out.bytes + 1, executables[_i].expected);
  denet_buffer_done(&out);
}
END_TEST

static const struct {
  const char *template;
  size_t groups;
  const char *sentence;
} refused[] = {
    {"x-%{foo}", 0, "unknown placeholder %{foo} at character 3"},
    {"%{}", 9, "unknown placeholder %{} at character 1"},
    {"%{Rule}", 9, "unknown placeholder %{Rule} at character 1"},
    {"%{ rule}", 9, "unknown placeholder %{ rule} at character 1"},
    {"%{rules}", 9, "unknown placeholder %{rules} at character 1"},
    {"%{rul}", 9, "unknown placeholder %{rul} at character 1"},
    {"%{0}", 9, "unknown placeholder %{0} at character 1"},
    {"%{10}", 20, "unknown placeholder %{10} at character 1"},
    {"%{:}", 20, "unknown placeholder %{:} at character 1"},
    {"%{-1}", 9, "unknown placeholder %{-1} at character 1"},
    {"%{rule%{1}}", 9, "unknown placeholder %{rule%{1} at character 1"},
    {"%%%{foo}", 9, "unknown placeholder %{foo} at character 3"},
    {"%{0123456789012345678901234567890123456789tail}", 9,
     "unknown placeholder %{0123456789012345678901234567890123456789} at character 1"},
    {"%{\xff}", 9, "unknown placeholder %{\xff} at character 1"},
    {"%{", 9, "unclosed %{ at character 1"},
    {"ab%{rule", 9, "unclosed %{ at character 3"},
    {"%{rule}%{", 9, "unclosed %{ at character 8"},
    {"%{1}", 0, "%{1} at character 1: the regular expressions have no group 1"},
    {"%{1}%{3}", 2, "%{3} at character 5: the regular expressions have no group 3"},
};

START_TEST(bad_template_is_refused_with_its_position) {
  struct denet_error error = {""};
  struct denet_template_uses uses = {.slot = true};
  int rc = denet_template_check(refused[_i].template, refused[_i].groups, &error, &uses);
  ck_assert_int_eq(rc, -EINVAL);
  ck_assert_str_eq(error.text, refused[_i].sentence);
  ck_assert(uses.slot);
  ck_assert(!uses.comm);
  ck_assert_int_eq(denet_template_check(refused[_i].template, refused[_i].groups, NULL, NULL),
                   -EINVAL);
}
END_TEST

static const struct {
  const char *template;
  struct denet_template_uses uses;
} used[] = {
    {"%{rule}", {0}},
    {"%{1}", {0}},
    {"%%{pid}", {0}},
    {"%{comm}", {.comm = true}},
    {"%{exe}", {.exe = true}},
    {"%{user}", {.user = true}},
    {"%{unit}", {.unit = true}},
    {"%{cgroup}", {.cgroup = true}},
    {"%{pid}", {.pid = true}},
    {"%{slot}", {.slot = true}},
    {"%{pid}-%{user}-%{pid}", {.pid = true, .user = true}},
};

START_TEST(uses_name_the_placeholders_of_the_template) {
  struct denet_template_uses uses = {.comm = true, .exe = true};
  ck_assert_int_eq(denet_template_check(used[_i].template, 1, NULL, &uses), 0);
  ck_assert_int_eq(uses.comm, used[_i].uses.comm);
  ck_assert_int_eq(uses.exe, used[_i].uses.exe);
  ck_assert_int_eq(uses.user, used[_i].uses.user);
  ck_assert_int_eq(uses.unit, used[_i].uses.unit);
  ck_assert_int_eq(uses.cgroup, used[_i].uses.cgroup);
  ck_assert_int_eq(uses.pid, used[_i].uses.pid);
  ck_assert_int_eq(uses.slot, used[_i].uses.slot);
}
END_TEST

START_TEST(long_templates_and_values_are_expanded_whole) {
  static char template[100 * 1024 + 8], value[100 * 1024];
  memset(template, 't', sizeof(template));
  memcpy(template + sizeof(template) - 8, "%{comm}", 8);
  memset(value, 'v', sizeof(value));
  struct denet_template_values own = {.comm = {value, sizeof(value)}};
  struct denet_buffer out = {0};
  ck_assert_int_eq(denet_template_check(template, 0, NULL, NULL), 0);
  ck_assert_int_eq(denet_template_expand(template, &own, &out), 0);
  ck_assert_uint_eq(out.length, 2 * sizeof(value));
  ck_assert_mem_eq(out.bytes, template, sizeof(value));
  ck_assert_mem_eq(out.bytes + sizeof(value), value, sizeof(value));
  denet_buffer_done(&out);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, template_expands_to_the_values, expanded);
  ADD_TEST(suite, absent_values_expand_to_nothing);
  ADD_TABLE(suite, executable_is_named_by_what_follows_its_last_slash, executables);
  ADD_TABLE(suite, bad_template_is_refused_with_its_position, refused);
  ADD_TABLE(suite, uses_name_the_placeholders_of_the_template, used);
  ADD_TEST(suite, long_templates_and_values_are_expanded_whole);
}
