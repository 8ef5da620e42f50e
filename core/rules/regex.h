/* A search for a POSIX extended regular expression, in time that grows with the text's length: the
 * C library's grows with its square, and whoever wrote the text may mean to keep us busy. */
#pragma once

#include "core/rules/pattern.h"

struct denet_regex; /* owned by whoever made it */

/* Compiles text, which the C library's regcomp() has accepted. 0; -EINVAL; -ENOMEM; -ENOTSUP for a
 * reference back to a group (\1), with which no search is quick. */
int denet_regex_new(const char *text, struct denet_regex **out_expression);
void denet_regex_free(struct denet_regex *expression);

/* How many groups the expression has. */
size_t denet_regex_groups(const struct denet_regex *expression);

/* What stands at the ends of a text that is not the beginning, or not the end, of a line. */
enum denet_regex_edge { DENET_REGEX_WHOLE, DENET_REGEX_NO_START, DENET_REGEX_NO_END };

/* Whether it is found in the text, which may hold any byte. If so its groups are stored in captures
 * from index first on, as far as there is room; captures may be NULL. */
bool denet_regex_finds(const struct denet_regex *expression, struct denet_text text,
                       enum denet_regex_edge edge, struct denet_captures *captures, size_t first);
