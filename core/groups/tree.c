#include "core/groups/tree.h"

#include <errno.h>
#include <stdlib.h>

/* Returns the maximum over the present members. */
static uint64_t find_maximum(const struct denet_tree *tree, unsigned metric) {
  uint64_t maximum = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next) {
    uint64_t total = denet_usage_total(m->process->usage, metric);
    maximum = total > maximum ? total : maximum;
  }
  return maximum;
}

static bool is_shared_counter(unsigned metric) {
  return denet_metric_info[metric].kind == DENET_COUNTER &&
         denet_metric_info[metric].combine == DENET_MAX;
}

static bool has_shared_counter(const struct denet_process *process) {
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (is_shared_counter(m) && denet_metric_set_has(&process->usage->counted, m))
      return true;
  return false;
}

/* Keeps the totals of maxima the same over a change of membership: called before it and after it.
 * It walks all members, so one pair of calls goes around many changes. */
static void carry_maxima(struct denet_tree *tree, bool before) {
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    if (!is_shared_counter(m))
      continue;
    uint64_t maximum = find_maximum(tree, m);
    for (const struct denet_member *member = tree->first; member; member = member->next)
      if (denet_metric_set_has(&member->process->usage->counted, m))
        denet_metric_set_add(&tree->ended.present, m);
    tree->ended.value[m] += before ? maximum : -maximum;
  }
}

static bool has_same_file(const struct denet_tree *a, const struct denet_tree *b) {
  return a != b && a->group == b->group && a->pid == b->pid && a->born_ns == b->born_ns;
}

/* Returns whether another tree of the group has the same root, and so the same file. */
static bool is_file_taken(const struct denet_trees *trees, const struct denet_tree *tree) {
  for (const struct denet_tree *other = trees->first; other; other = other->next)
    if (has_same_file(other, tree) && other->active_rule->rule.records && !other->is_silent &&
        !denet_tree_is_over(other))
      return true;
  return false;
}

/* Gives the file of a tree that ends to a silent tree with the same root, if there is one. */
static void hand_over_file(struct denet_trees *trees, const struct denet_tree *tree) {
  if (tree->is_silent || !tree->active_rule->rule.records)
    return;
  for (struct denet_tree *other = trees->first; other; other = other->next) {
    if (has_same_file(other, tree) && other->is_silent && other->active_rule->rule.records) {
      other->is_silent = false;
      denet_stack_counts_continue(&other->stacks, &tree->stacks);
      return;
    }
  }
}

int denet_tree_create(struct denet_trees *trees, struct denet_active_rule *active_rule,
                      struct denet_group *group, struct denet_process *process, bool is_start,
                      struct denet_tree **out_tree) {
  struct denet_tree *tree = calloc(1, sizeof(*tree));
  if (!tree)
    return -ENOMEM;
  tree->active_rule = active_rule;
  tree->group = group;
  tree->pid = process->pid;
  tree->parent_pid = process->parent_pid;
  tree->born_ns = process->born_ns;
  tree->young_since_ns = process->born_under_watch ? process->seen_ns : process->born_ns;
  tree->is_silent = process->has_headed_tree && is_file_taken(trees, tree);
  tree->next = trees->first;
  if (tree->next)
    tree->next->previous = tree;
  trees->first = tree;
  int error = denet_tree_join(trees, tree, process, is_start);
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

static bool is_in_group(const struct denet_process *process, const struct denet_group *group) {
  for (const struct denet_member *m = process->members; m; m = m->next_of_process)
    if (m->counts && m->tree->group == group)
      return true;
  return false;
}

int denet_tree_join(struct denet_trees *trees, struct denet_tree *tree,
                    struct denet_process *process, bool is_start) {
  struct denet_member *member = calloc(1, sizeof(*member));
  if (!member || !denet_process_use(process)) {
    free(member);
    return -ENOMEM;
  }
  member->process = process;
  member->tree = tree;
  member->counts = !is_in_group(process, tree->group);
  member->skips_sample = !denet_metric_set_is_empty(&process->usage->counting);
  if (process->baseline == DENET_BASELINE_BIRTH)
    member->line_ns = process->born_ns;
  bool moves_maxima = tree->first && has_shared_counter(process);
  /* Its whole life at once would be a jump in a tree that has lines already. */
  if (tree->line_ns && !process->members && process->baseline == DENET_BASELINE_BIRTH_IN_RECORDS)
    process->baseline = DENET_BASELINE_FIRST_SEEN;
  if (moves_maxima)
    carry_maxima(tree, true);
  member->next_of_process = process->members;
  process->members = member;
  member->previous = tree->last;
  *(tree->last ? &tree->last->next : &tree->first) = member;
  tree->last = member;
  if (moves_maxima)
    carry_maxima(tree, false);
  trees->member_count++;
  if (member->counts)
    denet_group_join(tree->group, is_start);
  return 0;
}

/* Stores the totals of the counters that a tree adds up. */
static void get_counters(const struct denet_process *process, struct denet_values *out_counters) {
  struct denet_values counters = {0};
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_metric_info[m].kind == DENET_COUNTER && !is_shared_counter(m) &&
        denet_metric_set_has(&process->usage->counted, m))
      denet_values_set(&counters, m, denet_usage_total(process->usage, m));
  *out_counters = counters;
}

int denet_tree_rejoin(struct denet_trees *trees, struct denet_tree *tree,
                      struct denet_process *process, bool is_start) {
  struct denet_values before;
  if (!denet_process_use(process))
    return -ENOMEM;
  get_counters(process, &before);
  int error = denet_tree_join(trees, tree, process, is_start);
  for (unsigned m = 0; m < DENET_METRICS && !error; m++)
    tree->ended.value[m] -= before.value[m];
  return error;
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

static void unlink_from_process(struct denet_member *member) {
  struct denet_member **link = &member->process->members;
  while (*link != member)
    link = &(*link)->next_of_process;
  *link = member->next_of_process;
}

/* Makes the process count in another of its trees of the same group. Returns whether there is one.
 */
static bool hand_over_count(const struct denet_member *member) {
  for (struct denet_member *m = member->process->members; m; m = m->next_of_process)
    if (m->tree->group == member->tree->group)
      return m->counts = true;
  return false;
}

/* Removes one member. The caller keeps the maxima (carry_maxima()). */
static void remove_member(struct denet_trees *trees, struct denet_member *member, uint64_t now_ns) {
  struct denet_tree *tree = member->tree;
  struct denet_values counters;
  get_counters(member->process, &counters);
  denet_values_combine(&tree->ended, &counters);
  if (member->process->off_cpu)
    denet_wait_stats_add(&tree->extremes, &member->process->off_cpu->stats);
  unlink_from_process(member);
  if (member->counts && !hand_over_count(member))
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

static bool has_ending(const struct denet_tree *tree) {
  for (const struct denet_member *m = tree->first; m; m = m->next)
    if (denet_tree_is_ending(m))
      return true;
  return false;
}

void denet_tree_remove_exited(struct denet_trees *trees, struct denet_tree *tree, uint64_t now_ns) {
  if (!has_ending(tree))
    return;
  carry_maxima(tree, true);
  for (struct denet_member *m = tree->first, *next; m; m = next) {
    next = m->next;
    if (denet_tree_is_ending(m))
      remove_member(trees, m, now_ns);
  }
  carry_maxima(tree, false);
}

void denet_tree_destroy(struct denet_trees *trees, struct denet_tree *tree) {
  hand_over_file(trees, tree);
  if (tree->has_slot)
    denet_slots_give_back(&tree->active_rule->slots, tree->slot);
  *(tree->previous ? &tree->previous->next : &trees->first) = tree->next;
  if (tree->next)
    tree->next->previous = tree->previous;
  denet_buffer_done(&tree->arguments);
  denet_buffer_done(&tree->executable);
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
  struct denet_values totals = tree->ended, part;
  for (const struct denet_member *m = tree->first; m; m = m->next) {
    denet_usage_totals(m->process->usage, &part);
    denet_values_combine(&totals, &part);
  }
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (is_shared_counter(m))
      totals.value[m] = tree->ended.value[m] + find_maximum(tree, m);
  *out_totals = totals;
}
