/* The Instance option: a template such as "shard-%{1}", and its expansion for one process. */
#pragma once

#include "core/rules/pattern.h"
#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The values of the placeholders. An absent text expands to nothing, an absent exe to comm.
 * Everything is borrowed. */
struct denet_template_values {
  struct denet_text rule, comm, exe, user, unit, cgroup; /* exe is a path: its base name is used */
  uint64_t pid;
  uint64_t slot;
  struct denet_captures captures;
};

/* Which placeholders a template has. */
struct denet_template_uses {
  bool comm, exe, user, unit, cgroup, pid, slot;
};

/* Checks that every placeholder is known and closed, and that captures are within groups (how many
 * groups the rule's regexes have). "%%" is a percent sign, and so is a lone %. 0, or -EINVAL with a
 * sentence that says what is wrong and at which character (a byte, counted from 1). out_uses may be
 * NULL. */
int denet_template_check(const char *template, size_t groups, struct denet_error *error,
                         struct denet_template_uses *out_uses);

/* Appends the expansion of a checked template to out. 0 or -ENOMEM, then out holds a part of it. */
int denet_template_expand(const char *template, const struct denet_template_values *values,
                          struct denet_buffer *out);
