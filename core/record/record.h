/* The lines of a file (README.md), made from trees. Pure, except for the memory of the JSON text.
 */
#pragma once

#include "core/groups/tree.h"
#include "core/source/source.h"
#include "core/util/json.h"

/* What all metadata lines of a run have in common. Borrowed. */
struct denet_record_origin {
  const char *host;
  const char *boot_id; /* "" if unknown */
  const struct denet_source *source;
  const char *no_stacks; /* why a rule that asks for stacks has none */
};

/* Writes the metadata line of a tree. The text is borrowed from json. 0 or -ENOMEM. */
int denet_record_metadata(struct denet_json *json, const struct denet_record_origin *origin,
                          const struct denet_tree *tree, struct denet_text *out_line);

/* Writes the tree's next line: a `tree` if the rule follows children, else a `sample`; with the
 * exit status if the tree is over. ts_ms is Unix ms, now_ns boot time. cpu_usage is of the time
 * since the previous call for this tree. The text is borrowed, errors are as above. */
int denet_record_sample(struct denet_json *json, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns, struct denet_text *out_line);

/* Writes the key `ebpf` and its object, where off-CPU time went, for the tree's processes; totals
 * has their sums. Clears the tree's stacks, which are those since the line before. Writes nothing
 * if the tree's rule asks for no stacks. */
void denet_record_off_cpu(struct denet_json *json, struct denet_tree *tree,
                          const struct denet_values *totals);
