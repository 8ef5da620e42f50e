/* A pattern for one text: an exact text, a POSIX extended regular expression, or a glob. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>

#define DENET_CAPTURES 9

enum denet_pattern_kind {
  DENET_PATTERN_EXACT,
  DENET_PATTERN_REGEX, /* regex(7), extended, unanchored; "(?i)" at its head: ignores case */
  DENET_PATTERN_REGEX_ANY_CASE, /* a regex that ignores case */
  DENET_PATTERN_GLOB,           /* glob(7) on the whole text; * matches / too */
};

/* A regex searches at most so many bytes: of a longer text the first half and the last half of so
 * many, as one text. In place of what is between them stands one byte 1, which "." matches. */
#define DENET_PATTERN_TEXT (1 << 14)

struct denet_pattern; /* owned by its maker */

/* The values of %{1}..%{9}: views into the text that matched; absent for a group that took no part
 * in the match. A group that begins in the first half of a long text and ends in the last one has
 * all that is between them. */
struct denet_captures {
  struct denet_text group[DENET_CAPTURES];
};

/* Compiles text. 0; -EINVAL with a sentence that says what is wrong and at which character (a byte,
 * counted from 1); -ENOMEM with a sentence. "" is refused, and so is a glob with an open '['. */
int denet_pattern_new(enum denet_pattern_kind kind, const char *text, struct denet_error *error,
                      struct denet_pattern **out_pattern);
void denet_pattern_free(struct denet_pattern *pattern); /* NULL is fine */

/* Returns the only text that an exact pattern or a glob without wildcards matches, borrowed; NULL
 * for another pattern. */
const char *denet_pattern_literal(const struct denet_pattern *pattern);

/* Returns how many groups the regex has; 0 for another kind. */
size_t denet_pattern_groups(const struct denet_pattern *pattern);

/* Returns whether text matches. A NUL inside text ends it, and one must stand at text.length (as in
 * a denet_buffer). An absent text matches nothing. A regex that matches stores its groups in
 * captures from index first on, as far as there is room; captures may be NULL. */
bool denet_pattern_matches(const struct denet_pattern *pattern, struct denet_text text,
                           struct denet_captures *captures, size_t first);
