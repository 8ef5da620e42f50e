#include "core/roster.h"

#include "core/cleanup.h"
#include "core/threads.h"

#include "tests/unit.h"

#include <string.h>

#define OWN_ROSTER DENET_CLEANUP(denet_roster_done) struct denet_roster

static struct denet_process *see(struct denet_roster *roster, pid_t pid) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_roster_see(roster, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

/* A whole pass over pids, which end with 0. */
static void pass(struct denet_roster *roster, const pid_t *pids) {
  ck_assert_int_eq(denet_roster_begin(roster), 0);
  for (; *pids; pids++)
    see(roster, *pids);
  denet_roster_end(roster, true);
}

static void expect_pids(struct denet_process *const *processes, size_t count, const pid_t *pids) {
  size_t i = 0;
  for (; pids[i]; i++) {
    ck_assert_uint_lt(i, count);
    ck_assert_int_eq(processes[i]->pid, pids[i]);
  }
  ck_assert_uint_eq(count, i);
}

#define PIDS(...) ((const pid_t[]){__VA_ARGS__ __VA_OPT__(, ) 0})
#define EXPECT_THERE(roster, ...) expect_pids((roster).processes, (roster).count, PIDS(__VA_ARGS__))
#define EXPECT_GONE(roster, ...) expect_pids((roster).gone, (roster).gone_count, PIDS(__VA_ARGS__))

START_TEST(fresh_roster_is_empty) {
  OWN_ROSTER roster = {0};
  ck_assert_ptr_null(denet_roster_find(&roster, 1));
  pass(&roster, PIDS());
  EXPECT_THERE(roster);
  EXPECT_GONE(roster);
}
END_TEST

START_TEST(process_is_new_in_its_first_pass_only) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 5));
  struct denet_process *five = denet_roster_find(&roster, 5);
  ck_assert(five->is_new);
  pass(&roster, PIDS(1, 5, 9));
  ck_assert_ptr_eq(denet_roster_find(&roster, 5), five);
  ck_assert(!five->is_new);
  ck_assert(denet_roster_find(&roster, 9)->is_new);
}
END_TEST

START_TEST(what_was_not_shown_is_gone_until_the_next_pass) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 2, 3, 4));
  pass(&roster, PIDS(2));
  EXPECT_THERE(roster, 2);
  EXPECT_GONE(roster, 1, 3, 4);
  ck_assert_ptr_null(denet_roster_find(&roster, 3));
  pass(&roster, PIDS(2));
  EXPECT_GONE(roster);
}
END_TEST

START_TEST(pid_reuse_starts_a_new_process) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 5, 9));
  struct denet_process *old = denet_roster_find(&roster, 5);
  old->start_ticks = 100;
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 1);
  struct denet_process *process = see(&roster, 5);
  ck_assert_int_eq(denet_roster_replace(&roster, &process), 0);
  ck_assert_ptr_ne(process, old);
  ck_assert_int_eq(process->pid, 5);
  ck_assert(process->is_new);
  ck_assert_uint_eq(process->start_ticks, 0);
  see(&roster, 9);
  denet_roster_end(&roster, true);
  EXPECT_THERE(roster, 1, 5, 9);
  EXPECT_GONE(roster, 5);
  ck_assert_ptr_eq(roster.gone[0], old);
  ck_assert_uint_eq(old->start_ticks, 100);
  ck_assert_ptr_eq(denet_roster_find(&roster, 5), process);
}
END_TEST

START_TEST(known_process_that_vanished_while_looked_at_is_gone) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 5, 9));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 1);
  see(&roster, 5);
  denet_roster_unsee(&roster);
  see(&roster, 9);
  denet_roster_end(&roster, true);
  EXPECT_THERE(roster, 1, 9);
  EXPECT_GONE(roster, 5);
}
END_TEST

START_TEST(new_process_that_vanished_while_looked_at_was_never_there) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 9));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 1);
  see(&roster, 5);
  denet_roster_unsee(&roster);
  see(&roster, 9);
  denet_roster_end(&roster, true);
  EXPECT_THERE(roster, 1, 9);
  EXPECT_GONE(roster);
}
END_TEST

START_TEST(last_process_of_a_pass_may_vanish_too) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 9));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 1);
  denet_roster_unsee(&roster);
  see(&roster, 9);
  denet_roster_unsee(&roster);
  see(&roster, 10);
  denet_roster_unsee(&roster);
  denet_roster_end(&roster, true);
  EXPECT_THERE(roster);
  EXPECT_GONE(roster, 1, 9);
}
END_TEST

START_TEST(pass_that_was_cut_short_keeps_the_rest) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 3, 5, 7, 9));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 1);
  see(&roster, 5);
  denet_roster_end(&roster, false);
  EXPECT_THERE(roster, 1, 5, 7, 9);
  ck_assert(!denet_roster_find(&roster, 9)->is_new);
  pass(&roster, PIDS(1, 9));
  EXPECT_THERE(roster, 1, 9);
}
END_TEST

START_TEST(pass_that_failed_at_once_keeps_everything) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 3, 5));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  denet_roster_end(&roster, false);
  EXPECT_THERE(roster, 1, 3, 5);
  EXPECT_GONE(roster);
}
END_TEST

START_TEST(find_finds_each_pid_and_no_other) {
  OWN_ROSTER roster = {0};
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  for (pid_t pid = 2; pid <= 2000; pid += 2)
    see(&roster, pid);
  denet_roster_end(&roster, true);
  for (pid_t pid = 0; pid <= 2002; pid++) {
    const struct denet_process *process = denet_roster_find(&roster, pid);
    bool is_there = pid >= 2 && pid <= 2000 && pid % 2 == 0;
    ck_assert_int_eq(process != NULL, is_there);
    ck_assert(!process || process->pid == pid);
  }
}
END_TEST

START_TEST(process_takes_what_it_owns_with_it) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 2, 3));
  for (size_t i = 0; i < roster.count; i++)
    ck_assert_ptr_nonnull(roster.processes[i]->threads = denet_threads_new());
  pass(&roster, PIDS(1));
  pass(&roster, PIDS(1));
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_roster roster = {0};
  denet_roster_done(NULL);
  denet_roster_done(&roster);
  pass(&roster, PIDS(1, 2));
  denet_roster_done(&roster);
  denet_roster_done(&roster);
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

static unsigned roll(struct model *model, unsigned sides) {
  model->random = model->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(model->random >> 33) % sides;
}

static void lose(struct model *model, pid_t pid) {
  if (model->start[pid])
    model->gone[model->gone_count++] = model->start[pid];
  model->start[pid] = 0;
}

/* Shows one pid to both; what happens to it is decided by chance. */
static void show(struct model *model, struct denet_roster *roster, pid_t pid) {
  bool vanishes = roll(model, 20) == 0, is_other = roll(model, 20) == 0;
  struct denet_process *process = see(roster, pid);
  ck_assert_int_eq(process->is_new, model->start[pid] == 0);
  if (vanishes) {
    denet_roster_unsee(roster);
    lose(model, pid);
    return;
  }
  if (is_other && !process->is_new) {
    ck_assert_int_eq(denet_roster_replace(roster, &process), 0);
    lose(model, pid);
  }
  if (process->is_new)
    process->start_ticks = model->start[pid] = ++model->next_start;
  ck_assert_uint_eq(process->start_ticks, model->start[pid]);
}

static void compare(const struct model *model, const struct denet_roster *roster) {
  size_t count = 0;
  for (pid_t pid = 1; pid < MODEL_PIDS; pid++) {
    const struct denet_process *process = denet_roster_find(roster, pid);
    ck_assert_uint_eq(process ? process->start_ticks : 0, model->start[pid]);
    if (process)
      ck_assert_ptr_eq(roster->processes[count++], process);
  }
  ck_assert_uint_eq(roster->count, count);
  ck_assert_uint_eq(roster->gone_count, model->gone_count);
  for (size_t i = 0; i < model->gone_count; i++)
    ck_assert_uint_eq(roster->gone[i]->start_ticks, model->gone[i]);
}

/* One pass over the pids below end; if that is not all of them it was cut short. */
static void pass_by_chance(struct model *model, struct denet_roster *roster, pid_t end) {
  unsigned density = 1 + roll(model, 10);
  pid_t last_shown = 0;
  uint64_t last_start = 0; /* of the one shown last, before it was */
  model->gone_count = 0;
  ck_assert_int_eq(denet_roster_begin(roster), 0);
  for (pid_t pid = 1; pid < end; pid++) {
    if (roll(model, 10) >= density)
      continue;
    for (pid_t between = last_shown + 1; between < pid; between++)
      lose(model, between);
    last_shown = pid;
    last_start = model->start[pid];
    show(model, roster, pid);
  }
  /* One that vanished counts as not shown; in a pass that ends there it stays. */
  if (end < MODEL_PIDS && last_start && !model->start[last_shown]) {
    model->start[last_shown] = last_start;
    model->gone_count--;
  }
  for (pid_t rest = last_shown + 1; end == MODEL_PIDS && rest < end; rest++)
    lose(model, rest);
  denet_roster_end(roster, end == MODEL_PIDS);
}

START_TEST(many_random_passes_are_what_a_simple_model_says) {
  OWN_ROSTER roster = {0};
  struct model model = {.random = (uint64_t)_i + 1};
  for (int round = 0; round < 60; round++) {
    pass_by_chance(&model, &roster, MODEL_PIDS);
    compare(&model, &roster);
    if (roll(&model, 4))
      continue;
    pass_by_chance(&model, &roster, 1 + (pid_t)roll(&model, MODEL_PIDS - 1));
    compare(&model, &roster);
  }
}
END_TEST

START_TEST(roster_is_sorted_whatever_was_shown) {
  OWN_ROSTER roster = {0};
  struct model model = {.random = (uint64_t)_i + 1};
  for (int round = 0; round < 60; round++) {
    unsigned density = roll(&model, 11);
    ck_assert_int_eq(denet_roster_begin(&roster), 0);
    for (pid_t pid = 1; pid < MODEL_PIDS; pid++)
      if (roll(&model, 10) < density)
        see(&roster, pid);
    denet_roster_end(&roster, roll(&model, 2));
    for (size_t i = 1; i < roster.count; i++)
      ck_assert_int_lt(roster.processes[i - 1]->pid, roster.processes[i]->pid);
  }
}
END_TEST

START_TEST(unseen_is_the_next_below_the_limit_until_it_is_shown_or_missed) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 3, 5, 9));
  struct denet_process *three = denet_roster_find(&roster, 3);
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  ck_assert_ptr_null(denet_roster_unseen(&roster, 1));
  ck_assert_int_eq(denet_roster_unseen(&roster, 2)->pid, 1);
  ck_assert_int_eq(denet_roster_unseen(&roster, 100)->pid, 1);
  denet_roster_miss(&roster);
  ck_assert_ptr_null(denet_roster_unseen(&roster, 3));
  ck_assert_ptr_eq(denet_roster_unseen(&roster, 4), three);
  ck_assert_ptr_eq(see(&roster, 3), three);
  see(&roster, 4);
  ck_assert_ptr_null(denet_roster_unseen(&roster, 5));
  see(&roster, 5);
  ck_assert_int_eq(denet_roster_unseen(&roster, 10)->pid, 9);
  see(&roster, 9);
  ck_assert_ptr_null(denet_roster_unseen(&roster, 100));
  denet_roster_end(&roster, true);
  EXPECT_THERE(roster, 3, 4, 5, 9);
  EXPECT_GONE(roster, 1);
}
END_TEST

START_TEST(empty_roster_has_nobody_unseen) {
  OWN_ROSTER roster = {0};
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  ck_assert_ptr_null(denet_roster_unseen(&roster, 100));
  denet_roster_end(&roster, true);
}
END_TEST

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
static struct denet_process *find_unseen(struct denet_roster *roster, pid_t pid) {
  while (denet_roster_unseen(roster, pid))
    denet_roster_miss(roster);
  struct denet_process *process = denet_roster_unseen(roster, pid + 1);
  ck_assert_ptr_nonnull(process);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

static void add_gone(struct denet_roster *roster, pid_t pid, uint64_t born_ns) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_roster_add_gone(roster, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  ck_assert(process->is_new && process->born_ns == 0);
  process->born_ns = born_ns;
}

static void play(struct denet_roster *roster, pid_t pid, char does) {
  struct denet_process *process = NULL;
  if (strchr("sm", does))
    process = find_unseen(roster, pid);
  if (does == 's')
    ck_assert_ptr_eq(see(roster, pid), process);
  if (does == 'm')
    denet_roster_miss(roster);
  if (strchr("dnvr", does))
    process = see(roster, pid);
  if (does == 'v')
    denet_roster_unsee(roster);
  if (does == 'r')
    ck_assert_int_eq(denet_roster_replace(roster, &process), 0);
  if (does == 'g')
    add_gone(roster, pid, 5);
}

static void play_all(const char *script) {
  OWN_ROSTER roster = {0};
  const struct denet_process *before[SCRIPT_MOST];
  ck_assert_uint_le(strlen(script), SCRIPT_MOST);
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  for (pid_t i = 0; script[i]; i++)
    before[i] = was_there(script[i]) ? see(&roster, i + 1) : NULL;
  denet_roster_end(&roster, true);
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  for (pid_t i = 0; script[i]; i++)
    play(&roster, i + 1, script[i]);
  denet_roster_end(&roster, true);
  size_t there = 0, gone = 0;
  for (pid_t i = 0; script[i]; i++) {
    if (strchr("sdnr", script[i])) {
      const struct denet_process *process = roster.processes[there++];
      ck_assert_int_eq(process->pid, i + 1);
      ck_assert_int_eq(process == before[i], strchr("sd", script[i]) != NULL);
      ck_assert_int_eq(process->is_new, strchr("nr", script[i]) != NULL);
    }
    if (strchr("m.vrg", script[i])) {
      const struct denet_process *process = roster.gone[gone++];
      ck_assert_int_eq(process->pid, i + 1);
      ck_assert(script[i] == 'g' || process == before[i]);
      ck_assert_int_eq(process->is_new, script[i] == 'g');
    }
  }
  ck_assert_uint_eq(roster.count, there);
  ck_assert_uint_eq(roster.gone_count, gone);
}

START_TEST(each_way_to_pass_a_process_keeps_the_order) { play_all(scripts[_i]); }
END_TEST

static const int seeds[10];

START_TEST(ways_to_pass_processes_mix) {
  struct model model = {.random = (uint64_t)_i + 1};
  for (int round = 0; round < 40; round++) {
    char script[SCRIPT_MOST + 1] = "";
    unsigned length = 1 + roll(&model, SCRIPT_MOST - 1);
    for (unsigned i = 0; i < length; i++)
      script[i] = "smdvrng_."[roll(&model, 9)];
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
  OWN_ROSTER roster = {0};
  for (int round = 0; round < 3; round++) {
    ck_assert_int_eq(denet_roster_begin(&roster), 0);
    for (pid_t pid = 1; pid <= crowds[_i].there; pid++)
      see(&roster, pid);
    denet_roster_end(&roster, true);
    ck_assert_int_eq(denet_roster_begin(&roster), 0);
    for (pid_t pid = 1; pid <= crowds[_i].shown; pid++)
      see(&roster, pid);
    for (pid_t i = 0; i < crowds[_i].added; i++)
      add_gone(&roster, 5000 - i, 5);
    denet_roster_end(&roster, true);
    size_t missed = (size_t)(crowds[_i].there - crowds[_i].shown);
    ck_assert_uint_eq(roster.count, crowds[_i].shown);
    ck_assert_uint_eq(roster.gone_count, missed + (size_t)crowds[_i].added);
    for (size_t i = 1; i < roster.gone_count; i++)
      ck_assert_int_lt(roster.gone[i - 1]->pid, roster.gone[i]->pid);
  }
}
END_TEST

static const bool becomes_another[] = {false, true};

START_TEST(one_found_to_be_gone_while_another_is_looked_at_leaves_room_for_that) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 2, 3, 4));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  struct denet_process *process = see(&roster, 1);
  add_gone(&roster, 100, 5);
  if (becomes_another[_i])
    ck_assert_int_eq(denet_roster_replace(&roster, &process), 0);
  else
    denet_roster_unsee(&roster);
  denet_roster_end(&roster, true);
  EXPECT_GONE(roster, 1, 2, 3, 4, 100);
}
END_TEST

START_TEST(pass_that_was_cut_short_keeps_what_it_missed_gone) {
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(1, 3, 5, 7));
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  ck_assert_int_eq(find_unseen(&roster, 1)->pid, 1);
  denet_roster_miss(&roster);
  ck_assert_int_eq(find_unseen(&roster, 3)->pid, 3);
  see(&roster, 3);
  add_gone(&roster, 4, 5);
  denet_roster_end(&roster, false);
  EXPECT_THERE(roster, 3, 5, 7);
  EXPECT_GONE(roster, 1, 4);
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
  OWN_ROSTER roster = {0};
  pass(&roster, PIDS(3, 5, 8));
  denet_roster_find(&roster, 3)->born_ns = 60;
  denet_roster_find(&roster, 5)->born_ns = 20;
  ck_assert_int_eq(denet_roster_begin(&roster), 0);
  see(&roster, 8);
  add_gone(&roster, 7, 50);
  add_gone(&roster, 5, 30);
  add_gone(&roster, 5, 10);
  denet_roster_end(&roster, true);
  const struct denet_process *found =
      denet_roster_find_gone(&roster, searches[_i].pid, searches[_i].born_ns);
  ck_assert_uint_eq(found ? found->born_ns : 0, searches[_i].found_ns);
  ck_assert(!found || found->pid == searches[_i].pid);
}
END_TEST

START_TEST(nobody_is_found_among_the_gone_of_a_fresh_roster) {
  OWN_ROSTER roster = {0};
  ck_assert_ptr_null(denet_roster_find_gone(&roster, 1, UINT64_MAX));
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
  ADD_TABLE(suite, each_way_to_pass_a_process_keeps_the_order, scripts);
  ADD_TABLE(suite, ways_to_pass_processes_mix, seeds);
  ADD_TABLE(suite, those_found_to_be_gone_leave_room_for_those_still_missed, crowds);
  ADD_TABLE(suite, one_found_to_be_gone_while_another_is_looked_at_leaves_room_for_that,
            becomes_another);
  ADD_TEST(suite, pass_that_was_cut_short_keeps_what_it_missed_gone);
  ADD_TABLE(suite, youngest_that_was_born_by_then_is_found_among_the_gone, searches);
  ADD_TEST(suite, nobody_is_found_among_the_gone_of_a_fresh_roster);
}
