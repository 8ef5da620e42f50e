#include "core/util/json.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
#define BYTES(literal) {literal, sizeof(literal) - 1}
/* clang-format on */

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static struct denet_json json;

/* Checks the whole line. */
static void expect_line(const char *expected) {
  struct denet_text line;
  ck_assert_int_eq(denet_json_end(&json, &line), 0);
  ck_assert_str_eq(line.bytes, expected);
  ck_assert_uint_eq(line.length, strlen(expected));
}

static const struct {
  struct denet_text text;
  const char *expected; /* between the quotes */
} strings[] = {
    {BYTES(""), ""},
    {{NULL, 0}, ""},
    {BYTES("plain / text"), "plain / text"},
    {BYTES("\x7f"), "\x7f"},
    {BYTES("a\"b\\c\"\""), "a\\\"b\\\\c\\\"\\\""},
    {BYTES("\n\r\t\b\f"), "\\n\\r\\t\\b\\f"},
    {BYTES("a\0b\x01\x1b\x1f"), "a\\u0000b\\u0001\\u001B\\u001F"},
    /* Well-formed, RFC 3629: the first and last of each length. */
    {BYTES("\xC2\x80\xDF\xBF"), "\xC2\x80\xDF\xBF"},
    {BYTES("\xE0\xA0\x80\xEF\xBF\xBF"), "\xE0\xA0\x80\xEF\xBF\xBF"},
    {BYTES("\xED\x9F\xBF\xEE\x80\x80"), "\xED\x9F\xBF\xEE\x80\x80"},
    {BYTES("x\xF0\x90\x80\x80\xF4\x8F\xBF\xBFy"), "x\xF0\x90\x80\x80\xF4\x8F\xBF\xBFy"},
    /* A byte that nothing can begin with. */
    {BYTES("\x80"), BAD},
    {BYTES("a\x80z\xBF\xFE\xFF"), "a" BAD "z" BAD BAD BAD},
    {BYTES("\xF8\x88\x80\x80\x80"), BAD BAD BAD BAD BAD},
    /* Overlong, of two, three and four bytes. */
    {BYTES("\xC0\x80\xC1\xBF\xC0\xAF"), BAD BAD BAD BAD BAD BAD},
    {BYTES("\xE0\x80\xAF\xE0\x9F\xBF"), BAD BAD BAD BAD BAD BAD},
    {BYTES("\xF0\x80\x80\xAF\xF0\x8F\xBF\xBF"), BAD BAD BAD BAD BAD BAD BAD BAD},
    /* Surrogates; above U+10FFFF. */
    {BYTES("\xED\xA0\x80\xED\xBF\xBF"), BAD BAD BAD BAD BAD BAD},
    {BYTES("\xED\xA0\xBD\xED\xB8\x80"), BAD BAD BAD BAD BAD BAD},
    {BYTES("\xF4\x90\x80\x80\xF5\x80\x80\x80"), BAD BAD BAD BAD BAD BAD BAD BAD},
    /* Cut short, by the end and by something else. */
    {BYTES("\xC3"), BAD},
    {BYTES("\xE2\x82"), BAD BAD},
    {BYTES("ok\xF0\x9F\x98"), "ok" BAD BAD BAD},
    {BYTES("\xC3\x28\xE2\x28\xA1"), BAD "(" BAD "(" BAD},
    {BYTES("\xE2\x82\x28\xE2\n\""), BAD BAD "(" BAD "\\n\\\""},
    {BYTES("\xF0\x9F\x98\xC3\xA9\xC3\xC3\xA9"), BAD BAD BAD "\xC3\xA9" BAD "\xC3\xA9"},
};

START_TEST(string_is_utf8_whatever_went_in_and_is_not_read_beyond_its_length) {
  struct denet_text text = strings[_i].text;
  char expected[128];
  snprintf(expected, sizeof(expected), "{\"k\":\"%s\"}", strings[_i].expected);
  for (size_t length = 0; length <= text.length; length++) {
    DENET_FREE char *copy = malloc(length + 1);
    memcpy(copy + 1, text.bytes ? text.bytes : "", length); /* up to the end of its memory */
    denet_json_begin(&json);
    denet_json_string(&json, "k", (struct denet_text){text.bytes ? copy + 1 : NULL, length});
    if (length < text.length)
      ck_assert_int_eq(denet_json_end(&json, &(struct denet_text){0}), 0);
  }
  expect_line(expected);
}
END_TEST

static const struct {
  double value;
  const char *expected;
} decimals[] = {
    {0, "0.00"},
    {0.004, "0.00"},
    {0.005, "0.01"},
    {0.01, "0.01"},
    {0.1, "0.10"},
    {1, "1.00"},
    {2.5, "2.50"},
    {33.333333, "33.33"},
    {66.666666, "66.67"},
    {99.994, "99.99"},
    {99.999, "100.00"},
    {400, "400.00"},
    {12800.125, "12800.13"},
    {1e9, "1000000000.00"},
    {1e13 + 0.25, "10000000000000.25"},
    {1e15, "184467440737095516.15"},
    {1e300, "184467440737095516.15"},
};

START_TEST(decimal_has_two_places) {
  char expected[64];
  snprintf(expected, sizeof(expected), "{\"k\":%s}", decimals[_i].expected);
  denet_json_begin(&json);
  denet_json_decimal(&json, "k", decimals[_i].value);
  expect_line(expected);
}
END_TEST

START_TEST(line_is_whole_without_white_space_and_the_next_starts_afresh) {
  for (int i = 0; i < 3; i++) {
    denet_json_begin(&json);
    denet_json_array_open(&json, "a");
    denet_json_begin(&json); /* half a line is forgotten */
    denet_json_array_open(&json, "a");
    denet_json_unsigned(&json, NULL, 0);
    denet_json_unsigned(&json, NULL, UINT64_MAX);
    denet_json_decimal(&json, NULL, 2.5);
    denet_json_bool(&json, NULL, true);
    denet_json_bool(&json, NULL, false);
    denet_json_null(&json, NULL);
    denet_json_object_open(&json, NULL);
    denet_json_object_close(&json);
    denet_json_array_open(&json, NULL);
    denet_json_array_close(&json);
    denet_json_array_close(&json);
    denet_json_string(&json, "b", denet_text_of("{"));
    denet_json_object_open(&json, "c");
    denet_json_string(&json, "d", denet_text_of("["));
    denet_json_null(&json, "e");
    denet_json_object_close(&json);
    expect_line("{\"a\":[0,18446744073709551615,2.50,true,false,null,{},[]],\"b\":\"{\","
                "\"c\":{\"d\":\"[\",\"e\":null}}");
  }
}
END_TEST

static void leave_open(void) { denet_json_array_open(&json, "k"); }

static void close_twice(void) { denet_json_object_close(&json); }

static void omit_the_key(void) { denet_json_unsigned(&json, NULL, 1); }

static void (*const mistakes[])(void) = {leave_open, close_twice, omit_the_key};

START_TEST(mistake_of_grammar_gives_no_line) {
  struct denet_text line;
  denet_json_begin(&json);
  mistakes[_i]();
  ck_assert_int_eq(denet_json_end(&json, &line), -EINVAL);
  denet_json_begin(&json);
  expect_line("{}");
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, mistake_of_grammar_gives_no_line, mistakes);
  ADD_TABLE(suite, string_is_utf8_whatever_went_in_and_is_not_read_beyond_its_length, strings);
  ADD_TABLE(suite, decimal_has_two_places, decimals);
  ADD_TEST(suite, line_is_whole_without_white_space_and_the_next_starts_afresh);
}
