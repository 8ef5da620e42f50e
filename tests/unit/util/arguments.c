#include "core/util/arguments.h"

#include "tests/unit/unit.h"

#include <string.h>

/* The lengths of the arguments before; after it, those of whole ones from both ends, with the
 * element between them. */
static const struct {
  const char *what;
  size_t before[8];
  size_t first, last; /* whole arguments that stay */
  const char *marker; /* NULL: all stay */
} cases[] = {
    {"none", {0}, 0, 0, NULL},
    {"one that just fits", {4096}, 1, 0, NULL},
    {"several that just fit", {1000, 2000, 1094}, 3, 0, NULL},
    {"a long one in the middle", {4, 5000, 5}, 1, 1, "[... 5001 bytes ...]"},
    {"a long one at the end", {4, 2, 5000}, 2, 0, "[... 5000 bytes ...]"},
    {"a long one at the start", {5000, 4, 2}, 0, 2, "[... 5001 bytes ...]"},
    {"one byte too many", {2000, 95, 2000}, 1, 1, "[... 96 bytes ...]"},
    {"more room at the end", {10, 3000, 3000, 900}, 1, 2, "[... 3001 bytes ...]"},
    {"a half and one more byte", {2048, 2048}, 0, 1, "[... 2049 bytes ...]"},
};

static void append(struct denet_buffer *buffer, size_t length, char letter) {
  if (buffer->length)
    denet_buffer_append(buffer, "", 1);
  for (; length; length--)
    denet_buffer_append(buffer, &letter, 1);
}

START_TEST(whole_arguments_stay_at_both_ends) {
  struct denet_buffer arguments = {0}, expected = {0};
  size_t count = 0;
  while (count < 8 && cases[_i].before[count])
    count++;
  for (size_t i = 0; i < count; i++) {
    append(&arguments, cases[_i].before[i], (char)('a' + i));
    if (i < cases[_i].first || i >= count - cases[_i].last)
      append(&expected, cases[_i].before[i], (char)('a' + i));
    if (cases[_i].marker && i + 1 == count - cases[_i].last) {
      append(&expected, 0, 0);
      denet_buffer_append_string(&expected, cases[_i].marker);
    }
  }
  denet_arguments_shorten(&arguments);
  ck_assert_uint_le(arguments.length, DENET_ARGUMENTS_MAX);
  ck_assert_msg(arguments.length == expected.length &&
                    (!expected.length || !memcmp(arguments.bytes, expected.bytes, expected.length)),
                "%s: %zu bytes, not %zu", cases[_i].what, arguments.length, expected.length);
  denet_buffer_done(&arguments);
  denet_buffer_done(&expected);
}
END_TEST

START_TEST(one_long_argument_keeps_its_start_and_its_end) {
  struct denet_buffer arguments = {0};
  append(&arguments, 5000, 'a');
  append(&arguments, 5000, 'b');
  denet_arguments_shorten(&arguments);
  const char *marker = arguments.bytes + strlen(arguments.bytes) + 1;
  const char *end = marker + strlen(marker) + 1;
  ck_assert_uint_eq(strspn(arguments.bytes, "a"), 2048);
  ck_assert_str_eq(marker, "[... 5945 bytes ...]");
  ck_assert_uint_eq(strspn(end, "b"), 2008);
  ck_assert_ptr_eq(end + 2008, arguments.bytes + arguments.length);
  ck_assert_uint_le(arguments.length, DENET_ARGUMENTS_MAX);
  denet_buffer_done(&arguments);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, whole_arguments_stay_at_both_ends, cases);
  ADD_TEST(suite, one_long_argument_keeps_its_start_and_its_end);
}
