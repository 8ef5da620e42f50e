/* A search for a POSIX extended regular expression in time linear in the length of the text. The
 * search of the C library takes quadratic time, which any user of the host could exploit with a
 * long command line. */
#pragma once

#include "core/rules/pattern.h"

struct denet_regex; /* owned by its maker */

/* Compiles text, which the C library's regcomp() has accepted. 0 with the number of
 * its groups; -EINVAL; -ENOMEM; -ENOTSUP for a reference back to a group (\1): a search for it is
 * not linear. */
int denet_regex_new(const char *text, size_t *out_groups, struct denet_regex **out_regex);
void denet_regex_free(struct denet_regex *regex); /* NULL is fine */

/* Which part of a line the text is: ^ does not match at the start of a text without the line's
 * start, nor $ at the end of one without its end. */
enum denet_regex_edge { DENET_REGEX_WHOLE, DENET_REGEX_NO_START, DENET_REGEX_NO_END };

/* Returns whether the regex is found in text, which may hold any byte. If so, its groups are stored
 * in captures from index first on, as far as there is room; captures may be NULL. */
bool denet_regex_finds(const struct denet_regex *regex, struct denet_text text,
                       enum denet_regex_edge edge, struct denet_captures *captures, size_t first);
