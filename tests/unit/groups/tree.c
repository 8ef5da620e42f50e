#include "core/groups/tree.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

static char rule_name[] = "web";

#define CROWD 1000

/* Two rules, the group of both, its trees, and the processes that were put into them. */
struct scene {
  struct denet_active_rule active_rules[2];
  struct denet_groups groups;
  struct denet_group *group; /* "web" */
  struct denet_trees trees;
  struct denet_process *processes[2 * CROWD]; /* borrowed, their usage is not */
  size_t count;
};

static void end_scene(struct scene *scene) {
  denet_trees_done(&scene->trees);
  for (size_t i = 0; i < scene->count; i++)
    denet_process_done(scene->processes[i]);
  denet_groups_done(&scene->groups);
  for (unsigned i = 0; i < DENET_COUNT_OF(scene->active_rules); i++)
    denet_slots_done(&scene->active_rules[i].slots);
}

#define OWN_SCENE DENET_CLEANUP(end_scene) struct scene

static void make_scene(struct scene *scene) {
  *scene = (struct scene){0};
  for (unsigned i = 0; i < DENET_COUNT_OF(scene->active_rules); i++)
    scene->active_rules[i].rule = (struct denet_rule){
        .name = rule_name, .instance = rule_name, .max_instances = 10, .children = true};
  ck_assert_int_eq(denet_groups_get(&scene->groups, &scene->active_rules[0].rule,
                                    denet_text_of("web"), &scene->group),
                   0);
}

static struct denet_tree *create(struct scene *scene, unsigned active_rule,
                                 struct denet_process *process) {
  struct denet_tree *tree = NULL;
  scene->processes[scene->count++] = process;
  ck_assert_int_eq(denet_tree_create(&scene->trees, &scene->active_rules[active_rule], scene->group,
                                     process, true, &tree),
                   0);
  return tree;
}

static void join(struct scene *scene, struct denet_tree *tree, struct denet_process *process) {
  scene->processes[scene->count++] = process;
  ck_assert_int_eq(denet_tree_join(&scene->trees, tree, process, true), 0);
}

static void leave(struct scene *scene, unsigned active_rule, struct denet_process *process) {
  struct denet_member *member = denet_tree_find(process, &scene->active_rules[active_rule]);
  ck_assert_ptr_nonnull(member);
  member->leaves = true;
  denet_tree_remove_exited(&scene->trees, member->tree, SECOND);
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

START_TEST(first_process_of_a_tree_is_its_root) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 7, .parent_pid = 3, .born_ns = 5 * SECOND};
  struct denet_tree *tree = create(&scene, 0, &process);
  ck_assert_ptr_eq(scene.trees.first, tree);
  ck_assert_ptr_eq(tree->root, tree->first);
  ck_assert_ptr_eq(tree->root->process, &process);
  ck_assert_int_eq(tree->pid, 7);
  ck_assert_int_eq(tree->parent_pid, 3);
  ck_assert_uint_eq(tree->born_ns, 5 * SECOND);
  ck_assert_uint_eq(scene.trees.member_count, 1);
  ck_assert_uint_eq(scene.group->members, 1);
  ck_assert_uint_eq(scene.group->starts, 1);
}
END_TEST

START_TEST(find_returns_the_membership_in_a_tree_of_that_rule) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 7}, stranger = {.pid = 8};
  struct denet_tree *one = create(&scene, 0, &process), *two = create(&scene, 1, &process);
  ck_assert_ptr_eq(denet_tree_find(&process, &scene.active_rules[0])->tree, one);
  ck_assert_ptr_eq(denet_tree_find(&process, &scene.active_rules[1])->tree, two);
  ck_assert_ptr_null(denet_tree_find(&stranger, &scene.active_rules[0]));
  leave(&scene, 0, &process);
  ck_assert_ptr_null(denet_tree_find(&process, &scene.active_rules[0]));
  ck_assert_ptr_eq(denet_tree_find(&process, &scene.active_rules[1])->tree, two);
}
END_TEST

START_TEST(members_stand_in_the_order_of_joining) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process processes[4] = {{.pid = 9}, {.pid = 2}, {.pid = 5}, {.pid = 1}};
  struct denet_tree *tree = create(&scene, 0, &processes[0]);
  for (unsigned i = 1; i < 4; i++)
    join(&scene, tree, &processes[i]);
  leave(&scene, 0, &processes[2]);
  static const pid_t order[] = {9, 2, 1};
  unsigned i = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert_int_eq(m->process->pid, order[i++]);
  ck_assert_uint_eq(i, 3);
  for (const struct denet_member *m = tree->last; m; m = m->previous)
    ck_assert_int_eq(m->process->pid, order[--i]);
  ck_assert_uint_eq(scene.trees.member_count, 3);
}
END_TEST

START_TEST(totals_keep_the_part_of_a_member_that_left) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process root = {.pid = 1, .baseline = DENET_BASELINE_BIRTH},
                       child = {.pid = 2, .baseline = DENET_BASELINE_BIRTH};
  struct denet_tree *tree = create(&scene, 0, &root);
  join(&scene, tree, &child);
  sample(&root, 10, 1000);
  sample(&child, 5, 200);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1200);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 2);
  leave(&scene, 0, &child);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 15);
  ck_assert_uint_eq(total(tree, DENET_RSS), 1000);
  ck_assert_uint_eq(total(tree, DENET_PROCESSES), 1);
  sample(&root, 11, 900);
  leave(&scene, 0, &root);
  ck_assert_uint_eq(total(tree, DENET_MINOR_FAULTS), 16);
  ck_assert_uint_eq(total(tree, DENET_RSS), UINT64_MAX);
}
END_TEST

START_TEST(tree_goes_on_without_its_root_and_keeps_its_exit_status) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process root = {.pid = 1}, child = {.pid = 2};
  struct denet_tree *tree = create(&scene, 0, &root);
  join(&scene, tree, &child);
  root.ended = root.has_exit_status = true;
  root.exit_status = 256;
  ck_assert(denet_tree_is_ending(tree->root));
  leave(&scene, 0, &root);
  ck_assert_ptr_null(tree->root);
  ck_assert(tree->has_exit_status);
  ck_assert_int_eq(tree->exit_status, 256);
  ck_assert_int_eq(tree->pid, 1);
  ck_assert_ptr_eq(tree->first->process, &child);
  child.has_exit_status = true;
  child.exit_status = 9;
  leave(&scene, 0, &child);
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
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 1};
  struct denet_tree *one = create(&scene, 0, &process), *two = create(&scene, 1, &process);
  ck_assert_uint_eq(scene.group->members, 1);
  ck_assert_uint_eq(scene.group->starts, 1);
  ck_assert(one->first->counts != two->first->counts);
  leave(&scene, one->first->counts ? 0 : 1, &process);
  ck_assert_uint_eq(scene.group->members, 1);
  ck_assert_uint_eq(scene.group->exits, 0);
  ck_assert(process.members->counts);
  leave(&scene, denet_tree_find(&process, &scene.active_rules[0]) ? 0 : 1, &process);
  ck_assert_uint_eq(scene.group->members, 0);
  ck_assert_uint_eq(scene.group->exits, 1);
}
END_TEST

START_TEST(usage_of_a_process_in_no_tree_is_paused) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 1};
  create(&scene, 0, &process);
  create(&scene, 1, &process);
  sample(&process, 10, 1000);
  leave(&scene, 0, &process);
  ck_assert(!denet_metric_set_is_empty(&process.usage->counting));
  leave(&scene, 1, &process);
  ck_assert(denet_metric_set_is_empty(&process.usage->counting));
  ck_assert_ptr_null(process.members);
}
END_TEST

START_TEST(member_skips_a_sample_if_its_process_was_sampled_before) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 1};
  ck_assert(!create(&scene, 0, &process)->first->skips_sample);
  sample(&process, 10, 1000);
  ck_assert(create(&scene, 1, &process)->first->skips_sample);
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

START_TEST(first_line_of_a_process_that_counts_from_birth_is_since_birth) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process process = {.pid = 1, .baseline = bases[_i].baseline, .born_ns = 5 * SECOND};
  const struct denet_tree *tree = create(&scene, 0, &process);
  ck_assert_uint_eq(tree->first->line_ns, bases[_i].line_ns);
  ck_assert_uint_eq(tree->line_ns, bases[_i].line_ns);
}
END_TEST

START_TEST(destroyed_tree_gives_its_slot_back) {
  for (unsigned felled = 0; felled < 3; felled++) {
    OWN_SCENE scene;
    make_scene(&scene);
    struct denet_process processes[3] = {{.pid = 1}, {.pid = 2}, {.pid = 3}};
    struct denet_tree *trees[3];
    for (unsigned i = 0; i < 3; i++) {
      trees[i] = create(&scene, 0, &processes[i]);
      trees[i]->has_slot = true;
      ck_assert_int_eq(denet_slots_take(&scene.active_rules[0].slots, &trees[i]->slot), 0);
    }
    leave(&scene, 0, &processes[felled]);
    denet_tree_destroy(&scene.trees, trees[felled]);
    unsigned left = 0, slot;
    const struct denet_tree *previous = NULL;
    for (const struct denet_tree *t = scene.trees.first; t; previous = t, t = t->next, left++) {
      ck_assert_ptr_ne(t, trees[felled]);
      ck_assert_ptr_eq(t->previous, previous);
    }
    ck_assert_uint_eq(left, 2);
    ck_assert_int_eq(denet_slots_take(&scene.active_rules[0].slots, &slot), 0);
    ck_assert_uint_eq(slot, felled);
  }
}
END_TEST

START_TEST(done_frees_all_trees) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process processes[3] = {{.pid = 1}, {.pid = 2}, {.pid = 3}};
  struct denet_tree *tree = create(&scene, 0, &processes[0]);
  denet_buffer_append_string(&tree->arguments, "x");
  denet_buffer_append_string(&tree->executable, "y");
  join(&scene, tree, &processes[1]);
  create(&scene, 1, &processes[0]);
  create(&scene, 0, &processes[2]);
  denet_trees_done(&scene.trees);
  ck_assert_ptr_null(scene.trees.first);
  ck_assert_uint_eq(scene.trees.member_count, 0);
  ck_assert_uint_eq(scene.group->members, 0);
  for (unsigned i = 0; i < 3; i++)
    ck_assert_ptr_null(processes[i].members);
  denet_trees_done(&scene.trees);
}
END_TEST

/* The total of network bytes that a process joins with. */
static const struct {
  bool has_seen;
  uint64_t bytes;
} newcomers[] = {{false, 0}, {true, 0}, {true, 50}, {true, 500}};

START_TEST(joining_makes_no_jump_of_the_network) {
  OWN_SCENE scene;
  make_scene(&scene);
  struct denet_process root = {.pid = 1}, newcomer = {.pid = 2};
  struct denet_tree *tree = create(&scene, 0, &root);
  count(&root, DENET_NET_RX, 100);
  if (newcomers[_i].has_seen)
    count(&newcomer, DENET_NET_RX, newcomers[_i].bytes);
  join(&scene, tree, &newcomer);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  leave(&scene, 0, &root);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 100);
  count(&newcomer, DENET_NET_RX, newcomers[_i].bytes + 7);
  ck_assert_uint_eq(total(tree, DENET_NET_RX), 107);
}
END_TEST

/* The later a process joins, the fewer network bytes it has; some have none. */
static void make_crowd(struct scene *scene, struct denet_process processes[CROWD]) {
  make_scene(scene);
  for (unsigned i = 0; i < CROWD; i++) {
    processes[i] = (struct denet_process){.pid = (pid_t)i + 1};
    if (i)
      join(scene, scene->trees.first, &processes[i]);
    else
      create(scene, 0, &processes[i]);
    count(&processes[i], DENET_MINOR_FAULTS, i);
    if (i % 5 != 3)
      count(&processes[i], DENET_NET_RX, CROWD - i / 2);
    if (i % 7 == 2)
      count(&processes[i], DENET_NET_TX, i);
  }
}

static void receive_more(struct denet_process processes[CROWD]) {
  for (unsigned i = 0; i < CROWD; i++)
    if (denet_metric_set_has(&processes[i].usage->counted, DENET_NET_RX))
      processes[i].usage->last[DENET_NET_RX] += 10;
}

static bool is_among_first(unsigned i) { return i < CROWD / 2; }
static bool is_every_third(unsigned i) { return i % 3 == 0; }
static bool is_any(unsigned i) { return i < CROWD; }

/* Which members are removed: those with the most bytes; some in between; all. */
static bool (*const goes[])(unsigned) = {is_among_first, is_every_third, is_any};

START_TEST(members_removed_together_leave_the_same_totals_as_one_by_one) {
  static struct denet_process together[CROWD], one_by_one[CROWD];
  OWN_SCENE scene;
  OWN_SCENE other;
  make_crowd(&scene, together);
  make_crowd(&other, one_by_one);
  struct denet_tree *tree = scene.trees.first;
  struct denet_values before, after, expected;
  denet_tree_totals(tree, &before);
  for (unsigned i = 0; i < CROWD; i++) {
    together[i].ended = goes[_i](i);
    if (goes[_i](i))
      leave(&other, 0, &one_by_one[i]);
  }
  denet_tree_remove_exited(&scene.trees, tree, SECOND);
  ck_assert_uint_eq(scene.trees.member_count, other.trees.member_count);
  ck_assert_uint_eq(scene.group->exits, other.group->exits);
  for (const struct denet_member *m = tree->first; m; m = m->next)
    ck_assert(!denet_tree_is_ending(m));
  denet_tree_totals(tree, &after);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert_uint_eq(after.value[m], before.value[m]);
  receive_more(together);
  receive_more(one_by_one);
  denet_tree_totals(tree, &after);
  denet_tree_totals(other.trees.first, &expected);
  ck_assert_mem_eq(&after, &expected, sizeof(after));
  ck_assert_uint_eq(after.value[DENET_NET_RX] - before.value[DENET_NET_RX], tree->first ? 10 : 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, first_process_of_a_tree_is_its_root);
  ADD_TEST(suite, find_returns_the_membership_in_a_tree_of_that_rule);
  ADD_TEST(suite, members_stand_in_the_order_of_joining);
  ADD_TEST(suite, totals_keep_the_part_of_a_member_that_left);
  ADD_TABLE(suite, joining_makes_no_jump_of_the_network, newcomers);
  ADD_TABLE(suite, members_removed_together_leave_the_same_totals_as_one_by_one, goes);
  ADD_TEST(suite, tree_goes_on_without_its_root_and_keeps_its_exit_status);
  ADD_TEST(suite, member_is_ending_when_it_ended_or_leaves);
  ADD_TEST(suite, process_in_two_trees_of_a_group_counts_once);
  ADD_TEST(suite, usage_of_a_process_in_no_tree_is_paused);
  ADD_TEST(suite, member_skips_a_sample_if_its_process_was_sampled_before);
  ADD_TABLE(suite, first_line_of_a_process_that_counts_from_birth_is_since_birth, bases);
  ADD_TEST(suite, destroyed_tree_gives_its_slot_back);
  ADD_TEST(suite, done_frees_all_trees);
}
