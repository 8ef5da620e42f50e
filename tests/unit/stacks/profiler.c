#include "core/stacks/profiler.h"

#include "core/stacks/stack_worker.h"
#include "core/stacks/tracer.h"
#include "tests/unit/unit.h"

#include <errno.h>

/* Stand-ins for tracer.c and stack_worker.c, which are not linked. */
static struct {
  struct denet_off_cpu_thread thread; /* the record of a list */
  struct denet_off_cpu_sums end;      /* the next event */
  bool lists, sends_end;
  bool fails; /* to list */
  bool is_followed;
  bool is_open;     /* the worker holds the process's mappings */
  unsigned deleted; /* times that the sums of its exited threads were deleted */
} kernel;

int denet_tracer_open(const struct denet_profiler_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer) {
  *out_tracer = (void *)&kernel;
  return 0;
}

void denet_tracer_free(struct denet_tracer *tracer) {}

void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed) {
  kernel.is_followed = is_followed;
}

void denet_tracer_delete_exited(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns) {
  ck_assert_int_eq(pid, (pid_t)kernel.thread.head.pid);
  ck_assert_uint_eq(start_ns, kernel.thread.head.start_ns);
  kernel.deleted++;
}

int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records) {
  denet_buffer_clear(records);
  if (kernel.fails)
    return -ENOMEM;
  return kernel.lists ? denet_buffer_append(records, &kernel.thread, sizeof(kernel.thread)) : 0;
}

void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        denet_tracer_take *take, void *context) {
  struct denet_off_cpu_stack stack = {.head = kernel.thread.head};
  stack.head.kind = DENET_OFF_CPU_STACK;
  if (kernel.lists || kernel.sends_end)
    take(context, &stack.head, sizeof(stack));
  if (kernel.sends_end)
    take(context, &kernel.end.head, sizeof(kernel.end));
  kernel.sends_end = false;
}

struct denet_off_cpu_losses denet_tracer_losses(const struct denet_tracer *tracer) {
  return (struct denet_off_cpu_losses){0};
}

int denet_stack_worker_start(const struct denet_profiler_settings *settings, const char *proc_path,
                             struct denet_tracer *tracer, struct denet_stack_worker **out_worker) {
  *out_worker = (void *)&kernel;
  return 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *worker) { return true; }

void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_exec_event *exec_event) {
  ck_assert_uint_eq(exec_event->head.pid, kernel.thread.head.pid);
  kernel.is_open = true;
}

void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns) {
  ck_assert_int_eq(pid, (pid_t)kernel.thread.head.pid);
  ck_assert_uint_eq(start_ns, kernel.thread.head.start_ns);
  kernel.is_open = false;
}

void denet_stack_worker_add_sample(struct denet_stack_worker *worker,
                                   const struct denet_bpf_head *head,
                                   const struct denet_sample_point *point, uint64_t off_since_ns,
                                   struct denet_text stack) {
  ck_assert_uint_eq(head->pid, kernel.thread.head.pid);
  kernel.is_open = true; /* the unwinder opens a process that is not open */
}

uint64_t denet_stack_worker_take_samples(struct denet_stack_worker *worker, uint64_t wait_ns,
                                         struct denet_buffer *samples) {
  return 0;
}

enum { PID = 10, BORN = 1000 };

/* What becomes of a process. */
static const struct {
  const char *what;
  bool is_listed;           /* while a rule asked for its stacks */
  bool has_end, is_sampled; /* an event of its end comes, from a process whose stacks are wanted */
  bool is_gone;             /* the table does not have it any more */
} ends[] = {
    {"it ends, and no rule asks for its stacks", true, true, false, true},
    {"it ends, and its parent has not waited for it", true, true, false, false},
    {"it ends, and a rule asks for its stacks", true, true, true, true},
    {"the event of its end is lost", true, false, false, true},
    /* The kernel follows a program from its exec on; it may end before the next list. */
    {"it ends before it is listed", false, false, false, true},
    {"it goes on, and no rule asks for its stacks", true, false, false, false},
};

/* Each test has a process of its own, and so begins with these as they are here. */
static struct denet_process_table table;
static struct denet_trees trees;
static struct denet_active_rule active_rule = {.rule.off_cpu = DENET_OFF_CPU_STACKS};
static struct denet_tree tree = {.active_rule = &active_rule};
static struct denet_member member = {.tree = &tree};
static struct denet_profiler *profiler;

static void begin(void) {
  struct denet_error error;
  struct denet_profiler_settings settings = {0};
  ck_assert_int_eq(denet_profiler_open(&settings, "/proc", &error, &profiler), 0);
  kernel.thread.head = (struct denet_bpf_head){DENET_OFF_CPU_THREAD, PID, BORN};
}

static void end(void) {
  denet_profiler_free(profiler);
  denet_process_table_done(&table);
}

/* One pass of the source, which finds the process or not. Returns the process; NULL: not found. */
static struct denet_process *pass(bool is_found) {
  struct denet_process *process = NULL;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  if (is_found)
    ck_assert_int_eq(denet_process_table_upsert(&table, PID, &process), 0);
  if (process)
    process->born_ns = BORN;
  denet_process_table_end(&table, true);
  return process;
}

static void collect(void) {
  struct denet_off_cpu_losses losses;
  denet_profiler_collect(profiler, &table, &trees, &losses);
}

/* The kernel lists the process: first before the rules have looked at it, then while a rule asks
 * for its stacks. */
static struct denet_process *list_process(void) {
  kernel.lists = true;
  struct denet_process *process = pass(true);
  process->changed = true;
  collect();
  ck_assert_uint_eq(process->off_cpu->count, 1);
  ck_assert(!process->off_cpu->is_open);
  process->members = &member;
  collect();
  process->members = NULL;
  ck_assert(process->off_cpu->is_open);
  return process;
}

START_TEST(what_is_held_for_a_process_ends_with_it) {
  begin();
  if (ends[_i].is_listed) {
    list_process()->changed = false;
  } else {
    pass(true);
    collect();
  }
  kernel.end.head = (struct denet_bpf_head){DENET_OFF_CPU_END, PID, BORN};
  kernel.end.is_sampled = ends[_i].is_sampled;
  kernel.sends_end = ends[_i].has_end;
  kernel.lists = !ends[_i].has_end && !ends[_i].is_gone;
  pass(!ends[_i].is_gone);
  collect();
  ck_assert_msg(!kernel.is_open, "%s: its mappings are held", ends[_i].what);
  bool is_over = ends[_i].has_end || ends[_i].is_gone;
  ck_assert_msg(kernel.deleted == is_over, "%s: its sums were deleted %u times", ends[_i].what,
                kernel.deleted);
  end();
}
END_TEST

/* What the kernel does between the tick that stops to follow a process and the one that follows it
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

START_TEST(time_counts_once_if_a_process_is_followed_again) {
  uint64_t *waited_ns = &kernel.thread.stats.time_ns[DENET_REASON_LOCK];
  begin();
  kernel.thread.stats.count = 1;
  *waited_ns = 5;
  struct denet_process *process = list_process();
  process->changed = false; /* no rule asks for its stacks */
  *waited_ns = 7;
  pass(true);
  collect();
  kernel.fails = returns[_i].fails;
  kernel.lists = !returns[_i].stops;
  if (returns[_i].fails || returns[_i].stops)
    collect();
  kernel.fails = false;
  kernel.lists = true;
  process->members = &member; /* a rule does from now on */
  ck_assert_ptr_nonnull(denet_process_use(process));
  denet_profiler_measure(profiler, process);
  *waited_ns = 9;
  denet_profiler_follow_new(profiler);
  denet_profiler_measure(profiler, process);
  uint64_t lock_ns = process->usage->now.value[DENET_OFF_CPU_LOCK];
  ck_assert_msg(lock_ns == returns[_i].waited_ns, "%s: %ju", returns[_i].what, (uintmax_t)lock_ns);
  process->members = NULL;
  end();
}
END_TEST

START_TEST(process_that_left_the_rule_is_followed_no_more) {
  begin();
  struct denet_process *process = list_process();
  process->is_followed = kernel.is_followed = true;
  denet_profiler_measure(profiler, process);
  ck_assert(!kernel.is_followed && !process->is_followed);
  ck_assert(!kernel.is_open);
  end();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, what_is_held_for_a_process_ends_with_it, ends);
  ADD_TABLE(suite, time_counts_once_if_a_process_is_followed_again, returns);
  ADD_TEST(suite, process_that_left_the_rule_is_followed_no_more);
}
