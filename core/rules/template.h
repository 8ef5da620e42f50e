/* The Instance option: a template such as "shard-%{1}", and its expansion for one process. */
#pragma once

#include "core/rules/rule.h"

/* Checks that every placeholder is known and closed, and that captures are within groups (how many
 * groups the rule's regexes have). "%%" is a percent sign, and so is a lone %. 0 with the uses of
 * the template (struct denet_rule), or -EINVAL with a sentence that says what is wrong and at which
 * character (a byte, counted from 1). */
int denet_template_check(const char *template, size_t groups, struct denet_error *error,
                         unsigned *out_uses);

/* Appends the expansion of the rule's checked template to out. An absent attribute or capture
 * expands to nothing, an executable to its base name, an absent one to the name of the process, a
 * unit to its unescaped name.
 * attributes, captures and slot may be unset if the template does not use them. 0 or -ENOMEM, then
 * out holds a part of it. */
int denet_template_expand(const struct denet_rule *rule, const struct denet_attributes *attributes,
                          const struct denet_captures *captures, unsigned slot,
                          struct denet_buffer *out);
