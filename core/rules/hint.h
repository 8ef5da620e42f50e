/* Conditions that no process can meet, which are mistakes that look right. */
#pragma once

#include "core/rules/rule.h"

/* Writes a warning into error if no process can have a text that the condition's pattern matches,
 * with what was probably meant; else leaves error as it is. setting holds the pattern without its
 * marks. Pure: whether a user or a file exists is not looked up. */
void denet_hint_write(const struct denet_condition *condition, enum denet_pattern_kind kind,
                      const struct denet_setting *setting, struct denet_error *error);
