#include "core/util/name.h"

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(literal)                                                                             \
  { literal, sizeof(literal) - 1 }

#define TEN "0123456789"
#define EIGHTY_THREE TEN TEN TEN TEN TEN TEN TEN TEN "012"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static bool name_is_safe(const char *name) {
  size_t length = strlen(name);
  return length > 0 && length <= DENET_NAME_MAX && name[0] != '.' &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
             length;
}

static const struct {
  struct denet_text raw;
  const char *expected;
} names[] = {
    {BYTES("postgres"), "postgres"},
    {BYTES("AZaz09_.-"), "AZaz09_.-"},
    {BYTES("shard 1/2"), "shard_1_2"},
    {BYTES(""), "_"},
    {{NULL, 0}, "_"},
    {BYTES("."), "_"},
    {BYTES(".."), "_."},
    {BYTES("../../etc/passwd"), "_._.._etc_passwd"},
    {BYTES(".hidden"), "_hidden"},
    {BYTES("/"), "_"},
    {BYTES("a\0b"), "a_b"},
    {BYTES("\0"), "_"},
    {BYTES("caf\xc3\xa9"), "caf__"},
    {BYTES("\xff\xfe\x80"), "___"},
    {BYTES("a\nb\tc\x7f"), "a_b_c_"},
    {BYTES("(sd-pam)"), "_sd-pam_"},
    {BYTES("%s%n"), "_s_n"},
    {BYTES(HUNDRED), HUNDRED},
};

START_TEST(other_bytes_and_a_leading_dot_become_underscores) {
  denet_name name;
  denet_name_safe(names[_i].raw, name);
  ck_assert_str_eq(name, names[_i].expected);
  ck_assert(name_is_safe(name));
}
END_TEST

START_TEST(every_single_byte_gives_a_safe_name) {
  for (int byte = 0; byte < 256; byte++) {
    char raw = (char)byte;
    denet_name name;
    denet_name_safe((struct denet_text){&raw, 1}, name);
    ck_assert_msg(name_is_safe(name), "byte %d", byte);
    denet_name_distinct((struct denet_text){&raw, 1}, 0, name);
    ck_assert_msg(name_is_safe(name), "byte %d", byte);
  }
}
END_TEST

static const size_t long_lengths[] = {101, 127, 128, 4096, 100 * 1024};

START_TEST(names_that_differ_at_their_end_stay_distinct_when_cut) {
  size_t length = long_lengths[_i];
  char *raw = malloc(length);
  ck_assert_ptr_nonnull(raw);
  memset(raw, '.', length);
  denet_name one, two;
  denet_name_safe((struct denet_text){raw, length}, one);
  raw[length - 1] = '\0';
  denet_name_safe((struct denet_text){raw, length}, two);
  free(raw);
  ck_assert_str_ne(one, two);
  ck_assert(name_is_safe(one));
  ck_assert(name_is_safe(two));
}
END_TEST

static const struct {
  struct denet_text one, two;
} colliding[] = {
    {BYTES("a/b"), BYTES("a_b")},     {BYTES("a b"), BYTES("a\0b")}, {BYTES(".a"), BYTES("_a")},
    {BYTES(".."), BYTES("_.")},       {BYTES(""), BYTES("_")},       {BYTES("\xff"), BYTES("\xfe")},
    {BYTES("\xc3\xa9"), BYTES("??")},
};

START_TEST(names_that_collide_when_made_safe_stay_distinct) {
  denet_name one, two;
  denet_name_safe(colliding[_i].one, one);
  denet_name_safe(colliding[_i].two, two);
  ck_assert_str_eq(one, two);
  denet_name_distinct(colliding[_i].two, 0, two);
  ck_assert_str_ne(one, two);
  denet_name_distinct(colliding[_i].one, 0, one);
  ck_assert_str_ne(one, two);
  ck_assert(name_is_safe(one));
  ck_assert(name_is_safe(two));
}
END_TEST

/* The hash is FNV-1a of 64 bits; these are test vectors of it (isthe.com, test_fnv.c). */
START_TEST(distinct_name_keeps_the_start_and_shows_the_hash) {
  struct denet_text raw = BYTES(HUNDRED "x");
  denet_name name, safe;
  denet_name_distinct((struct denet_text)BYTES("foobar"), 0, name);
  ck_assert_str_eq(name, "foobar-85944171f73967e8");
  denet_name_distinct((struct denet_text){NULL, 0}, 0, name);
  ck_assert_str_eq(name, "_-cbf29ce484222325");
  denet_name_distinct((struct denet_text)BYTES("\0"), 0, name);
  ck_assert_str_eq(name, "_-af63bd4c8601b7df");
  denet_name_distinct((struct denet_text)BYTES(".."), 0, name);
  ck_assert_int_eq(strncmp(name, "_.-", 3), 0);
  denet_name_distinct(raw, 0, name);
  denet_name_safe(raw, safe);
  ck_assert_str_eq(name, safe);
  char expected[128];
  snprintf(expected, sizeof(expected), EIGHTY_THREE "-%016llx",
           (unsigned long long)denet_name_hash(raw));
  ck_assert_str_eq(safe, expected);
  ck_assert_uint_eq(strlen(safe), DENET_NAME_MAX);
}
END_TEST

START_TEST(each_attempt_gives_another_name_and_always_the_same) {
  static denet_name seen[600];
  const size_t count = sizeof(seen) / sizeof(seen[0]);
  struct denet_text raw = BYTES("postgres");
  for (unsigned i = 0; i < count; i++) {
    denet_name again;
    denet_name_distinct(raw, i, seen[i]);
    denet_name_distinct(raw, i, again);
    ck_assert_str_eq(seen[i], again);
    ck_assert(name_is_safe(seen[i]));
    for (unsigned k = 0; k < i; k++)
      ck_assert_str_ne(seen[i], seen[k]);
  }
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, other_bytes_and_a_leading_dot_become_underscores, names);
  ADD_TEST(suite, every_single_byte_gives_a_safe_name);
  ADD_TABLE(suite, names_that_differ_at_their_end_stay_distinct_when_cut, long_lengths);
  ADD_TABLE(suite, names_that_collide_when_made_safe_stay_distinct, colliding);
  ADD_TEST(suite, distinct_name_keeps_the_start_and_shows_the_hash);
  ADD_TEST(suite, each_attempt_gives_another_name_and_always_the_same);
}
