#include "core/groups/tree.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

static char rule_name[] = "web";

/* All that trees stand on. */
struct wood {
  struct denet_active_rule active_rules[2];
  struct denet_groups groups;
  struct denet_group *group; /* "web" */
  struct denet_trees trees;
};

static void wood_done(struct wood *wood) {
  denet_trees_done(&wood->trees);
  denet_groups_done(&wood->groups);
  for (unsigned i = 0; i < DENET_COUNT_OF(wood->active_rules); i++)
    denet_slots_done(&wood->active_rules[i].slots);
}

#define OWN_WOOD DENET_CLEANUP(wood_done) struct wood

static void make_wood(struct wood *wood) {
  *wood = (struct wood){0};
  for (unsigned i = 0; i < DENET_COUNT_OF(wood->active_rules); i++)
    wood->active_rules[i].rule = (struct denet_rule){
        .name = rule_name, .instance = rule_name, .max_instances = 10, .children = true};
  ck_assert_int_eq(denet_groups_get(&wood->groups, &wood->active_rules[0].rule,
                                    denet_text_of("web"), &wood->group),
                   0);
}

static struct denet_tree *plant(struct wood *wood, unsigned active_rule,
                                struct denet_process *process) {
  struct denet_tree *tree = NULL;
  ck_assert_int_eq(denet_tree_create(&wood->trees, &wood->active_rules[active_rule], wood->group,
                                     process, true, &tree),
                   0);
  return tree;
}

static void join(struct wood *wood, struct denet_tree *tree, struct denet_process *process) {
  ck_assert_int_eq(denet_tree_join(&wood->trees, tree, process, true), 0);
}

static void leave(struct wood *wood, unsigned active_rule, struct denet_process *process) {
  struct denet_member *member = denet_tree_find(process, &wood->active_rules[active_rule]);
  ck_assert_ptr_nonnull(member);
  member->leaves = true;
  denet_tree_remove_exited(&wood->trees, member->tree, SECOND);
}

static void look(struct denet_process *process, uint64_t faults, uint64_t rss_bytes) {
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

START_TEST(planted_process_is_the_root) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 7, .parent_pid = 3, .born_ns = 5 * SECOND};
  struct denet_tree *tree = plant(&wood, 0, &process);
  ck_assert_ptr_eq(wood.trees.first, tree);
  ck_assert_ptr_eq(tree->root, tree->first);
  ck_assert_ptr_eq(tree->root->process, &process);
  ck_assert_int_eq(tree->pid, 7);
  ck_assert_int_eq(tree->parent_pid, 3);
  ck_assert_uint_eq(tree->born_ns, 5 * SECOND);
  ck_assert_uint_eq(wood.trees.member_count, 1);
  ck_assert_uint_eq(wood.group->members, 1);
  ck_assert_uint_eq(wood.group->starts, 1);
}
END_TEST

START_TEST(find_tells_the_place_in_a_tree_of_that_rule) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 7}, stranger = {.pid = 8};
  struct denet_tree *one = plant(&wood, 0, &process), *two = plant(&wood, 1, &process);
  ck_assert_ptr_eq(denet_tree_find(&process, &wood.active_rules[0])->tree, one);
  ck_assert_ptr_eq(denet_tree_find(&process, &wood.active_rules[1])->tree, two);
  ck_assert_ptr_null(denet_tree_find(&stranger, &wood.active_rules[0]));
  leave(&wood, 0, &process);
  ck_assert_ptr_null(denet_tree_find(&process, &wood.active_rules[0]));
  ck_assert_ptr_eq(denet_tree_find(&process, &wood.active_rules[1])->tree, two);
}
END_TEST

START_TEST(members_stay_in_the_order_they_came) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process processes[4] = {{.pid = 9}, {.pid = 2}, {.pid = 5}, {.pid = 1}};
  struct denet_tree *tree = plant(&wood, 0, &processes[0]);
  for (unsigned i = 1; i < 4; i++)
    join(&wood, tree, &processes[i]);
  leave(&wood, 0, &processes[2]);
  static const pid_t order[] = {9, 2, 1};
  unsigned i = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert_int_eq(m->process->pid, order[i++]);
  ck_assert_uint_eq(i, 3);
  for (const struct denet_member *m = tree->last; m; m = m->previous)
    ck_assert_int_eq(m->process->pid, order[--i]);
  ck_assert_uint_eq(wood.trees.member_count, 3);
}
END_TEST

START_TEST(part_of_a_member_that_left_stays_in_the_totals) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process root = {.pid = 1, .baseline = DENET_BASELINE_BIRTH},
                       child = {.pid = 2, .baseline = DENET_BASELINE_BIRTH};
  struct denet_tree *tree = plant(&wood, 0, &root);
  join(&wood, tree, &child);
  look(&root, 10, 1000);
  look(&child, 5, 200);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1200);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 2);
  leave(&wood, 0, &child);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1000);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 1);
  look(&root, 11, 900);
  leave(&wood, 0, &root);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 16);
  ck_assert_uint_eq(total(tree, DENET_RSS), UINT64_MAX);
}
END_TEST

START_TEST(tree_goes_on_without_its_root_and_keeps_its_exit_status) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process root = {.pid = 1}, child = {.pid = 2};
  struct denet_tree *tree = plant(&wood, 0, &root);
  join(&wood, tree, &child);
  root.ended = root.has_exit_status = true;
  root.exit_status = 256;
  ck_assert(denet_tree_is_ending(tree->root));
  leave(&wood, 0, &root);
  ck_assert_ptr_null(tree->root);
  ck_assert(tree->has_exit_status);
  ck_assert_int_eq(tree->exit_status, 256);
  ck_assert_int_eq(tree->pid, 1);
  ck_assert_ptr_eq(tree->first->process, &child);
  child.has_exit_status = true;
  child.exit_status = 9;
  leave(&wood, 0, &child);
  ck_assert_int_eq(tree->exit_status, 256);
}
END_TEST

START_TEST(member_is_ending_when_it_ended_or_leaves) {
  struct denet_process process = {0};
  struct denet_member member = {.process = &process};
  ck_assert(!denet_tree_is_ending(&member));
  member.leaves = true;
  ck_assert(denet_tree_is_ending(&member));
  member.leaves = false;
  process.ended = true;
  ck_assert(denet_tree_is_ending(&member));
}
END_TEST

START_TEST(process_in_two_trees_of_a_group_counts_once) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 1};
  struct denet_tree *one = plant(&wood, 0, &process), *two = plant(&wood, 1, &process);
  ck_assert_uint_eq(wood.group->members, 1);
  ck_assert_uint_eq(wood.group->starts, 1);
  ck_assert(one->first->counts != two->first->counts);
  leave(&wood, one->first->counts ? 0 : 1, &process);
  ck_assert_uint_eq(wood.group->members, 1);
  ck_assert_uint_eq(wood.group->exits, 0);
  ck_assert(process.members->counts);
  leave(&wood, denet_tree_find(&process, &wood.active_rules[0]) ? 0 : 1, &process);
  ck_assert_uint_eq(wood.group->members, 0);
  ck_assert_uint_eq(wood.group->exits, 1);
}
END_TEST

START_TEST(process_in_no_tree_is_not_watched_any_more) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 1};
  plant(&wood, 0, &process);
  plant(&wood, 1, &process);
  look(&process, 10, 1000);
  leave(&wood, 0, &process);
  ck_assert(!denet_metric_set_is_empty(&process.usage->counting));
  leave(&wood, 1, &process);
  ck_assert(denet_metric_set_is_empty(&process.usage->counting));
  ck_assert_ptr_null(process.members);
}
END_TEST

START_TEST(member_skips_a_sample_if_its_process_was_sampled_before) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 1};
  ck_assert(!plant(&wood, 0, &process)->first->skips_sample);
  look(&process, 10, 1000);
  ck_assert(plant(&wood, 1, &process)->first->skips_sample);
}
END_TEST

static const struct {
  enum denet_baseline baseline;
  uint64_t line_ns;
} bases[] = {
    {DENET_BASELINE_FIRST_SEEN, 0},
    {DENET_BASELINE_BIRTH_IN_RECORDS, 0},
    {DENET_BASELINE_BIRTH, 5 * SECOND},
};

START_TEST(first_line_of_one_that_counts_from_birth_is_since_then) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process process = {.pid = 1, .baseline = bases[_i].baseline, .born_ns = 5 * SECOND};
  const struct denet_tree *tree = plant(&wood, 0, &process);
  ck_assert_uint_eq(tree->first->line_ns, bases[_i].line_ns);
  ck_assert_uint_eq(tree->line_ns, bases[_i].line_ns);
}
END_TEST

START_TEST(felled_tree_leaves_the_others_and_gives_its_slot_back) {
  for (unsigned felled = 0; felled < 3; felled++) {
    OWN_WOOD wood;
    make_wood(&wood);
    struct denet_process processes[3] = {{.pid = 1}, {.pid = 2}, {.pid = 3}};
    struct denet_tree *trees[3];
    for (unsigned i = 0; i < 3; i++) {
      trees[i] = plant(&wood, 0, &processes[i]);
      trees[i]->has_slot = true;
      ck_assert_int_eq(denet_slots_take(&wood.active_rules[0].slots, &trees[i]->slot), 0);
    }
    leave(&wood, 0, &processes[felled]);
    denet_tree_destroy(&wood.trees, trees[felled]);
    unsigned left = 0, slot;
    const struct denet_tree *previous = NULL;
    for (const struct denet_tree *t = wood.trees.first; t; previous = t, t = t->next, left++) {
      ck_assert_ptr_ne(t, trees[felled]);
      ck_assert_ptr_eq(t->previous, previous);
    }
    ck_assert_uint_eq(left, 2);
    ck_assert_int_eq(denet_slots_take(&wood.active_rules[0].slots, &slot), 0);
    ck_assert_uint_eq(slot, felled);
  }
}
END_TEST

START_TEST(forest_takes_everything_with_it) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process processes[3] = {{.pid = 1}, {.pid = 2}, {.pid = 3}};
  struct denet_tree *tree = plant(&wood, 0, &processes[0]);
  denet_buffer_append_string(&tree->arguments, "x");
  denet_buffer_append_string(&tree->executable, "y");
  join(&wood, tree, &processes[1]);
  plant(&wood, 1, &processes[0]);
  plant(&wood, 0, &processes[2]);
  denet_trees_done(&wood.trees);
  ck_assert_ptr_null(wood.trees.first);
  ck_assert_uint_eq(wood.trees.member_count, 0);
  ck_assert_uint_eq(wood.group->members, 0);
  for (unsigned i = 0; i < 3; i++)
    ck_assert_ptr_null(processes[i].members);
  denet_trees_done(&wood.trees);
}
END_TEST

/* What one that comes has seen of its network before. */
static const struct {
  bool has_seen;
  uint64_t bytes;
} comers[] = {{false, 0}, {true, 0}, {true, 50}, {true, 500}};

START_TEST(member_that_comes_is_no_jump_of_the_network) {
  OWN_WOOD wood;
  make_wood(&wood);
  struct denet_process root = {.pid = 1}, comer = {.pid = 2};
  struct denet_tree *tree = plant(&wood, 0, &root);
  count(&root, DENET_NET_RX, 100);
  if (comers[_i].has_seen)
    count(&comer, DENET_NET_RX, comers[_i].bytes);
  join(&wood, tree, &comer);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  leave(&wood, 0, &root);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  count(&comer, DENET_NET_RX, comers[_i].bytes + 7);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 107);
}
END_TEST

#define CROWD 1000

/* The further from the first, the less it has seen of its network; some have seen nothing yet. */
static void make_crowd(struct wood *wood, struct denet_process processes[CROWD]) {
  make_wood(wood);
  for (unsigned i = 0; i < CROWD; i++) {
    processes[i] = (struct denet_process){.pid = (pid_t)i + 1};
    if (i)
      join(wood, wood->trees.first, &processes[i]);
    else
      plant(wood, 0, &processes[i]);
    count(&processes[i], DENET_MINOR_FAULTS, i);
    if (i % 5 != 3)
      count(&processes[i], DENET_NET_RX, CROWD - i / 2);
    if (i % 7 == 2)
      count(&processes[i], DENET_NET_TX, i);
  }
}

static void hear_more(struct denet_process processes[CROWD]) {
  for (unsigned i = 0; i < CROWD; i++)
    if (denet_metric_set_has(&processes[i].usage->counted, DENET_NET_RX))
      processes[i].usage->last[DENET_NET_RX] += 10;
}

static bool is_among_first(unsigned i) { return i < CROWD / 2; }
static bool is_every_third(unsigned i) { return i % 3 == 0; }
static bool is_any(unsigned i) { return i < CROWD; }

/* The first ones, which have seen the most; some in between; all. */
static bool (*const goes[])(unsigned) = {is_among_first, is_every_third, is_any};

START_TEST(members_that_go_together_leave_what_each_would_leave) {
  static struct denet_process together[CROWD], one_by_one[CROWD];
  OWN_WOOD wood;
  OWN_WOOD other;
  make_crowd(&wood, together);
  make_crowd(&other, one_by_one);
  struct denet_tree *tree = wood.trees.first;
  struct denet_values before, after, expected;
  denet_tree_totals(tree, &before);
  for (unsigned i = 0; i < CROWD; i++) {
    together[i].ended = goes[_i](i);
    if (goes[_i](i))
      leave(&other, 0, &one_by_one[i]);
  }
  denet_tree_remove_exited(&wood.trees, tree, SECOND);
  ck_assert_uint_eq(wood.trees.member_count, other.trees.member_count);
  ck_assert_uint_eq(wood.group->exits, other.group->exits);
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert(!denet_tree_is_ending(m));
  denet_tree_totals(tree, &after);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert_uint_eq(after.value[m], before.value[m]);
  hear_more(together);
  hear_more(one_by_one);
  denet_tree_totals(tree, &after);
  denet_tree_totals(other.trees.first, &expected);
  ck_assert_mem_eq(&after, &expected, sizeof(after));
  ck_assert_uint_eq(after.value[DENET_NET_RX] - before.value[DENET_NET_RX], tree->first ? 10 : 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, planted_process_is_the_root);
  ADD_TEST(suite, find_tells_the_place_in_a_tree_of_that_rule);
  ADD_TEST(suite, members_stay_in_the_order_they_came);
  ADD_TEST(suite, part_of_a_member_that_left_stays_in_the_totals);
  ADD_TABLE(suite, member_that_comes_is_no_jump_of_the_network, comers);
  ADD_TABLE(suite, members_that_go_together_leave_what_each_would_leave, goes);
  ADD_TEST(suite, tree_goes_on_without_its_root_and_keeps_its_exit_status);
  ADD_TEST(suite, member_is_ending_when_it_ended_or_leaves);
  ADD_TEST(suite, process_in_two_trees_of_a_group_counts_once);
  ADD_TEST(suite, process_in_no_tree_is_not_watched_any_more);
  ADD_TEST(suite, member_skips_a_sample_if_its_process_was_sampled_before);
  ADD_TABLE(suite, first_line_of_one_that_counts_from_birth_is_since_then, bases);
  ADD_TEST(suite, felled_tree_leaves_the_others_and_gives_its_slot_back);
  ADD_TEST(suite, forest_takes_everything_with_it);
}
