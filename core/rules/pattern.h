/* A test on one text: the same, a POSIX extended regular expression, or a glob. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>

#define DENET_CAPTURES 9

enum denet_pattern_kind {
  DENET_PATTERN_EXACT,
  DENET_PATTERN_REGEX, /* regex(7), extended, unanchored */
  DENET_PATTERN_GLOB,  /* glob(7) on the whole text; * matches / too */
};

/* A regex looks at so many bytes: of a longer text at the first half and at the last half of so
 * many, each by itself. */
#define DENET_PATTERN_TEXT (1 << 14)

struct denet_pattern; /* owned by whoever made it */

/* What %{1}..%{9} stand for: views into the text that was matched; absent where a group took no
 * part. */
struct denet_captures {
  struct denet_text group[DENET_CAPTURES];
};

/* Compiles text. 0; -EINVAL with a sentence that says what is wrong and at which character
 * (a byte, counted from 1); -ENOMEM. "" is refused; a glob's '[' must be closed. */
int denet_pattern_new(enum denet_pattern_kind kind, const char *text, struct denet_error *error,
                      struct denet_pattern **out_pattern);
void denet_pattern_free(struct denet_pattern *pattern);

/* How many groups the expression has (0 unless it is a regex). */
size_t denet_pattern_groups(const struct denet_pattern *pattern);

/* Whether text matches. A NUL inside text ends it. For a match by a regex its groups are stored in
 * captures from index first on, as far as there is room; captures may be NULL; it is
 * untouched without a match. Absent text matches nothing. text must be NUL-terminated at
 * text.length (a denet_buffer's is). */
bool denet_pattern_matches(const struct denet_pattern *pattern, struct denet_text text,
                           struct denet_captures *captures, size_t first);
