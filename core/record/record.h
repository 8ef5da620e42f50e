/* The lines of denet-format.md, made from trees. Pure but for the JSON writer's memory. */
#pragma once

#include "core/groups/tree.h"
#include "core/source/source.h"
#include "core/util/json.h"

/* What every metadata line of this run says. Borrowed. */
struct denet_record_origin {
  const char *host;
  const char *boot_id;
  const struct denet_source *source;
  const char *no_stacks; /* why a rule that asked for stacks has none */
};

/* Writes the metadata line of a tree. The text is borrowed from json. 0 or -errno as
 * denet_json_text(). */
int denet_record_metadata(struct denet_json *json, const struct denet_record_origin *origin,
                          const struct denet_tree *tree, struct denet_text *out_line);

/* Writes the tree's next line: a `sample`, or a `tree` where the rule follows children. ts_ms is
 * Unix ms, now_ns boot time. cpu_usage is over the time since the line before, and this one becomes
 * the line before. A tree that is over gets its exit status. */
int denet_record_sample(struct denet_json *json, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns, struct denet_text *out_line);
