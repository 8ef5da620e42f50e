/* All that a pass may do with a process, and those that it finds to be gone. */
#include "tests/unit/process_table_passes.h"

/* What a pass does with each of the pids from 1:
 * s: the unseen one is shown again    m: the unseen one is missed    .: it is passed over
 * d: it is shown without a look       v: likewise, and vanishes      r: likewise, and is another
 * n: new, shown                       g: not there, and known to be gone       _: neither */
static const char *const scripts[] = {
    "s",
    "m",
    "ssss",
    "mmmm",
    "smsmsm",
    "msmsms",
    "dsmdsmd",
    "snsnsnmnmnm",
    "nnnnsmsm",
    "....s",
    "....m",
    "s....",
    "m....",
    ".s.m.d.n.",
    "vsvmv",
    "msvr.dn",
    "rsrmr",
    "rrrr",
    "vvvv",
    "gggg",
    "gmgmgm",
    "mgmgmg",
    "ggggmmmm",
    "mmmmgggg",
    "ggggssss",
    "gggg....",
    "....gggg",
    "g.gvg.grgnggsgm",
    "s__m__n__d__g__.",
};

#define SCRIPT_MOST 300

static bool was_there(char did) { return !strchr("ng_", did); }

/* The unseen process with this pid, once those below it are missed. */
static struct denet_process *find_unseen(struct denet_process_table *table, pid_t pid) {
  while (denet_process_table_next_unseen(table, pid))
    denet_process_table_remove(table);
  struct denet_process *process = denet_process_table_next_unseen(table, pid + 1);
  ck_assert_ptr_nonnull(process);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

static void add_gone(struct denet_process_table *table, pid_t pid, uint64_t born_ns) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_add_gone(table, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  ck_assert(process->is_new && process->born_ns == 0);
  process->born_ns = born_ns;
}

static void play(struct denet_process_table *table, pid_t pid, char does) {
  struct denet_process *process = NULL;
  if (strchr("sm", does))
    process = find_unseen(table, pid);
  if (does == 's')
    ck_assert_ptr_eq(see(table, pid), process);
  if (does == 'm')
    denet_process_table_remove(table);
  if (strchr("dnvr", does))
    process = see(table, pid);
  if (does == 'v')
    denet_process_table_undo(table);
  if (does == 'r')
    ck_assert_int_eq(denet_process_table_replace(table, &process), 0);
  if (does == 'g')
    add_gone(table, pid, 5);
}

static void play_all(const char *script) {
  OWN_ROSTER table = {0};
  const struct denet_process *before[SCRIPT_MOST];
  ck_assert_uint_le(strlen(script), SCRIPT_MOST);
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  for (pid_t i = 0; script[i]; i++)
    before[i] = was_there(script[i]) ? see(&table, i + 1) : NULL;
  denet_process_table_end(&table, true);
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  for (pid_t i = 0; script[i]; i++)
    play(&table, i + 1, script[i]);
  denet_process_table_end(&table, true);
  size_t there = 0, gone = 0;
  for (pid_t i = 0; script[i]; i++) {
    if (strchr("sdnr", script[i])) {
      const struct denet_process *process = table.processes[there++];
      ck_assert_int_eq(process->pid, i + 1);
      ck_assert_int_eq(process == before[i], strchr("sd", script[i]) != NULL);
      ck_assert_int_eq(process->is_new, strchr("nr", script[i]) != NULL);
    }
    if (strchr("m.vrg", script[i])) {
      const struct denet_process *process = table.gone[gone++];
      ck_assert_int_eq(process->pid, i + 1);
      ck_assert(script[i] == 'g' || process == before[i]);
      ck_assert_int_eq(process->is_new, script[i] == 'g');
    }
  }
  ck_assert_uint_eq(table.count, there);
  ck_assert_uint_eq(table.gone_count, gone);
}

START_TEST(each_way_to_pass_a_process_keeps_the_order) { play_all(scripts[_i]); }
END_TEST

START_TEST(ways_to_pass_processes_mix) {
  uint64_t random = (uint64_t)_i + 1;
  for (int round = 0; round < 40; round++) {
    char script[SCRIPT_MOST + 1] = "";
    unsigned length = 1 + roll(&random, SCRIPT_MOST - 1);
    for (unsigned i = 0; i < length; i++)
      script[i] = "smdvrng_."[roll(&random, 9)];
    play_all(script);
  }
}
END_TEST

/* How many are there, are shown before others are found to be gone, and are found so. */
static const struct {
  pid_t there, shown, added;
} crowds[] = {{0, 0, 1},   {0, 0, 1000},   {1, 0, 1},      {10, 0, 10},     {10, 5, 10},
              {10, 10, 1}, {64, 0, 64},    {1000, 0, 999}, {1000, 0, 1001}, {1000, 500, 3000},
              {7, 3, 2},   {1000, 999, 1}, {1000, 1, 1}};

START_TEST(those_found_to_be_gone_leave_room_for_those_still_missed) {
  OWN_ROSTER table = {0};
  for (int round = 0; round < 3; round++) {
    ck_assert_int_eq(denet_process_table_begin(&table), 0);
    for (pid_t pid = 1; pid <= crowds[_i].there; pid++)
      see(&table, pid);
    denet_process_table_end(&table, true);
    ck_assert_int_eq(denet_process_table_begin(&table), 0);
    for (pid_t pid = 1; pid <= crowds[_i].shown; pid++)
      see(&table, pid);
    for (pid_t i = 0; i < crowds[_i].added; i++)
      add_gone(&table, 5000 - i, 5);
    denet_process_table_end(&table, true);
    size_t missed = (size_t)(crowds[_i].there - crowds[_i].shown);
    ck_assert_uint_eq(table.count, crowds[_i].shown);
    ck_assert_uint_eq(table.gone_count, missed + (size_t)crowds[_i].added);
    for (size_t i = 1; i < table.gone_count; i++)
      ck_assert_int_lt(table.gone[i - 1]->pid, table.gone[i]->pid);
  }
}
END_TEST

static const bool becomes_another[] = {false, true};

START_TEST(one_found_to_be_gone_while_another_is_looked_at_leaves_room_for_that) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 2, 3, 4));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  struct denet_process *process = see(&table, 1);
  add_gone(&table, 100, 5);
  if (becomes_another[_i])
    ck_assert_int_eq(denet_process_table_replace(&table, &process), 0);
  else
    denet_process_table_undo(&table);
  denet_process_table_end(&table, true);
  EXPECT_GONE(table, 1, 2, 3, 4, 100);
}
END_TEST

START_TEST(pass_that_was_cut_short_keeps_what_it_missed_gone) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(1, 3, 5, 7));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  ck_assert_int_eq(find_unseen(&table, 1)->pid, 1);
  denet_process_table_remove(&table);
  ck_assert_int_eq(find_unseen(&table, 3)->pid, 3);
  see(&table, 3);
  add_gone(&table, 4, 5);
  denet_process_table_end(&table, false);
  EXPECT_THERE(table, 3, 5, 7);
  EXPECT_GONE(table, 1, 4);
}
END_TEST

static const struct {
  pid_t pid;
  uint64_t born_ns, found_ns; /* 0: nobody */
} searches[] = {
    {5, 9, 0},   {5, 10, 10}, {5, 11, 10}, {5, 19, 10},         {5, 20, 20},
    {5, 29, 20}, {5, 30, 30}, {5, 31, 30}, {5, UINT64_MAX, 30}, {5, 0, 0},
    {4, 50, 0},  {6, 50, 0},  {7, 49, 0},  {7, 50, 50},         {7, UINT64_MAX, 50},
    {8, 50, 0},  {3, 50, 0},  {3, 60, 60}, {2, UINT64_MAX, 0},  {9, UINT64_MAX, 0},
};

START_TEST(youngest_that_was_born_by_then_is_found_among_the_gone) {
  OWN_ROSTER table = {0};
  pass(&table, PIDS(3, 5, 8));
  denet_process_table_find(&table, 3)->born_ns = 60;
  denet_process_table_find(&table, 5)->born_ns = 20;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  see(&table, 8);
  add_gone(&table, 7, 50);
  add_gone(&table, 5, 30);
  add_gone(&table, 5, 10);
  denet_process_table_end(&table, true);
  const struct denet_process *found =
      denet_process_table_find_gone(&table, searches[_i].pid, searches[_i].born_ns);
  ck_assert_uint_eq(found ? found->born_ns : 0, searches[_i].found_ns);
  ck_assert(!found || found->pid == searches[_i].pid);
}
END_TEST

START_TEST(nobody_is_found_among_the_gone_of_a_fresh_roster) {
  OWN_ROSTER table = {0};
  ck_assert_ptr_null(denet_process_table_find_gone(&table, 1, UINT64_MAX));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, each_way_to_pass_a_process_keeps_the_order, scripts);
  ADD_TABLE(suite, ways_to_pass_processes_mix, seeds);
  ADD_TABLE(suite, those_found_to_be_gone_leave_room_for_those_still_missed, crowds);
  ADD_TABLE(suite, one_found_to_be_gone_while_another_is_looked_at_leaves_room_for_that,
            becomes_another);
  ADD_TEST(suite, pass_that_was_cut_short_keeps_what_it_missed_gone);
  ADD_TABLE(suite, youngest_that_was_born_by_then_is_found_among_the_gone, searches);
  ADD_TEST(suite, nobody_is_found_among_the_gone_of_a_fresh_roster);
}
