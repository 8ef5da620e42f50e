/* The `ebpf` object of a line: where off-CPU time went. */
#pragma once

#include "core/groups/tree.h"
#include "core/util/json.h"

/* The only frame of off-CPU time that no stack of the lines stands for. */
#define DENET_NOT_SAMPLED "[not sampled]"

/* Writes the key and the object for the tree's processes; totals has their sums. Clears the tree's
 * stacks, which are those since the line before. Writes nothing if the tree's rule asks for no
 * stacks. */
void denet_record_off_cpu(struct denet_json *json, struct denet_tree *tree,
                          const struct denet_values *totals);
