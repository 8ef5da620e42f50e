#include "core/rules/option.h"

#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

struct target {
  uint64_t interval_ns;
  unsigned count;
  uint64_t size_bytes;
  bool children;
  char *directory;
  unsigned colour;
};

static const char *const colours[] = {"red", "green", "blue", NULL};
static const char *const only_colour[] = {"grey", NULL};

static const struct denet_option options[] = {
    {"Interval", DENET_OPTION_SECONDS, offsetof(struct target, interval_ns), 0.01, 3600, NULL},
    {"Count", DENET_OPTION_COUNT, offsetof(struct target, count), 1, 100000, NULL},
    {"Size", DENET_OPTION_MEBIBYTES, offsetof(struct target, size_bytes), 0.5, 1048576, NULL},
    {"Children", DENET_OPTION_BOOLEAN, offsetof(struct target, children), 0, 0, NULL},
    {"Directory", DENET_OPTION_STRING, offsetof(struct target, directory), 0, 0, NULL},
    {"Colour", DENET_OPTION_WORD, offsetof(struct target, colour), 0, 0, colours},
    {"OnlyColour", DENET_OPTION_WORD, offsetof(struct target, colour), 0, 0, only_colour},
    {"AnyInterval", DENET_OPTION_SECONDS, offsetof(struct target, interval_ns), -1, INFINITY, NULL},
    {"AnyCount", DENET_OPTION_COUNT, offsetof(struct target, count), -1, INFINITY, NULL},
    {"AnySize", DENET_OPTION_MEBIBYTES, offsetof(struct target, size_bytes), -1, INFINITY, NULL},
};

static int set(struct target *target, const struct denet_setting *setting,
               struct denet_error *error) {
  return denet_option_set(options, DENET_COUNT_OF(options), target, setting, error);
}

static const struct {
  struct denet_setting setting;
  struct target expected;
} stored[] = {
    {NUMBER("Interval", 0.1), {.interval_ns = 100000000}},
    {NUMBER("Interval", 0.01), {.interval_ns = 10000000}},
    {NUMBER("Interval", 3600), {.interval_ns = UINT64_C(3600000000000)}},
    {NUMBER("interval", 1.0000000006), {.interval_ns = 1000000001}},
    {NUMBER("COUNT", 1), {.count = 1}},
    {NUMBER("AnyCount", UINT_MAX), {.count = UINT_MAX}},
    {NUMBER("Size", 64), {.size_bytes = 67108864}},
    {BOOLEAN("children", true), {.children = true}},
    {STRING("Colour", "red"), {.colour = 0}},
    {STRING("Colour", "Green"), {.colour = 1}},
    {STRING("colour", "BLUE"), {.colour = 2}},
};

START_TEST(value_is_stored_in_the_unit_of_its_field) {
  struct target target = {0};
  struct denet_error error = {"untouched"};
  ck_assert_int_eq(set(&target, &stored[_i].setting, &error), 0);
  ck_assert_uint_eq(target.interval_ns, stored[_i].expected.interval_ns);
  ck_assert_uint_eq(target.count, stored[_i].expected.count);
  ck_assert_uint_eq(target.size_bytes, stored[_i].expected.size_bytes);
  ck_assert_int_eq(target.children, stored[_i].expected.children);
  ck_assert_uint_eq(target.colour, stored[_i].expected.colour);
  ck_assert_str_eq(error.text, "untouched");
}
END_TEST

static const struct {
  struct denet_setting setting;
  const char *sentence; /* NULL: there is no such option */
} refused[] = {
    {NUMBER("Intervall", 1), NULL},
    {NUMBER("Interva", 1), NULL},
    {NUMBER("", 1), NULL},
    {NUMBER("Count", 0), "Count 0: must be a whole number from 1 to 100000"},
    {NUMBER("Count", 1.5), "Count 1.5: must be a whole number from 1 to 100000"},
    {NUMBER("Count", 100001), "Count 100001: must be a whole number from 1 to 100000"},
    {NUMBER("Count", NAN), "Count nan: must be a whole number from 1 to 100000"},
    {NUMBER("Interval", 0), "Interval 0: must be from 0.01 to 3600 seconds"},
    {NUMBER("Interval", 3600.5), "Interval 3600.5: must be from 0.01 to 3600 seconds"},
    {NUMBER("Size", 0.25), "Size 0.25: must be from 0.5 to 1048576 MiB"},
    {NUMBER("AnyInterval", 1e11), "AnyInterval 100000000000: must be from -1 to inf seconds"},
    {NUMBER("AnyInterval", -0.5), "AnyInterval -0.5: must be from -1 to inf seconds"},
    {NUMBER("AnySize", 0x1p44), "AnySize 17592186044416: must be from -1 to inf MiB"},
    {NUMBER("AnyCount", 0x1p32), "AnyCount 4294967296: must be a whole number from -1 to inf"},
    {STRING("Count", "many"), "Count \"many\": must be a number"},
    {BOOLEAN("Size", true), "Size true: must be a number"},
    {STRING("Children", "true"), "Children \"true\": must be true or false"},
    {NUMBER("children", 1), "children 1: must be true or false"},
    {STRING("Colour", "violet"), "Colour \"violet\": must be red, green or blue"},
    {STRING("Colour", "redd"), "Colour \"redd\": must be red, green or blue"},
    {STRING("OnlyColour", "red"), "OnlyColour \"red\": must be grey"},
    {NUMBER("Colour", 1), "Colour 1: must be a string in quotes"},
    {STRING("Directory", ""), "Directory \"\": must not be empty"},
    {BOOLEAN("Directory", false), "Directory false: must be a string in quotes"},
    {STRING("Count", "a\nb\x01\x7f"), "Count \"a?b??\": must be a number"},
};

START_TEST(refusal_names_option_and_value_and_leaves_the_target) {
  char directory[] = "before";
  struct target target = {1, 2, 3, true, directory, 1};
  const struct target before = target;
  struct denet_error error = {"untouched"};
  const char *sentence = refused[_i].sentence;
  ck_assert_int_eq(set(&target, &refused[_i].setting, &error),
                   sentence ? -EINVAL : DENET_UNKNOWN_OPTION);
  ck_assert_str_eq(error.text, sentence ? sentence : "untouched");
  ck_assert_mem_eq(&target, &before, sizeof(target));
}
END_TEST

START_TEST(long_string_is_copied_whole_and_replaces_the_one_before) {
  static char value[100001], first[sizeof(value)];
  memset(value, 'v', sizeof(value) - 1);
  memcpy(first, value, sizeof(value));
  struct denet_setting setting = STRING("directory", value);
  struct target target = {0};
  ck_assert_int_eq(set(&target, &setting, NULL), 0);
  memcpy(value, "other", sizeof("other"));
  ck_assert_str_eq(target.directory, first);
  ck_assert_int_eq(set(&target, &setting, NULL), 0);
  ck_assert_str_eq(target.directory, "other");
  free(target.directory);
}
END_TEST

START_TEST(long_value_does_not_hide_the_reason) {
  static char value[100001], key[1001];
  memset(value, 'v', sizeof(value) - 1);
  memset(key, 'k', sizeof(key) - 1);
  struct denet_setting setting = STRING(key, value);
  struct denet_error error = {""};
  ck_assert_int_eq(denet_setting_refuse(&setting, &error, "reason at %d", 7), -EINVAL);
  const char *tail = "vvv...\": reason at 7";
  ck_assert_uint_gt(strlen(error.text), strlen(tail));
  ck_assert_str_eq(error.text + strlen(error.text) - strlen(tail), tail);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, value_is_stored_in_the_unit_of_its_field, stored);
  ADD_TABLE(suite, refusal_names_option_and_value_and_leaves_the_target, refused);
  ADD_TEST(suite, long_string_is_copied_whole_and_replaces_the_one_before);
  ADD_TEST(suite, long_value_does_not_hide_the_reason);
}
