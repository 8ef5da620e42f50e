/* A search for a POSIX extended regular expression, in time that grows with the text's length: the
 * C library's grows with its square, and whoever wrote the text may mean to keep us busy. */
#pragma once

#include "core/rules/pattern.h"

struct denet_expression; /* owned by whoever made it */

/* Compiles text, which the C library's regcomp() has accepted. 0; -EINVAL; -ENOMEM; -ENOTSUP for a
 * reference back to a group (\1), with which no search is quick. */
int denet_expression_new(const char *text, struct denet_expression **out_expression);
void denet_expression_free(struct denet_expression *expression);

/* How many groups the expression has. */
size_t denet_expression_groups(const struct denet_expression *expression);

/* What stands at the ends of a text that is not the beginning, or not the end, of a line. */
enum denet_expression_edge {
  DENET_EXPRESSION_WHOLE,
  DENET_EXPRESSION_NO_START,
  DENET_EXPRESSION_NO_END
};

/* Whether it is found in the text, which may hold any byte. If so its groups are stored in captures
 * from index first on, as far as there is room; captures may be NULL. */
bool denet_expression_finds(const struct denet_expression *expression, struct denet_text text,
                            enum denet_expression_edge edge, struct denet_captures *captures,
                            size_t first);
