#include "core/model/thread_sums.h"
#include "tests/unit/process_table_passes.h"

START_TEST(fresh_roster_is_empty) {
  OWN_ROSTER table = {0};
  ck_assert_ptr_null(denet_process_table_find(&table, 1));
  pass(&table, PIDS());
  EXPECT_THERE(table);
  EXPECT_GONE(table);
}
END_TEST

START_TEST(process_is_new_in_its_first_pass_only) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 5));
  struct denet_process *five = denet_process_table_find(&table, 5);
  ck_assert(five->is_new);
  pass(&table, PIDS(1, 5, 9));
  ck_assert_ptr_eq(denet_process_table_find(&table, 5), five);
  ck_assert(!five->is_new);
  ck_assert(denet_process_table_find(&table, 9)->is_new);
}
END_TEST

START_TEST(what_was_not_shown_is_gone_until_the_next_pass) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 2, 3, 4));
  pass(&table, PIDS(2));
  EXPECT_THERE(table, 2);
  EXPECT_GONE(table, 1, 3, 4);
  ck_assert_ptr_null(denet_process_table_find(&table, 3));
  pass(&table, PIDS(2));
  EXPECT_GONE(table);
}
END_TEST

START_TEST(pid_reuse_starts_a_new_process) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 5, 9));
  struct denet_process *old = denet_process_table_find(&table, 5);
  old->start_ticks = 100;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 1);
  struct denet_process *process = see(&table, 5);
  ck_assert_int_eq(denet_process_table_replace(&table, &process), 0);
  ck_assert_ptr_ne(process, old);
  ck_assert_int_eq(process->pid, 5);
  ck_assert(process->is_new);
  ck_assert_uint_eq(process->start_ticks, 0);
  see(&table, 9);
  denet_process_table_end(&table, true);
  EXPECT_THERE(table, 1, 5, 9);
  EXPECT_GONE(table, 5);
  ck_assert_ptr_eq(table.gone[0], old);
  ck_assert_uint_eq(old->start_ticks, 100);
  ck_assert_ptr_eq(denet_process_table_find(&table, 5), process);
}
END_TEST

START_TEST(known_process_that_vanished_while_looked_at_is_gone) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 5, 9));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 1);
  see(&table, 5);
  denet_process_table_undo(&table);
  see(&table, 9);
  denet_process_table_end(&table, true);
  EXPECT_THERE(table, 1, 9);
  EXPECT_GONE(table, 5);
}
END_TEST

START_TEST(new_process_that_vanished_while_looked_at_was_never_there) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 9));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 1);
  see(&table, 5);
  denet_process_table_undo(&table);
  see(&table, 9);
  denet_process_table_end(&table, true);
  EXPECT_THERE(table, 1, 9);
  EXPECT_GONE(table);
}
END_TEST

START_TEST(last_process_of_a_pass_may_vanish_too) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 9));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 1);
  denet_process_table_undo(&table);
  see(&table, 9);
  denet_process_table_undo(&table);
  see(&table, 10);
  denet_process_table_undo(&table);
  denet_process_table_end(&table, true);
  EXPECT_THERE(table);
  EXPECT_GONE(table, 1, 9);
}
END_TEST

START_TEST(pass_that_was_cut_short_keeps_the_rest) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 3, 5, 7, 9));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 1);
  see(&table, 5);
  denet_process_table_end(&table, false);
  EXPECT_THERE(table, 1, 5, 7, 9);
  ck_assert(!denet_process_table_find(&table, 9)->is_new);
  pass(&table, PIDS(1, 9));
  EXPECT_THERE(table, 1, 9);
}
END_TEST

START_TEST(pass_that_failed_at_once_keeps_everything) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 3, 5));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  denet_process_table_end(&table, false);
  EXPECT_THERE(table, 1, 3, 5);
  EXPECT_GONE(table);
}
END_TEST

START_TEST(find_finds_each_pid_and_no_other) {
  OWN_ROSTER table = {0};
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  for (pid_t pid = 2; pid <= 2000; pid += 2)
    see(&table, pid);
  denet_process_table_end(&table, true);
  for (pid_t pid = 0; pid <= 2002; pid++) {
    const struct denet_process *process = denet_process_table_find(&table, pid);
    bool is_there = pid >= 2 && pid <= 2000 && pid % 2 == 0;
    ck_assert_int_eq(process != NULL, is_there);
    ck_assert(!process || process->pid == pid);
  }
}
END_TEST

START_TEST(process_takes_what_it_owns_with_it) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 2, 3));
  for (size_t i = 0; i < table.count; i++)
    ck_assert_ptr_nonnull(denet_process_use(table.processes[i]));
  pass(&table, PIDS(1));
  pass(&table, PIDS(1));
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_process_table table = {0};
  denet_process_table_done(NULL);
  denet_process_table_done(&table);
  pass(&table, PIDS(1, 2));
  denet_process_table_done(&table);
  denet_process_table_done(&table);
}
END_TEST

/* The same by the simplest means: what process, told by its start time, each pid is. */
#define MODEL_PIDS 100

struct model {
  uint64_t start[MODEL_PIDS]; /* 0: not there */
  uint64_t gone[2 * MODEL_PIDS];
  size_t gone_count;
  uint64_t next_start;
  uint64_t random;
};

static void lose(struct model *model, pid_t pid) {
  if (model->start[pid])
    model->gone[model->gone_count++] = model->start[pid];
  model->start[pid] = 0;
}

/* Shows one pid to both; what happens to it is decided by chance. */
static void show(struct model *model, struct denet_process_table *table, pid_t pid) {
  bool vanishes = roll(&model->random, 20) == 0, is_other = roll(&model->random, 20) == 0;
  struct denet_process *process = see(table, pid);
  ck_assert_int_eq(process->is_new, model->start[pid] == 0);
  if (vanishes) {
    denet_process_table_undo(table);
    lose(model, pid);
    return;
  }
  if (is_other && !process->is_new) {
    ck_assert_int_eq(denet_process_table_replace(table, &process), 0);
    lose(model, pid);
  }
  if (process->is_new)
    process->start_ticks = model->start[pid] = ++model->next_start;
  ck_assert_uint_eq(process->start_ticks, model->start[pid]);
}

static void compare(const struct model *model, const struct denet_process_table *table) {
  size_t count = 0;
  for (pid_t pid = 1; pid < MODEL_PIDS; pid++) {
    const struct denet_process *process = denet_process_table_find(table, pid);
    ck_assert_uint_eq(process ? process->start_ticks : 0, model->start[pid]);
    if (process)
      ck_assert_ptr_eq(table->processes[count++], process);
  }
  ck_assert_uint_eq(table->count, count);
  ck_assert_uint_eq(table->gone_count, model->gone_count);
  for (size_t i = 0; i < model->gone_count; i++)
    ck_assert_uint_eq(table->gone[i]->start_ticks, model->gone[i]);
}

/* One pass over the pids below end; if that is not all of them it was cut short. */
static void pass_by_chance(struct model *model, struct denet_process_table *table, pid_t end) {
  unsigned density = 1 + roll(&model->random, 10);
  pid_t last_shown = 0;
  uint64_t last_start = 0; /* of the one shown last, before it was */
  model->gone_count = 0;
  ck_assert_int_eq(denet_process_table_begin(table), 0);
  for (pid_t pid = 1; pid < end; pid++) {
    if (roll(&model->random, 10) >= density)
      continue;
    for (pid_t between = last_shown + 1; between < pid; between++)
      lose(model, between);
    last_shown = pid;
    last_start = model->start[pid];
    show(model, table, pid);
  }
  /* One that vanished counts as not shown; in a pass that ends there it stays. */
  if (end < MODEL_PIDS && last_start && !model->start[last_shown]) {
    model->start[last_shown] = last_start;
    model->gone_count--;
  }
  for (pid_t rest = last_shown + 1; end == MODEL_PIDS && rest < end; rest++)
    lose(model, rest);
  denet_process_table_end(table, end == MODEL_PIDS);
}

START_TEST(many_random_passes_are_what_a_simple_model_says) {
  OWN_ROSTER table = {0};
  struct model model = {.random = (uint64_t)_i + 1};
  for (int round = 0; round < 60; round++) {
    pass_by_chance(&model, &table, MODEL_PIDS);
    compare(&model, &table);
    if (roll(&model.random, 4))
      continue;
    pass_by_chance(&model, &table, 1 + (pid_t)roll(&model.random, MODEL_PIDS - 1));
    compare(&model, &table);
  }
}
END_TEST

START_TEST(roster_is_sorted_whatever_was_shown) {
  OWN_ROSTER table = {0};
  struct model model = {.random = (uint64_t)_i + 1};
  for (int round = 0; round < 60; round++) {
    unsigned density = roll(&model.random, 11);
    ck_assert_int_eq(denet_process_table_begin(&table), 0);
    for (pid_t pid = 1; pid < MODEL_PIDS; pid++)
      if (roll(&model.random, 10) < density)
        see(&table, pid);
    denet_process_table_end(&table, roll(&model.random, 2));
    for (size_t i = 1; i < table.count; i++)
      ck_assert_int_lt(table.processes[i - 1]->pid, table.processes[i]->pid);
  }
}
END_TEST

START_TEST(unseen_is_the_next_below_the_limit_until_it_is_shown_or_missed) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 3, 5, 9));
  struct denet_process *three = denet_process_table_find(&table, 3);
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 1));
  ck_assert_int_eq(denet_process_table_next_unseen(&table, 2)->pid, 1);
  ck_assert_int_eq(denet_process_table_next_unseen(&table, 100)->pid, 1);
  denet_process_table_remove(&table);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 3));
  ck_assert_ptr_eq(denet_process_table_next_unseen(&table, 4), three);
  ck_assert_ptr_eq(see(&table, 3), three);
  see(&table, 4);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 5));
  see(&table, 5);
  ck_assert_int_eq(denet_process_table_next_unseen(&table, 10)->pid, 9);
  see(&table, 9);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 100));
  denet_process_table_end(&table, true);
  EXPECT_THERE(table, 3, 4, 5, 9);
  EXPECT_GONE(table, 1);
}
END_TEST

START_TEST(empty_roster_has_nobody_unseen) {
  OWN_ROSTER table = {0};
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 100));
  denet_process_table_end(&table, true);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, fresh_roster_is_empty);
  ADD_TEST(suite, process_is_new_in_its_first_pass_only);
  ADD_TEST(suite, what_was_not_shown_is_gone_until_the_next_pass);
  ADD_TEST(suite, pid_reuse_starts_a_new_process);
  ADD_TEST(suite, known_process_that_vanished_while_looked_at_is_gone);
  ADD_TEST(suite, new_process_that_vanished_while_looked_at_was_never_there);
  ADD_TEST(suite, last_process_of_a_pass_may_vanish_too);
  ADD_TEST(suite, pass_that_was_cut_short_keeps_the_rest);
  ADD_TEST(suite, pass_that_failed_at_once_keeps_everything);
  ADD_TEST(suite, find_finds_each_pid_and_no_other);
  ADD_TEST(suite, process_takes_what_it_owns_with_it);
  ADD_TEST(suite, done_may_be_called_twice);
  ADD_TABLE(suite, many_random_passes_are_what_a_simple_model_says, seeds);
  ADD_TABLE(suite, roster_is_sorted_whatever_was_shown, seeds);
  ADD_TEST(suite, unseen_is_the_next_below_the_limit_until_it_is_shown_or_missed);
  ADD_TEST(suite, empty_roster_has_nobody_unseen);
}
