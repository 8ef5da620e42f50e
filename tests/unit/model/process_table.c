#include "core/model/process_table.h"

#include "core/model/thread_sums.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TABLE DENET_CLEANUP(denet_process_table_done) struct denet_process_table
#define MOST_PIDS 300

static const uint64_t seeds[] = {1, 2, 3, 4, 5,
                                 6, 7, 8, 9, 10}; /* of the tests that go by chance */

static struct denet_process *upsert(struct denet_process_table *table, pid_t pid) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_upsert(table, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  ck_assert_ptr_nonnull(denet_process_use(process)); /* a leak is found by the address sanitizer */
  return process;
}

static void add_gone(struct denet_process_table *table, pid_t pid, uint64_t born_ns) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_add_gone(table, pid, &process), 0);
  ck_assert_int_eq(process->pid, pid);
  ck_assert(process->is_new && process->born_ns == 0);
  process->born_ns = born_ns;
}

/* Makes a whole pass over pids, which end with 0. */
static void pass(struct denet_process_table *table, const pid_t *pids) {
  ck_assert_int_eq(denet_process_table_begin(table), 0);
  for (; *pids; pids++)
    upsert(table, *pids);
  denet_process_table_end(table, true);
}

#define PIDS(...) ((const pid_t[]){__VA_ARGS__, 0})

/* What a pass does with each of the pids from 1.
 * Of one that is in the table:
 *   s  takes the next unseen process, and shows it      m  takes it, and removes it
 *   d  shows it                                         r  shows it, and replaces it
 *   v  shows it, and undoes that                        .  passes it over
 * Of one that is not:
 *   n  shows it                                         x  shows it, and replaces it
 *   g  adds it to the processes that are gone           w  shows it, and undoes that
 *   _  nothing
 * A | behind the last pid: the pass was cut short. */
/* clang-format off */
static const char *const scripts[] = {
    "s", "m", "ssss", "mmmm", "smsmsm", "msmsms", "....s", "....m", "s....", "m....", "dsmdsmd",
    "snsnsnmnmnm", "rsrmr", "rrrr", "vvvv", "wwww", "nnnnsmsm", "vsvmv", "gggg", "gmgmgm", "mgmgmg",
    "ggggmmmm", "mmmmgggg", "ggggssss", "gggg....", "....gggg", ".s.m.d.n.", "msvr.dn",
    "g.gvg.grgnggsgm", "s__m__n__d__g__.", "dv", "vv", "dw", "d_v_w", "d.d..|", ".....|", "d.v.|",
    "..v|", "m.s_g..|", "w.|", ".w|",
    "........................................", "x", "xxxx", "gxgxr.m", "xdxvx|"};
/* clang-format on */

struct scene {
  struct denet_process_table table;
  const struct denet_process *known[MOST_PIDS + 1]; /* at its pid; NULL: not in the table */
};

/* Returns the unseen process with this pid, after those below it are removed. */
static struct denet_process *next_unseen(struct denet_process_table *table, pid_t pid) {
  while (denet_process_table_next_unseen(table, pid))
    denet_process_table_remove(table);
  struct denet_process *process = denet_process_table_next_unseen(table, pid + 1);
  ck_assert_ptr_nonnull(process);
  ck_assert_int_eq(process->pid, pid);
  return process;
}

static void visit(struct denet_process_table *table, pid_t pid, char step) {
  struct denet_process *process = strchr("sm", step) ? next_unseen(table, pid) : NULL;
  if (step == 's')
    ck_assert_ptr_eq(upsert(table, pid), process);
  if (step == 'm')
    denet_process_table_remove(table);
  const struct denet_process *known = denet_process_table_peek(table, pid);
  if (strchr("dnvwrx", step)) {
    process = upsert(table, pid);
    ck_assert_ptr_eq(known, process->is_new ? NULL : process);
  }
  if (strchr("vw", step))
    denet_process_table_undo(table);
  if (strchr("rx", step)) {
    struct denet_process *old = process;
    old->born_ns = 7;
    ck_assert_int_eq(denet_process_table_replace(table, &process), 0);
    ck_assert(process != old && process->born_ns == 0 && old->born_ns == 7);
  }
  if (step == 'g')
    add_gone(table, pid, 5);
}

/* Compares the table with what the script has done to it. All known processes with pids below limit
 * have been passed. */
static void compare(struct scene *scene, const char *script, pid_t limit) {
  const struct denet_process_table *table = &scene->table;
  size_t count = 0, gone_count = 0;
  for (pid_t pid = 1; strchr("|", script[pid - 1]) == NULL; pid++) {
    char step = script[pid - 1];
    const struct denet_process **known = &scene->known[pid];
    bool is_kept = strchr("sd", step) || (strchr(".v", step) && pid >= limit);
    bool is_new = strchr("nrx", step);
    if (strchr("m.vrgx", step) && !is_kept) {
      const struct denet_process *gone = table->gone[gone_count++];
      ck_assert_int_eq(gone->pid, pid);
      ck_assert(!*known || gone == *known);
      ck_assert_int_eq(gone->is_new, !*known);
    }
    const struct denet_process *process = is_kept || is_new ? table->processes[count++] : NULL;
    ck_assert_ptr_eq(denet_process_table_find(table, pid), process);
    if (process) {
      ck_assert_int_eq(process->pid, pid);
      ck_assert_int_eq(process->is_new, is_new);
      ck_assert_int_eq(process == *known, is_kept);
    }
    *known = process;
  }
  ck_assert_uint_eq(table->count, count);
  ck_assert_uint_eq(table->gone_count, gone_count);
}

static void play(struct scene *scene, const char *script) {
  pid_t pid = 1, limit = 1;
  ck_assert_int_eq(denet_process_table_begin(&scene->table), 0);
  for (; strchr("|", script[pid - 1]) == NULL; pid++) {
    char step = script[pid - 1];
    visit(&scene->table, pid, step);
    if (strchr("smdrnxvw", step))
      limit = pid + (step != 'v');
  }
  bool is_complete = script[pid - 1] == '\0';
  denet_process_table_end(&scene->table, is_complete);
  compare(scene, script, is_complete ? pid : limit);
}

START_TEST(each_step_of_a_pass_keeps_the_order) {
  struct scene scene = {0};
  char setup[MOST_PIDS + 2];
  size_t length = strcspn(scripts[_i], "|");
  for (size_t i = 0; i < length; i++)
    setup[i] = strchr("nwgx_", scripts[_i][i]) ? '_' : 'n';
  setup[length] = '\0';
  play(&scene, setup);
  play(&scene, scripts[_i]);
  denet_process_table_done(&scene.table);
}
END_TEST

START_TEST(steps_and_passes_mix) {
  uint64_t random = seeds[_i];
  struct scene scene = {0};
  for (int round = 0; round < 60; round++) {
    char script[MOST_PIDS + 2];
    for (size_t i = 0; i <= MOST_PIDS; i++) {
      random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      script[i] = scene.known[i + 1 > MOST_PIDS ? 0 : i + 1] ? "smdvr."[(random >> 33) % 6]
                                                             : "nwgx_"[(random >> 33) % 5];
    }
    script[MOST_PIDS] = (random >> 43) % 4 ? '\0' : '|';
    script[MOST_PIDS + 1] = '\0';
    play(&scene, script);
  }
  denet_process_table_done(&scene.table);
}
END_TEST

START_TEST(fresh_table_is_empty_and_done_may_be_called_twice) {
  struct denet_process_table table = {0};
  denet_process_table_done(NULL);
  denet_process_table_done(&table);
  ck_assert_ptr_null(denet_process_table_find(&table, 1));
  ck_assert_ptr_null(denet_process_table_peek(&table, 1));
  ck_assert_ptr_null(denet_process_table_find_gone(&table, 1, UINT64_MAX));
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  ck_assert_ptr_null(denet_process_table_next_unseen(&table, 100));
  denet_process_table_end(&table, true);
  ck_assert_uint_eq(table.count + table.gone_count, 0);
  pass(&table, PIDS(1, 2));
  denet_process_table_done(&table);
  denet_process_table_done(&table);
}
END_TEST

static const bool is_replaced[] = {false, true};

START_TEST(one_added_between_upsert_and_undo_leaves_space_for_all_others) {
  for (pid_t count = 1; count < 70; count++) {
    TABLE table = {0};
    ck_assert_int_eq(denet_process_table_begin(&table), 0);
    for (pid_t pid = 1; pid <= count; pid++)
      upsert(&table, pid);
    denet_process_table_end(&table, true);
    ck_assert_int_eq(denet_process_table_begin(&table), 0);
    struct denet_process *process = upsert(&table, 1);
    add_gone(&table, 100, 5);
    if (is_replaced[_i])
      ck_assert_int_eq(denet_process_table_replace(&table, &process), 0);
    else
      denet_process_table_undo(&table);
    denet_process_table_end(&table, true);
    ck_assert_uint_eq(table.gone_count, (size_t)count + 1);
    ck_assert_int_eq(table.gone[0]->pid, 1);
    ck_assert_int_eq(table.gone[count]->pid, 100);
  }
}
END_TEST

static const struct {
  pid_t pid;
  uint64_t born_ns, found_ns; /* 0: none */
} searches[] = {
    {5, 9, 0},   {5, 10, 10}, {5, 11, 10}, {5, 19, 10},         {5, 20, 20},
    {5, 29, 20}, {5, 30, 30}, {5, 31, 30}, {5, UINT64_MAX, 30}, {5, 0, 0},
    {4, 50, 0},  {6, 50, 0},  {7, 49, 0},  {7, 50, 50},         {7, UINT64_MAX, 50},
    {8, 50, 0},  {3, 50, 0},  {3, 60, 60}, {2, UINT64_MAX, 0},  {9, UINT64_MAX, 0},
};

START_TEST(youngest_that_was_born_by_then_is_found_among_the_gone) {
  TABLE table = {0};
  pass(&table, PIDS(3, 5, 8));
  denet_process_table_find(&table, 3)->born_ns = 60;
  denet_process_table_find(&table, 5)->born_ns = 20;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  upsert(&table, 8);
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

void add_cases(Suite *suite) {
  ADD_TABLE(suite, each_step_of_a_pass_keeps_the_order, scripts);
  ADD_TABLE(suite, steps_and_passes_mix, seeds);
  ADD_TEST(suite, fresh_table_is_empty_and_done_may_be_called_twice);
  ADD_TABLE(suite, one_added_between_upsert_and_undo_leaves_space_for_all_others, is_replaced);
  ADD_TABLE(suite, youngest_that_was_born_by_then_is_found_among_the_gone, searches);
}
