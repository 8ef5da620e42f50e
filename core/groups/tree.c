#include "core/groups/tree.h"

#include <errno.h>
#include <stdlib.h>

void denet_metadata_done(struct denet_metadata *metadata) {
  denet_buffer_done(&metadata->arguments);
  denet_buffer_done(&metadata->executable);
  denet_buffer_done(&metadata->user);
  denet_buffer_done(&metadata->unit);
  denet_buffer_done(&metadata->cgroup);
}

static void combine_members(const struct denet_tree *tree, struct denet_values *out_values) {
  struct denet_values part;
  *out_values = (struct denet_values){0};
  for (const struct denet_member *m = tree->first; m; m = m->next) {
    denet_usage_totals(m->process->usage, &part);
    denet_values_combine(out_values, &part);
  }
}

/* Keeps the totals of all counters, or of those that all processes of a network namespace share,
 * the same over a change of membership: called before it and after it. It walks all members, so one
 * pair of calls goes around many changes. */
static void carry_totals(struct denet_tree *tree, bool only_shared, bool before) {
  struct denet_values present;
  combine_members(tree, &present);
  for (unsigned m; denet_metric_set_take(&present.present, &m);) {
    bool is_shared = denet_metric_info[m].combine == DENET_MAX;
    if (denet_metric_info[m].kind != DENET_COUNTER || (only_shared && !is_shared))
      continue;
    denet_metric_set_add(&tree->ended.present, m);
    tree->ended.value[m] += before ? present.value[m] : -present.value[m];
  }
}

/* Returns another tree of the group with the same root, and so the same file, which writes lines if
 * is_silent is false and is silent otherwise; or NULL. */
static struct denet_tree *find_same_file(const struct denet_trees *trees,
                                         const struct denet_tree *tree, bool is_silent) {
  for (struct denet_tree *other = trees->first; other; other = other->next)
    if (other != tree && other->group == tree->group && other->pid == tree->pid &&
        other->born_ns == tree->born_ns && other->active_rule->rule.records &&
        other->is_silent == is_silent && (is_silent || !denet_tree_is_over(other)))
      return other;
  return NULL;
}

int denet_tree_create(struct denet_trees *trees, struct denet_active_rule *active_rule,
                      struct denet_group *group, struct denet_process *process, bool is_start,
                      struct denet_tree **out_tree) {
  struct denet_tree *tree = calloc(1, sizeof(*tree));
  if (!tree)
    return -ENOMEM;
  *tree = (struct denet_tree){
      .active_rule = active_rule,
      .group = group,
      .pid = process->pid,
      .parent_pid = process->parent_pid,
      .born_ns = process->born_ns,
      .young_since_ns = process->born_under_watch ? process->seen_ns : process->born_ns,
      .next = trees->first,
  };
  tree->is_silent = process->has_headed_tree && find_same_file(trees, tree, false);
  if (tree->next)
    tree->next->previous = tree;
  trees->first = tree;
  int error = denet_tree_join(trees, tree, process, is_start, false);
  if (error) {
    denet_tree_destroy(trees, tree);
    return error;
  }
  tree->root = tree->first;
  tree->line_ns = tree->root->line_ns;
  process->has_headed_tree = true;
  *out_tree = tree;
  return 0;
}

struct denet_tree *denet_tree_find_headed(const struct denet_trees *trees,
                                          const struct denet_active_rule *active_rule,
                                          const struct denet_group *group,
                                          const struct denet_process *process) {
  if (!process->has_headed_tree)
    return NULL;
  for (struct denet_tree *tree = trees->first; tree; tree = tree->next)
    if (tree->active_rule == active_rule && tree->group == group && tree->pid == process->pid &&
        tree->born_ns == process->born_ns && !tree->root)
      return tree;
  return NULL;
}

/* Returns a membership of the process in a tree of the group, or NULL. */
static struct denet_member *find_in_group(const struct denet_process *process,
                                          const struct denet_group *group) {
  struct denet_member *m = process->members;
  while (m && m->tree->group != group)
    m = m->next_of_process;
  return m;
}

int denet_tree_join(struct denet_trees *trees, struct denet_tree *tree,
                    struct denet_process *process, bool is_start, bool is_back) {
  struct denet_member *member = calloc(1, sizeof(*member));
  if (!member || !denet_process_use(process)) {
    free(member);
    return -ENOMEM;
  }
  *member = (struct denet_member){
      .process = process,
      .tree = tree,
      .counts = !find_in_group(process, tree->group),
      .skips_sample = !denet_metric_set_is_empty(&process->usage->counting),
      .line_ns = process->baseline == DENET_BASELINE_BIRTH ? process->born_ns : 0,
      .previous = tree->last,
      .next_of_process = process->members,
  };
  /* Its whole life at once would be a jump in a tree that has lines already. */
  if (tree->line_ns && !process->members && process->baseline == DENET_BASELINE_BIRTH_IN_RECORDS)
    process->baseline = DENET_BASELINE_FIRST_SEEN;
  bool carries = tree->first && !denet_metric_set_is_empty(&process->usage->counted);
  if (carries)
    carry_totals(tree, !is_back, true);
  process->members = member;
  *(tree->last ? &tree->last->next : &tree->first) = member;
  tree->last = member;
  if (is_back)
    tree->root = member;
  if (carries)
    carry_totals(tree, !is_back, false);
  trees->member_count++;
  if (member->counts)
    denet_group_join(tree->group, is_start);
  return 0;
}

bool denet_tree_is_ending(const struct denet_member *member) {
  return member->leaves || member->process->ended;
}

bool denet_tree_is_over(const struct denet_tree *tree) {
  for (const struct denet_member *m = tree->first; m; m = m->next)
    if (!denet_tree_is_ending(m))
      return false;
  return true;
}

/* Removes one member. The caller keeps the totals (carry_totals()). */
static void remove_member(struct denet_trees *trees, struct denet_member *member, uint64_t now_ns) {
  struct denet_tree *tree = member->tree;
  struct denet_member **link = &member->process->members;
  if (member->process->off_cpu)
    denet_wait_stats_add(&tree->extremes, &member->process->off_cpu->stats);
  while (*link != member)
    link = &(*link)->next_of_process;
  *link = member->next_of_process;
  struct denet_member *other = find_in_group(member->process, tree->group);
  if (member->counts && other)
    other->counts = true;
  else if (member->counts)
    denet_group_leave(tree->group, now_ns);
  if (!member->process->members)
    denet_usage_pause(member->process->usage);
  *(member->previous ? &member->previous->next : &tree->first) = member->next;
  *(member->next ? &member->next->previous : &tree->last) = member->previous;
  if (tree->root == member) {
    tree->root = NULL;
    tree->has_exit_status = member->process->has_exit_status;
    tree->exit_status = member->process->exit_status;
    tree->oom_killed = member->process->oom_killed;
  }
  trees->member_count--;
  free(member);
}

void denet_tree_remove_exited(struct denet_trees *trees, struct denet_tree *tree, uint64_t now_ns) {
  struct denet_member *m = tree->first;
  while (m && !denet_tree_is_ending(m))
    m = m->next;
  if (!m)
    return;
  carry_totals(tree, false, true);
  for (struct denet_member *next; m; m = next) {
    next = m->next;
    if (denet_tree_is_ending(m))
      remove_member(trees, m, now_ns);
  }
  carry_totals(tree, false, false);
}

void denet_tree_destroy(struct denet_trees *trees, struct denet_tree *tree) {
  bool has_file = !tree->is_silent && tree->active_rule->rule.records;
  struct denet_tree *heir = has_file ? find_same_file(trees, tree, true) : NULL;
  if (heir) {
    heir->is_silent = false;
    heir->stacks.lines = tree->stacks.lines;
  }
  if (tree->has_slot)
    denet_slots_give_back(&tree->active_rule->slots, tree->slot);
  *(tree->previous ? &tree->previous->next : &trees->first) = tree->next;
  if (tree->next)
    tree->next->previous = tree->previous;
  denet_metadata_done(&tree->metadata);
  denet_stack_counts_done(&tree->stacks);
  free(tree->file);
  free(tree);
}

void denet_trees_done(struct denet_trees *trees) {
  while (trees->first) {
    while (trees->first->first)
      remove_member(trees, trees->first->first, 0);
    denet_tree_destroy(trees, trees->first);
  }
}

struct denet_member *denet_tree_find(const struct denet_process *process,
                                     const struct denet_active_rule *active_rule) {
  for (struct denet_member *m = process->members; m; m = m->next_of_process)
    if (m->tree->active_rule == active_rule)
      return m;
  return NULL;
}

void denet_tree_totals(const struct denet_tree *tree, struct denet_values *out_totals) {
  struct denet_metric_set rest = tree->ended.present;
  combine_members(tree, out_totals);
  for (unsigned m; denet_metric_set_take(&rest, &m);)
    denet_values_set(out_totals, m, out_totals->value[m] + tree->ended.value[m]);
}
