#include "core/stacks/profiler.h"

#include "core/stacks/stack_worker.h"
#include "core/stacks/tracer.h"
#include "tests/unit/unit.h"

#include <errno.h>

/* The kernel and the thread for stacks, as the profiler sees them: these stand in for tracer.c and
 * symbolizer.c, which are not linked. */
static struct {
  struct denet_off_cpu_thread thread; /* what the kernel lists */
  struct denet_off_cpu_sums end;      /* and tells next */
  bool lists, tells;
  bool fails; /* to list */
  bool is_followed;
  bool is_known;      /* its mappings are held */
  unsigned forgotten; /* times that the sums of its exited threads were */
} env;

int denet_tracer_open(const struct denet_tracer_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer) {
  (void)settings, (void)error;
  *out_tracer = (void *)&env;
  return 0;
}

void denet_tracer_free(struct denet_tracer *tracer) { (void)tracer; }

void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed) {
  (void)tracer, (void)pid;
  env.is_followed = is_followed;
}

void denet_tracer_forget(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns) {
  (void)tracer;
  ck_assert_int_eq(pid, (pid_t)env.thread.head.pid);
  ck_assert_uint_eq(start_ns, env.thread.head.start_ns);
  env.forgotten++;
}

int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records) {
  (void)tracer;
  denet_buffer_clear(records);
  if (env.fails)
    return -ENOMEM;
  return env.lists ? denet_buffer_append(records, &env.thread, sizeof(env.thread)) : 0;
}

void denet_tracer_drain(struct denet_tracer *tracer,
                        void (*take)(void *context, const struct denet_bpf_head *event,
                                     size_t size),
                        void *context) {
  (void)tracer;
  struct denet_off_cpu_stack stack = {.head = env.thread.head};
  stack.head.kind = DENET_OFF_CPU_STACK;
  if (env.lists || env.tells)
    take(context, &stack.head, sizeof(stack));
  if (env.tells)
    take(context, &env.end.head, sizeof(env.end));
  env.tells = false;
}

struct denet_tracer_losses denet_tracer_losses(const struct denet_tracer *tracer) {
  (void)tracer;
  return (struct denet_tracer_losses){0};
}

int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_symbolizer) {
  (void)settings;
  *out_symbolizer = (void *)&env;
  return 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *symbolizer) {
  (void)symbolizer;
  return true;
}

void denet_stack_worker_meet(struct denet_stack_worker *symbolizer,
                             const struct denet_stack_worker_process *process) {
  (void)symbolizer;
  ck_assert_int_eq(process->pid, (pid_t)env.thread.head.pid);
  env.is_known = true;
}

void denet_stack_worker_forget(struct denet_stack_worker *symbolizer, pid_t pid,
                               uint64_t start_ns) {
  (void)symbolizer;
  ck_assert_int_eq(pid, (pid_t)env.thread.head.pid);
  ck_assert_uint_eq(start_ns, env.thread.head.start_ns);
  env.is_known = false;
}

void denet_stack_worker_add_untold(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_sums *sums) {
  (void)symbolizer, (void)sums;
}

void denet_stack_worker_await(struct denet_stack_worker *symbolizer, uint64_t most_ns) {
  (void)symbolizer, (void)most_ns;
}

void denet_stack_worker_add_stack(struct denet_stack_worker *symbolizer,
                                  const struct denet_off_cpu_stack *stack) {
  (void)symbolizer;
  ck_assert_uint_eq(stack->head.pid, env.thread.head.pid);
  env.is_known = true; /* what is not known is read for it */
}

void denet_stack_worker_add_thread(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_thread *thread) {
  (void)symbolizer, (void)thread;
}

void denet_stack_worker_take(struct denet_stack_worker *symbolizer,
                             void (*each)(void *context, const struct denet_sample *sample),
                             void *context) {
  (void)symbolizer, (void)each, (void)context;
}

uint64_t denet_stack_worker_lost(struct denet_stack_worker *symbolizer) {
  (void)symbolizer;
  return 0;
}

enum { PID = 10, BORN = 1000 };

/* How a program leaves that was looked at before any rule knew whether it wants its stacks. */
static const struct {
  const char *how;
  bool is_told, is_sampled; /* its end, and whether its stacks were wanted */
  bool is_gone;             /* it is not there any more */
} leavings[] = {
    {"its end is told, and nobody wanted its stacks", true, false, true},
    {"its end is told, its parent has not waited for it", true, false, false},
    {"its end is told, and its stacks were wanted", true, true, true},
    {"its end was lost", false, false, true},
    {"it goes on, and no rule wants it", false, false, false},
};

/* One pass of the source, in which the process is there or not. NULL: it is not. */
static struct denet_process *pass(struct denet_process_table *table, bool is_there) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_begin(table), 0);
  if (is_there)
    ck_assert_int_eq(denet_process_table_upsert(table, PID, &process), 0);
  if (process)
    process->born_ns = BORN;
  denet_process_table_end(table, true);
  return process;
}

static struct denet_profiler *open_profiler(void) {
  struct denet_profiler *profiler;
  struct denet_error error;
  struct denet_profiler_settings settings = {0};
  ck_assert_int_eq(denet_profiler_open(&settings, "/proc", &error, &profiler), 0);
  return profiler;
}

/* The kernel lists the process before the rules have looked at it. */
static struct denet_process *list_undecided(struct denet_profiler *profiler,
                                            struct denet_process_table *table) {
  static const struct denet_trees trees;
  env.thread.head = (struct denet_bpf_head){DENET_OFF_CPU_THREAD, PID, BORN};
  env.lists = true;
  struct denet_process *process = pass(table, true);
  process->changed = true;
  denet_profiler_listen(profiler, table, &trees);
  ck_assert(env.is_known);
  return process;
}

START_TEST(what_is_held_of_a_process_goes_with_it) {
  struct denet_process_table table = {0};
  struct denet_trees trees = {0};
  struct denet_profiler *profiler = open_profiler();
  list_undecided(profiler, &table)->changed = false;
  env.end.head = (struct denet_bpf_head){DENET_OFF_CPU_END, PID, BORN};
  env.end.is_sampled = leavings[_i].is_sampled;
  env.tells = leavings[_i].is_told;
  env.lists = !leavings[_i].is_told && !leavings[_i].is_gone;
  pass(&table, !leavings[_i].is_gone);
  denet_profiler_listen(profiler, &table, &trees);
  ck_assert_msg(!env.is_known, "%s: its mappings are still held", leavings[_i].how);
  bool is_over = leavings[_i].is_told || leavings[_i].is_gone;
  ck_assert_msg(env.forgotten == is_over, "%s: the kernel forgot its sums %u times",
                leavings[_i].how, env.forgotten);
  denet_profiler_free(profiler);
  denet_process_table_done(&table);
}
END_TEST

/* The kernel follows a program from its exec on; it and its threads may be too short for a list. */
START_TEST(sums_of_one_that_was_never_listed_go_with_it) {
  struct denet_process_table table = {0};
  struct denet_trees trees = {0};
  struct denet_profiler *profiler = open_profiler();
  env.thread.head = (struct denet_bpf_head){DENET_OFF_CPU_THREAD, PID, BORN};
  pass(&table, true);
  denet_profiler_listen(profiler, &table, &trees);
  ck_assert_uint_eq(env.forgotten, 0);
  pass(&table, false);
  denet_profiler_listen(profiler, &table, &trees);
  ck_assert_uint_eq(env.forgotten, 1);
  denet_profiler_free(profiler);
  denet_process_table_done(&table);
}
END_TEST

/* What the kernel does between the tick that leaves a process alone and that which follows it
 * again. */
static const struct {
  const char *what;
  bool fails, stops;
  uint64_t waited_ns; /* by its only thread, in the end */
} returns[] = {
    {"nothing: it is the same tick", false, false, 9},
    {"it fails to list", true, false, 9},
    {"it lists, and stops to follow it", false, true, 5 + 9},
};

START_TEST(time_counts_once_of_one_that_is_followed_again) {
  struct denet_process_table table = {0};
  struct denet_trees trees = {0};
  struct denet_active_rule active_rule = {.rule.off_cpu = DENET_OFF_CPU_STACKS};
  struct denet_tree tree = {.active_rule = &active_rule};
  struct denet_profiler *profiler = open_profiler();
  env.thread.waits = (struct denet_wait_stats){.time_ns[DENET_REASON_LOCK] = 5, .count = 1};
  struct denet_process *process = list_undecided(profiler, &table);
  struct denet_member member = {.process = process, .tree = &tree};
  process->changed = false; /* nobody wants it: it is left alone */
  env.thread.waits.time_ns[DENET_REASON_LOCK] = 7;
  pass(&table, true);
  denet_profiler_listen(profiler, &table, &trees);
  env.fails = returns[_i].fails;
  env.lists = !returns[_i].stops;
  if (returns[_i].fails || returns[_i].stops)
    denet_profiler_listen(profiler, &table, &trees);
  env.fails = false;
  env.lists = true;
  process->members = &member; /* now a rule does */
  ck_assert_ptr_nonnull(denet_process_use(process));
  denet_profiler_measure(profiler, process);
  env.thread.waits.time_ns[DENET_REASON_LOCK] = 9;
  denet_profiler_begin(profiler);
  denet_profiler_measure(profiler, process);
  uint64_t lock_ns = process->usage->now.value[DENET_OFF_CPU_LOCK];
  ck_assert_msg(lock_ns == returns[_i].waited_ns, "%s: %ju", returns[_i].what, (uintmax_t)lock_ns);
  process->members = NULL;
  denet_profiler_free(profiler);
  denet_process_table_done(&table);
}
END_TEST

START_TEST(process_that_left_the_rule_is_followed_no_more) {
  struct denet_process_table table = {0};
  struct denet_profiler *profiler = open_profiler();
  struct denet_process *process = list_undecided(profiler, &table);
  process->is_followed = env.is_followed = true;
  denet_profiler_measure(profiler, process);
  ck_assert(!env.is_followed && !process->is_followed);
  ck_assert(!env.is_known);
  denet_profiler_free(profiler);
  denet_process_table_done(&table);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, what_is_held_of_a_process_goes_with_it, leavings);
  ADD_TEST(suite, sums_of_one_that_was_never_listed_go_with_it);
  ADD_TABLE(suite, time_counts_once_of_one_that_is_followed_again, returns);
  ADD_TEST(suite, process_that_left_the_rule_is_followed_no_more);
}
