/* The `ebpf` object of a line: where the time off the CPUs went. */
#pragma once

#include "core/groups/tree.h"
#include "core/util/json.h"

/* Writes the key and the object for the tree's processes, whose sums totals has; the tree's stacks
 * are new since the line before, and are cleared. Nothing where the tree's rule asks for no stacks.
 */
void denet_record_off_cpu(struct denet_json *json, struct denet_tree *tree,
                          const struct denet_values *totals);
