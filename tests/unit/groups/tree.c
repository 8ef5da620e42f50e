#include "core/groups/tree.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

#define CROWD 1000

/* Two rules, the group of both, and its trees. Each test is a process of its own. */
static struct denet_active_rule active_rules[2];
static struct denet_groups groups;
static struct denet_group *group;
static struct denet_trees trees;
static struct denet_process root = {.pid = 7, .parent_pid = 3, .born_ns = 5 * SECOND},
                            child = {.pid = 8}, other = {.pid = 2};

static struct denet_tree *create(unsigned active_rule, struct denet_process *process) {
  struct denet_tree *tree = NULL;
  for (unsigned i = 0; i < DENET_COUNT_OF(active_rules); i++)
    active_rules[i].rule =
        (struct denet_rule){.name = (char *)"web", .max_instances = 10, .children = true};
  ck_assert_int_eq(denet_groups_get(&groups, &active_rules[0].rule, denet_text_of("web"), &group),
                   0);
  ck_assert_int_eq(
      denet_tree_create(&trees, &active_rules[active_rule], group, process, true, &tree), 0);
  return tree;
}

static void join(struct denet_tree *tree, struct denet_process *process) {
  ck_assert_int_eq(denet_tree_join(&trees, tree, process, true, false), 0);
}

static void leave(unsigned active_rule, struct denet_process *process) {
  struct denet_member *member = denet_tree_find(process, &active_rules[active_rule]);
  ck_assert_ptr_nonnull(member);
  ck_assert(!denet_tree_is_ending(member) || process->ended);
  member->leaves = true;
  ck_assert(denet_tree_is_ending(member));
  denet_tree_remove_exited(&trees, member->tree, SECOND);
}

static void sample(struct denet_process *process, uint64_t faults, uint64_t rss_bytes) {
  struct denet_values gained;
  denet_values_set(&process->usage->now, DENET_PROCESSES, 1);
  denet_values_set(&process->usage->now, DENET_MINOR_FAULTS, faults);
  denet_values_set(&process->usage->now, DENET_RSS, rss_bytes);
  denet_usage_advance(process->usage, process->baseline, &gained);
}

/* A counter of the process has come to a total. */
static void count(struct denet_process *process, enum denet_metric metric, uint64_t total) {
  struct denet_usage *usage = denet_process_use(process);
  ck_assert_ptr_nonnull(usage);
  denet_metric_set_add(&usage->counted, metric);
  usage->last[metric] = total + usage->zero[metric];
}

static uint64_t total(const struct denet_tree *tree, enum denet_metric metric) {
  struct denet_values totals;
  denet_tree_totals(tree, &totals);
  return denet_values_has(&totals, metric) ? totals.value[metric] : UINT64_MAX;
}

static const enum denet_baseline baselines[] = {
    DENET_BASELINE_FIRST_SEEN, DENET_BASELINE_BIRTH_IN_RECORDS, DENET_BASELINE_BIRTH};

START_TEST(first_process_of_a_tree_is_its_root) {
  root.baseline = baselines[_i];
  const struct denet_tree *tree = create(0, &root);
  ck_assert_ptr_eq(trees.first, tree);
  ck_assert_ptr_eq(tree->root, tree->first);
  ck_assert_ptr_eq(tree->root->process, &root);
  ck_assert_int_eq(tree->pid, 7);
  ck_assert_int_eq(tree->parent_pid, 3);
  ck_assert_uint_eq(tree->born_ns, 5 * SECOND);
  ck_assert_uint_eq(trees.member_count, 1);
  ck_assert_uint_eq(group->members, 1);
  ck_assert_uint_eq(group->starts, 1);
  /* The first line of a process that counts from its birth is since then. */
  ck_assert_uint_eq(tree->first->line_ns, root.baseline == DENET_BASELINE_BIRTH ? 5 * SECOND : 0);
  ck_assert_uint_eq(tree->line_ns, tree->first->line_ns);
}
END_TEST

START_TEST(members_stand_in_the_order_of_joining) {
  static struct denet_process processes[] = {{.pid = 9}, {.pid = 2}, {.pid = 5}, {.pid = 1}};
  struct denet_tree *tree = create(0, &processes[0]);
  for (unsigned i = 1; i < 4; i++)
    join(tree, &processes[i]);
  leave(0, &processes[2]);
  static const pid_t order[] = {9, 2, 1};
  unsigned i = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert_int_eq(m->process->pid, order[i++]);
  ck_assert_uint_eq(i, 3);
  for (const struct denet_member *m = tree->last; m; m = m->previous)
    ck_assert_int_eq(m->process->pid, order[--i]);
  ck_assert_uint_eq(trees.member_count, 3);
}
END_TEST

START_TEST(totals_keep_the_part_of_a_member_that_left_and_comes_back) {
  root.baseline = child.baseline = DENET_BASELINE_BIRTH;
  struct denet_tree *tree = create(0, &root);
  join(tree, &child);
  sample(&root, 10, 1000);
  sample(&child, 5, 200);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1200);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 2);
  leave(0, &child);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1000);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 1);
  ck_assert_int_eq(denet_tree_join(&trees, tree, &child, true, true), 0);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  leave(0, &child);
  sample(&root, 11, 900);
  leave(0, &root);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 16);
  ck_assert_uint_eq(total(tree, DENET_RSS), UINT64_MAX);
}
END_TEST

START_TEST(tree_goes_on_without_its_root_and_keeps_its_exit_status) {
  struct denet_tree *tree = create(0, &root);
  join(tree, &child);
  root.ended = root.has_exit_status = child.has_exit_status = true;
  root.exit_status = 256;
  child.exit_status = 9;
  ck_assert(denet_tree_is_ending(tree->root));
  leave(0, &root);
  ck_assert_ptr_null(tree->root);
  ck_assert(tree->has_exit_status);
  ck_assert_int_eq(tree->pid, 7);
  ck_assert_ptr_eq(tree->first->process, &child);
  leave(0, &child);
  ck_assert_int_eq(tree->exit_status, 256);
}
END_TEST

START_TEST(process_in_two_trees_of_a_group_counts_once_and_until_it_has_left_both) {
  const struct denet_tree *trees_of[] = {create(0, &root), NULL};
  ck_assert(!trees_of[0]->first->skips_sample);
  sample(&root, 10, 1000);
  trees_of[1] = create(1, &root);
  ck_assert(trees_of[1]->first->skips_sample); /* the process was sampled before */
  for (unsigned i = 0; i < 2; i++)
    ck_assert_ptr_eq(denet_tree_find(&root, &active_rules[i])->tree, trees_of[i]);
  ck_assert_ptr_null(denet_tree_find(&child, &active_rules[0]));
  ck_assert_uint_eq(group->members, 1);
  ck_assert_uint_eq(group->starts, 1);
  ck_assert(trees_of[0]->first->counts != trees_of[1]->first->counts);
  unsigned first = trees_of[0]->first->counts ? 0 : 1;
  leave(first, &root);
  ck_assert_ptr_null(denet_tree_find(&root, &active_rules[first]));
  ck_assert_uint_eq(group->members, 1);
  ck_assert_uint_eq(group->exits, 0);
  ck_assert(root.members->counts);
  ck_assert(!denet_metric_set_is_empty(&root.usage->counting));
  leave(1 - first, &root);
  ck_assert_uint_eq(group->members, 0);
  ck_assert_uint_eq(group->exits, 1);
  ck_assert(denet_metric_set_is_empty(&root.usage->counting));
  ck_assert_ptr_null(root.members);
}
END_TEST

/* The row is the index of the tree that is destroyed. */
static struct denet_process *const roots[] = {&root, &child, &other};

START_TEST(destroyed_tree_gives_its_slot_back) {
  struct denet_tree *made[3];
  for (unsigned i = 0; i < 3; i++) {
    made[i] = create(0, roots[i]);
    made[i]->has_slot = true;
    ck_assert_int_eq(denet_slots_take(&active_rules[0].slots, &made[i]->slot), 0);
  }
  leave(0, roots[_i]);
  denet_tree_destroy(&trees, made[_i]);
  unsigned left = 0, slot;
  const struct denet_tree *previous = NULL;
  for (const struct denet_tree *t = trees.first; t; previous = t, t = t->next, left++) {
    ck_assert_ptr_ne(t, made[_i]);
    ck_assert_ptr_eq(t->previous, previous);
  }
  ck_assert_uint_eq(left, 2);
  ck_assert_int_eq(denet_slots_take(&active_rules[0].slots, &slot), 0);
  ck_assert_uint_eq(slot, (unsigned)_i);
}
END_TEST

START_TEST(done_frees_all_trees) {
  struct denet_tree *tree = create(0, &root);
  denet_buffer_append_string(&tree->metadata.arguments, "x");
  denet_buffer_append_string(&tree->metadata.executable, "y");
  join(tree, &child);
  create(1, &root);
  create(0, &other);
  denet_trees_done(&trees);
  ck_assert_ptr_null(trees.first);
  ck_assert_uint_eq(trees.member_count, 0);
  ck_assert_uint_eq(group->members, 0);
  for (unsigned i = 0; i < 3; i++)
    ck_assert_ptr_null(roots[i]->members);
  denet_trees_done(&trees);
}
END_TEST

/* The total of network bytes that a process joins with. */
static const struct {
  bool has_seen;
  uint64_t bytes;
} newcomers[] = {{false, 0}, {true, 0}, {true, 50}, {true, 500}};

START_TEST(joining_makes_no_jump_of_the_network) {
  struct denet_tree *tree = create(0, &root);
  count(&root, DENET_NET_RX, 100);
  if (newcomers[_i].has_seen)
    count(&child, DENET_NET_RX, newcomers[_i].bytes);
  count(&root, DENET_MINOR_FAULTS, 3);
  count(&child, DENET_MINOR_FAULTS, 5);
  join(tree, &child);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 8); /* it brings a counter of its own */
  leave(0, &root);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  count(&child, DENET_NET_RX, newcomers[_i].bytes + 7);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 107);
}
END_TEST

/* Returns the tree of a rule with all these processes. The later a process joins, the fewer network
 * bytes it has; some have none. */
static struct denet_tree *make_crowd(unsigned active_rule, struct denet_process processes[CROWD]) {
  struct denet_tree *tree = NULL;
  for (unsigned i = 0; i < CROWD; i++) {
    processes[i] = (struct denet_process){.pid = (pid_t)i + 1};
    if (i)
      join(tree, &processes[i]);
    else
      tree = create(active_rule, &processes[i]);
    count(&processes[i], DENET_MINOR_FAULTS, i);
    if (i % 5 != 3)
      count(&processes[i], DENET_NET_RX, CROWD - i / 2);
    if (i % 7 == 2)
      count(&processes[i], DENET_NET_TX, i);
  }
  return tree;
}

static void receive_more(struct denet_process processes[CROWD]) {
  for (unsigned i = 0; i < CROWD; i++)
    if (denet_metric_set_has(&processes[i].usage->counted, DENET_NET_RX))
      processes[i].usage->last[DENET_NET_RX] += 10;
}

/* Which members are removed: those with the most bytes; some in between; all. */
static const struct { unsigned until, step; } removals[] = {{CROWD / 2, 1}, {CROWD, 3}, {CROWD, 1}};

START_TEST(members_removed_together_leave_the_same_totals_as_one_by_one) {
  static struct denet_process together[CROWD], one_by_one[CROWD];
  struct denet_tree *tree = make_crowd(0, together), *one = make_crowd(1, one_by_one);
  struct denet_values before, after, expected;
  unsigned gone = 0, until = removals[_i].until, step = removals[_i].step;
  denet_tree_totals(tree, &before);
  for (unsigned i = 0; i < until; i += step, gone++) {
    together[i].ended = true;
    leave(1, &one_by_one[i]);
  }
  denet_tree_remove_exited(&trees, tree, SECOND);
  ck_assert_uint_eq(trees.member_count, 2 * (CROWD - gone));
  ck_assert_uint_eq(group->exits, 2 * gone);
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert(!denet_tree_is_ending(m));
  denet_tree_totals(tree, &after);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert_uint_eq(after.value[m], before.value[m]);
  receive_more(together);
  receive_more(one_by_one);
  denet_tree_totals(tree, &after);
  denet_tree_totals(one, &expected);
  ck_assert_mem_eq(&after, &expected, sizeof(after));
  ck_assert_uint_eq(after.value[DENET_NET_RX] - before.value[DENET_NET_RX], tree->first ? 10 : 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, first_process_of_a_tree_is_its_root, baselines);
  ADD_TEST(suite, members_stand_in_the_order_of_joining);
  ADD_TEST(suite, totals_keep_the_part_of_a_member_that_left_and_comes_back);
  ADD_TABLE(suite, joining_makes_no_jump_of_the_network, newcomers);
  ADD_TABLE(suite, members_removed_together_leave_the_same_totals_as_one_by_one, removals);
  ADD_TEST(suite, tree_goes_on_without_its_root_and_keeps_its_exit_status);
  ADD_TEST(suite, process_in_two_trees_of_a_group_counts_once_and_until_it_has_left_both);
  ADD_TABLE(suite, destroyed_tree_gives_its_slot_back, roots);
  ADD_TEST(suite, done_frees_all_trees);
}
