/* Conditions that no process can meet, which are mistakes that look right. */
#pragma once

#include "core/rules/rule.h"

/* Writes a warning into error if no process can meet a condition on field with this pattern, with
 * what was probably meant; else leaves error as it is. setting holds the pattern without its marks.
 * Pure: whether a user or a file exists is not looked up. */
void denet_hint_write(enum denet_field field, enum denet_pattern_kind kind,
                      const struct denet_setting *setting, struct denet_error *error);
