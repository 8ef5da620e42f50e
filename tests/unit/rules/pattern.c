#include "core/rules/pattern.h"

#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <errno.h>
#include <string.h>

#define EXACT DENET_PATTERN_EXACT
#define REGEX DENET_PATTERN_REGEX
#define GLOB DENET_PATTERN_GLOB

static struct denet_pattern *compile(enum denet_pattern_kind kind, const char *text) {
  struct denet_pattern *pattern = NULL;
  struct denet_error error = {""};
  int rc = denet_pattern_new(kind, text, &error, &pattern);
  ck_assert_msg(rc == 0, "%s: %s", text, error.text);
  return pattern;
}

static const struct {
  enum denet_pattern_kind kind;
  const char *pattern;
  struct denet_text text;
  bool matches;
} matches[] = {
    {EXACT, "sshd", BYTES("sshd"), true},
    {EXACT, "sshd", BYTES("sshd "), false},
    {EXACT, "sshd", BYTES("ssh"), false},
    {EXACT, "sshd", BYTES("SSHD"), false},
    {EXACT, "sshd", BYTES("sshd\0tail"), true},
    {EXACT, "sshd", {NULL, 0}, false},
    {EXACT, "s.*", BYTES("sshd"), false},
    {EXACT, "[", BYTES("["), true},
    {EXACT, "\xff\xfe", BYTES("\xff\xfe"), true},

    {REGEX, "shard", BYTES("python shard.py"), true},
    {REGEX, "^shard", BYTES("python shard.py"), false},
    {REGEX, "^$", BYTES(""), true},
    {REGEX, "(?i)^SHARD", BYTES("shard"), true},
    {REGEX, "SHARD", BYTES("shard"), false},
    {DENET_PATTERN_REGEX_ANY_CASE, "SH(ard)$", BYTES("shaRD"), true},
    {DENET_PATTERN_REGEX_ANY_CASE, "(?i)SH[ard]+$", BYTES("shaRD"), true},
    {REGEX, "a.b", BYTES("a\nb"), true},
    {REGEX, "x{3}", BYTES("xxx"), true},
    {REGEX, "\\)", BYTES(")"), true},
    {REGEX, "[[:digit:]]+$", BYTES("pg12"), true},
    {REGEX, "after", BYTES("before\0after"), false},
    {REGEX, "before$", BYTES("before\0after"), true},
    {REGEX, "x", {NULL, 0}, false},
    {REGEX, "\xff", BYTES("a\xff\xc3"), true},

    {GLOB, "/usr/*/env", BYTES("/usr/local/bin/env"), true},
    {GLOB, "/usr/bin", BYTES("/usr/bin/env"), false},
    {GLOB, "*", BYTES(".hidden"), true},
    {GLOB, "?", BYTES("/"), true},
    {GLOB, "*", {NULL, 0}, false},
    {GLOB, "[!a]x", BYTES("ax"), false},
    {GLOB, "[]]", BYTES("]"), true},
    {GLOB, "[!]]", BYTES("]"), false},
    {GLOB, "[[:digit:]x]", BYTES("7"), true},
    {GLOB, "[[:]", BYTES(":"), true},
    {GLOB, "[\\]]", BYTES("]"), true},
    {GLOB, "\\[", BYTES("["), true},
    {GLOB, "\\*", BYTES("x"), false},
    {GLOB, "]", BYTES("]"), true},
    {GLOB, "a\\\\", BYTES("a\\"), true},
    {GLOB, "a", BYTES("a\0b"), true},
};

START_TEST(text_is_compared_as_the_kind_of_pattern_says) {
  struct denet_pattern *pattern = compile(matches[_i].kind, matches[_i].pattern);
  bool found = denet_pattern_matches(pattern, matches[_i].text, NULL, 0);
  ck_assert_msg(found == matches[_i].matches, "%s", matches[_i].pattern);
  denet_pattern_free(pattern);
}
END_TEST

static const struct {
  enum denet_pattern_kind kind;
  const char *pattern;
  const char *sentence;
} refused[] = {
    {REGEX, "", "Empty pattern at character 1"},
    {REGEX, "foo(", "Unmatched ( or \\( at character 4"},
    {REGEX, "(?i)", "Empty pattern at character 5"},
    {REGEX, "(?i)foo)", "Unmatched ) at character 8"},
    {REGEX, "x(?i)", "Invalid preceding regular expression at character 2"},
    {REGEX, "foo)", "Unmatched ) at character 4"},
    {REGEX, "(a[)]))", "Unmatched ) at character 7"},
    {REGEX, "\\\\)", "Unmatched ) at character 3"},
    {REGEX, "[\\])", "Unmatched ) at character 4"},
    {REGEX, "[^])])", "Unmatched ) at character 6"},
    {REGEX, "(a)(b", "Unmatched ( or \\( at character 4"},
    {REGEX, "foo[a-z", "Unmatched [, [^, [:, [., or [= at character 4"},
    {REGEX, "ab[[:nope:]]", "Invalid character class name at character 3"},
    {REGEX, "foo\\", "Trailing backslash at character 4"},
    {REGEX, "*a", "Invalid preceding regular expression at character 1"},
    {REGEX, "xa{2,1}", "Invalid content of \\{\\} at character 3"},
    {REGEX, "a{99999}", "Regular expression too big at character 2"},
    {REGEX, "(a)\\1", "A reference back to a group, such as \\1"},
    {GLOB, "/srv/[ab", "Unclosed [ at character 6"},
    {GLOB, "[]", "Unclosed [ at character 1"},
    {GLOB, "[!]", "Unclosed [ at character 1"},
    {GLOB, "[[:digit:]", "Unclosed [ at character 1"},
    {GLOB, "[a\\]", "Unclosed [ at character 1"},
    {GLOB, "[a\\", "Unclosed [ at character 1"},
    {GLOB, "[a]x[", "Unclosed [ at character 5"},
    {GLOB, "foo\\", "Nothing behind \\ at character 4"},
    {GLOB, "\\\\\\", "Nothing behind \\ at character 3"},
};

START_TEST(bad_pattern_is_refused_with_its_position) {
  struct denet_pattern *pattern = NULL;
  struct denet_error error = {""};
  int rc = denet_pattern_new(refused[_i].kind, refused[_i].pattern, &error, &pattern);
  ck_assert_int_eq(rc, -EINVAL);
  ck_assert_ptr_null(pattern);
  ck_assert_str_eq(error.text, refused[_i].sentence);
}
END_TEST

START_TEST(pattern_for_one_text_alone_is_literal) {
  static const struct {
    enum denet_pattern_kind kind;
    const char *pattern;
    bool is_literal;
  } patterns[] = {{EXACT, "a*", true},
                  {GLOB, "/bin/a", true},
                  {GLOB, "/bin/*", false},
                  {GLOB, "\\a", false},
                  {REGEX, "^a$", false}};
  for (size_t i = 0; i < DENET_COUNT_OF(patterns); i++) {
    struct denet_pattern *pattern = compile(patterns[i].kind, patterns[i].pattern);
    const char *literal = denet_pattern_literal(pattern);
    ck_assert_int_eq(literal && !strcmp(literal, patterns[i].pattern), patterns[i].is_literal);
    denet_pattern_free(pattern);
  }
}
END_TEST

/* Stands for a group that took no part; NULL for one that stays as it was. */
#define ABSENT "(absent)"

static const struct {
  enum denet_pattern_kind kind;
  const char *pattern;
  struct denet_text text;
  size_t first;
  size_t groups;
  bool matches;
  const char *expected[DENET_CAPTURES];
} captured[] = {
    {REGEX, "shard\\.py ([0-9]+)", BYTES("python shard.py 12"), 0, 1, true, {"12"}},
    {REGEX, "(a)(b)", BYTES("xab"), 0, 2, true, {"a", "b"}},
    {REGEX, "(a)(b)", BYTES("xab"), 3, 2, true, {NULL, NULL, NULL, "a", "b"}},
    {REGEX, "(a)|(b)", BYTES("b"), 0, 2, true, {ABSENT, "b"}},
    {REGEX, "(x*)y", BYTES("y"), 0, 1, true, {""}},
    {REGEX, "((a)b)", BYTES("ab"), 0, 2, true, {"ab", "a"}},
    {REGEX, "(.*)", BYTES("one\0two"), 0, 1, true, {"one"}},
    {REGEX, "(a)(b)", BYTES("ab"), 8, 2, true, {[8] = "a"}},
    {REGEX, "(a)", BYTES("a"), (size_t)-1, 1, true, {NULL}},
    {REGEX, "plain", BYTES("plain"), 0, 0, true, {NULL}},
    {REGEX, "(a)(b)", BYTES("ac"), 0, 2, false, {NULL}},
    {GLOB, "(a)", BYTES("(a)"), 0, 0, true, {NULL}},
    {EXACT, "(a)", BYTES("(a)"), 0, 0, true, {NULL}},
};

START_TEST(groups_are_stored_from_first_on_as_far_as_there_is_room) {
  struct denet_pattern *pattern = compile(captured[_i].kind, captured[_i].pattern);
  ck_assert_uint_eq(denet_pattern_groups(pattern), captured[_i].groups);
  struct denet_captures captures;
  for (size_t i = 0; i < DENET_CAPTURES; i++)
    captures.group[i] = denet_text_of("before");
  ck_assert_int_eq(denet_pattern_matches(pattern, captured[_i].text, &captures, captured[_i].first),
                   captured[_i].matches);
  for (size_t i = 0; i < DENET_CAPTURES; i++) {
    const char *expected = captured[_i].expected[i] ? captured[_i].expected[i] : "before";
    expect_text(captures.group[i], strcmp(expected, ABSENT) ? expected : NULL);
  }
  denet_pattern_free(pattern);
  denet_pattern_free(NULL);
}
END_TEST

#define LONG (100 * 1024)
#define HALF (DENET_PATTERN_TEXT / 2)

/* And where the first group begins and ends. */
static const struct {
  enum denet_pattern_kind kind;
  const char *pattern;
  bool matches;
  size_t start, end;
} long_texts[] = {
    {EXACT, "x", false, 0, 0},
    {REGEX, "x(end)$", true, LONG - 3, LONG},
    {REGEX, "^(xx)", true, 0, 2},
    {REGEX, "x$", false, 0, 0},
    {REGEX, "x{9}end", true, 0, 0},
    {REGEX, "y", false, 0, 0},
    /* Both ends are one text, and a group can have what is between them. */
    {REGEX, "^x.*end$", true, 0, 0},
    {REGEX, "^x+end$", false, 0, 0},
    {REGEX, "^xx(.*)nd$", true, 2, LONG - 2},
    {REGEX, "^(x+)[^x]", true, 0, HALF},
    {REGEX, "[^x](x+)end$", true, LONG - HALF, LONG - 3},
    {REGEX, "x([^x])x+end$", true, HALF, LONG - HALF},
    {REGEX, "^x+[^x]()x", true, LONG - HALF, LONG - HALF},
    {GLOB, "x*end", true, 0, 0},
    {GLOB, "*x*x*end", true, 0, 0},
    {GLOB, "*y*", false, 0, 0},
};

START_TEST(both_ends_of_a_text_of_100_kilobytes_are_searched_as_one) {
  static char bytes[LONG + 1];
  memset(bytes, 'x', LONG - 3);
  memcpy(bytes + LONG - 3, "end", 4);
  struct denet_pattern *pattern = compile(long_texts[_i].kind, long_texts[_i].pattern);
  struct denet_captures captures = {0};
  struct denet_text text = {bytes, LONG}, *group = &captures.group[1];
  ck_assert_int_eq(denet_pattern_matches(pattern, text, &captures, 1), long_texts[_i].matches);
  ck_assert_int_eq(denet_pattern_matches(pattern, text, NULL, 0), long_texts[_i].matches);
  if (long_texts[_i].end) {
    ck_assert_uint_eq((size_t)(group->bytes - bytes), long_texts[_i].start);
    ck_assert_uint_eq(group->length, long_texts[_i].end - long_texts[_i].start);
  }
  denet_pattern_free(pattern);
}
END_TEST

/* A search that tries each of 16,384 starts up to the end of the text takes seconds for these. */
static const char *const costly[] = {"([0-9]+)$", "(1|2)*c", "(.*)2(.*)c", "(1+1+)+2", "1.*1.*2"};

START_TEST(no_text_takes_long) {
  static char bytes[DENET_PATTERN_TEXT + 1];
  struct denet_captures captures = {0};
  memset(bytes, '1', sizeof(bytes) - 2);
  bytes[sizeof(bytes) - 2] = 'x';
  struct denet_pattern *pattern = compile(REGEX, costly[_i]);
  struct denet_text text = {bytes, sizeof(bytes) - 1};
  for (int i = 0; i < 4; i++)
    ck_assert(!denet_pattern_matches(pattern, text, &captures, 0));
  denet_pattern_free(pattern);
}
END_TEST

START_TEST(every_byte_can_be_matched_and_captured) {
  struct denet_pattern *pattern = compile(REGEX, "^=(.*)=$");
  for (int byte = 1; byte < 256; byte++) {
    char bytes[] = {'=', (char)byte, '=', '\0'};
    struct denet_captures captures = {0};
    struct denet_text text = {bytes, 3};
    ck_assert_msg(denet_pattern_matches(pattern, text, &captures, 0), "byte %d", byte);
    ck_assert_ptr_eq(captures.group[0].bytes, bytes + 1);
    ck_assert_uint_eq(captures.group[0].length, 1);
  }
  denet_pattern_free(pattern);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, text_is_compared_as_the_kind_of_pattern_says, matches);
  ADD_TEST(suite, pattern_for_one_text_alone_is_literal);
  ADD_TABLE(suite, bad_pattern_is_refused_with_its_position, refused);
  ADD_TABLE(suite, groups_are_stored_from_first_on_as_far_as_there_is_room, captured);
  ADD_TABLE(suite, both_ends_of_a_text_of_100_kilobytes_are_searched_as_one, long_texts);
  ADD_TABLE(suite, no_text_takes_long, costly);
  ADD_TEST(suite, every_byte_can_be_matched_and_captured);
}
