#include "core/util/json.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* clang-format off */
#define BYTES(literal) {literal, sizeof(literal) - 1}
/* clang-format on */

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static void json_freep(struct denet_json **json) { denet_json_free(*json); }

#define OWN_JSON DENET_CLEANUP(json_freep) struct denet_json *

static void expect_text(struct denet_json *json, const char *expected) {
  struct denet_text text;
  ck_assert_int_eq(denet_json_text(json, &text), 0);
  ck_assert_uint_eq(text.length, strlen(expected));
  ck_assert_mem_eq(text.bytes, expected, text.length);
}

static const struct {
  struct denet_text text;
  const char *expected; /* between the quotes */
} strings[] = {
    {BYTES(""), ""},
    {{NULL, 0}, ""},
    {BYTES("plain / text"), "plain / text"},
    {BYTES("\x7f"), "\x7f"},
    {BYTES("\""), "\\\""},
    {BYTES("\\"), "\\\\"},
    {BYTES("a\"b\\c\"\""), "a\\\"b\\\\c\\\"\\\""},
    {BYTES("\n\r\t"), "\\n\\r\\t"},
    {BYTES("\b\f"), "\\b\\f"},
    {BYTES("a\0b"), "a\\u0000b"},
    {BYTES("\x01\x1b\x1f"), "\\u0001\\u001B\\u001F"},
    /* Well-formed, RFC 3629: the first and last of each length. */
    {BYTES("\xC2\x80\xDF\xBF"), "\xC2\x80\xDF\xBF"},
    {BYTES("\xE0\xA0\x80\xEF\xBF\xBF"), "\xE0\xA0\x80\xEF\xBF\xBF"},
    {BYTES("\xED\x9F\xBF\xEE\x80\x80"), "\xED\x9F\xBF\xEE\x80\x80"},
    {BYTES("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
    {BYTES("x\xF0\x9F\x98\x80y"), "x\xF0\x9F\x98\x80y"},
    {BYTES("caf\xC3\xA9"), "caf\xC3\xA9"},
    /* A byte that nothing can begin with. */
    {BYTES("\x80"), BAD},
    {BYTES("\xBF"), BAD},
    {BYTES("a\x80z"), "a" BAD "z"},
    {BYTES("\xFE\xFF"), BAD BAD},
    {BYTES("\xF8\x88\x80\x80\x80"), BAD BAD BAD BAD BAD},
    /* Overlong. */
    {BYTES("\xC0\x80"), BAD BAD},
    {BYTES("\xC1\xBF"), BAD BAD},
    {BYTES("\xC0\xAF"), BAD BAD},
    {BYTES("\xE0\x80\xAF"), BAD BAD BAD},
    {BYTES("\xE0\x9F\xBF"), BAD BAD BAD},
    {BYTES("\xF0\x80\x80\xAF"), BAD BAD BAD BAD},
    {BYTES("\xF0\x8F\xBF\xBF"), BAD BAD BAD BAD},
    /* Surrogates. */
    {BYTES("\xED\xA0\x80"), BAD BAD BAD},
    {BYTES("\xED\xBF\xBF"), BAD BAD BAD},
    {BYTES("\xED\xA0\xBD\xED\xB8\x80"), BAD BAD BAD BAD BAD BAD},
    /* Above U+10FFFF. */
    {BYTES("\xF4\x90\x80\x80"), BAD BAD BAD BAD},
    {BYTES("\xF5\x80\x80\x80"), BAD BAD BAD BAD},
    /* Cut short, by the end and by something else. */
    {BYTES("\xC3"), BAD},
    {BYTES("\xE2\x82"), BAD BAD},
    {BYTES("\xF0\x9F\x98"), BAD BAD BAD},
    {BYTES("ok\xF0\x9F\x98"), "ok" BAD BAD BAD},
    {BYTES("\xC3\x28"), BAD "("},
    {BYTES("\xE2\x28\xA1"), BAD "(" BAD},
    {BYTES("\xE2\x82\x28"), BAD BAD "("},
    {BYTES("\xF0\x9F\x98\xC3\xA9"), BAD BAD BAD "\xC3\xA9"},
    {BYTES("\xC3\xC3\xA9"), BAD "\xC3\xA9"},
    {BYTES("\xE2\n\""), BAD "\\n\\\""},
};

START_TEST(string_is_utf8_whatever_went_in) {
  OWN_JSON json = denet_json_new();
  char expected[128];
  snprintf(expected, sizeof(expected), "\"%s\"", strings[_i].expected);
  denet_json_string(json, strings[_i].text);
  expect_text(json, expected);
}
END_TEST

START_TEST(string_is_not_read_beyond_its_length) {
  OWN_JSON json = denet_json_new();
  struct denet_text text = strings[_i].text;
  for (size_t length = 0; length <= text.length; length++) {
    DENET_FREE char *copy = malloc(length ? length : 1);
    ck_assert_ptr_nonnull(copy);
    if (length)
      memcpy(copy, text.bytes, length);
    denet_json_clear(json);
    denet_json_string(json, (struct denet_text){copy, length});
    struct denet_text out;
    ck_assert_int_eq(denet_json_text(json, &out), 0);
  }
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
  OWN_JSON json = denet_json_new();
  denet_json_decimal(json, decimals[_i].value);
  expect_text(json, decimals[_i].expected);
}
END_TEST

static const struct {
  uint64_t value;
  const char *expected;
} integers[] = {
    {0, "0"},
    {1, "1"},
    {INT64_MAX, "9223372036854775807"},
    {UINT64_MAX, "18446744073709551615"},
};

START_TEST(unsigned_integer_keeps_all_64_bits) {
  OWN_JSON json = denet_json_new();
  denet_json_unsigned(json, integers[_i].value);
  expect_text(json, integers[_i].expected);
}
END_TEST

static void write_everything(struct denet_json *json) {
  denet_json_object_open(json);
  denet_json_key(json, "a");
  denet_json_array_open(json);
  denet_json_unsigned(json, 1);
  denet_json_decimal(json, 2.5);
  denet_json_bool(json, true);
  denet_json_bool(json, false);
  denet_json_null(json);
  denet_json_object_open(json);
  denet_json_object_close(json);
  denet_json_array_close(json);
  denet_json_key(json, "b");
  denet_json_string(json, denet_text_of("c"));
  denet_json_object_close(json);
}

static const char everything[] = "{\"a\":[1,2.50,true,false,null,{}],\"b\":\"c\"}";

START_TEST(line_has_no_white_space_and_a_cleared_writer_starts_afresh) {
  OWN_JSON json = denet_json_new();
  for (int i = 0; i < 3; i++) {
    denet_json_clear(json);
    write_everything(json);
    expect_text(json, everything);
  }
}
END_TEST

START_TEST(half_a_line_is_forgotten_when_cleared) {
  OWN_JSON json = denet_json_new();
  denet_json_object_open(json);
  denet_json_key(json, "a");
  denet_json_array_open(json);
  denet_json_clear(json);
  write_everything(json);
  expect_text(json, everything);
}
END_TEST

static void value_without_key(struct denet_json *json) {
  denet_json_object_open(json);
  denet_json_unsigned(json, 1);
  denet_json_object_close(json);
}

static void object_as_key(struct denet_json *json) {
  denet_json_object_open(json);
  denet_json_object_open(json);
}

static void null_as_key(struct denet_json *json) {
  denet_json_object_open(json);
  denet_json_null(json);
}

static void two_values(struct denet_json *json) {
  denet_json_unsigned(json, 1);
  denet_json_unsigned(json, 2);
}

static void (*const mistakes[])(struct denet_json *) = {value_without_key, object_as_key,
                                                        null_as_key, two_values};

START_TEST(mistake_in_the_grammar_lasts_until_the_text_is_cleared) {
  OWN_JSON json = denet_json_new();
  struct denet_text text = {"untouched", 9};
  mistakes[_i](json);
  ck_assert_int_eq(denet_json_text(json, &text), -EINVAL);
  ck_assert_int_eq(denet_json_text(json, &text), -EINVAL);
  ck_assert_str_eq(text.bytes, "untouched");
  denet_json_clear(json);
  write_everything(json);
  expect_text(json, everything);
}
END_TEST

START_TEST(line_that_was_not_closed_is_no_line) {
  OWN_JSON json = denet_json_new();
  struct denet_text text;
  denet_json_object_open(json);
  denet_json_key(json, "a");
  denet_json_unsigned(json, 1);
  ck_assert_int_eq(denet_json_text(json, &text), -EINVAL);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, string_is_utf8_whatever_went_in, strings);
  ADD_TABLE(suite, string_is_not_read_beyond_its_length, strings);
  ADD_TABLE(suite, decimal_has_two_places, decimals);
  ADD_TABLE(suite, unsigned_integer_keeps_all_64_bits, integers);
  ADD_TEST(suite, line_has_no_white_space_and_a_cleared_writer_starts_afresh);
  ADD_TEST(suite, half_a_line_is_forgotten_when_cleared);
  ADD_TABLE(suite, mistake_in_the_grammar_lasts_until_the_text_is_cleared, mistakes);
  ADD_TEST(suite, line_that_was_not_closed_is_no_line);
}
