/* DWARF expressions, as unwind tables have them: how a value is computed from registers and the
 * stack. The few of them that there are belong to linkage tables and signal frames. */
#pragma once

#include "cursor.h"
#include "walk.h"

/* Computes with cfa on the stack first if has_cfa. False where the expression is none, asks for
 * what is not known, or does not end. */
bool denet_expression_compute(struct denet_cursor expression, struct denet_walk *walk, bool has_cfa,
                              uint64_t cfa, uint64_t *out_value);
