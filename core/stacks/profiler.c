#include "core/stacks/profiler.h"

#include "core/model/wait_stats.h"
#include "core/stacks/stack_worker.h"
#include "core/stacks/trace_records.h"
#include "core/stacks/tracer.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>

#define ENDS_MOST 4096 /* of processes that the table does not know yet, or never will */
#define DEPARTED_KEPT 512
#define HELD_MOST 512
/* What a tick may wait for the last stacks of those that have ended. */
#define END_NS UINT64_C(5000000)

/* A process that has left its tree, and may still have stacks on their way. */
struct departed {
  pid_t pid, tree_pid; /* the tree is the one with this root */
  uint64_t start_ns, tree_start_ns;
  const struct denet_active_rule *active_rule;
};

/* A stack of a process that the table or the rules do not know yet, or never will. */
struct held {
  struct denet_sample sample; /* with a reference to its frames */
  bool is_given;
};

struct denet_profiler {
  struct denet_tracer *tracer;           /* owned, as is all */
  struct denet_stack_worker *symbolizer; /* likewise */
  struct denet_process_table *table;     /* borrowed, while it listens, as is */
  const struct denet_trees *trees;
  struct denet_buffer records;
  struct denet_buffer ends; /* of struct denet_off_cpu_sums */
  uint64_t pass;            /* counts the lists that were had */
  uint64_t lost_ends;
  bool has_new;                            /* processes to be followed that are not yet */
  bool has_ended;                          /* one whose last stacks are wanted for its last line */
  struct departed departed[DEPARTED_KEPT]; /* the last ones */
  size_t departed_count;                   /* ever */
  struct held held[HELD_MOST];             /* the last ones */
  size_t held_count;                       /* ever */
};

/* Of those that were there in the source's pass, and those that have gone in it. */
static struct denet_process *find_process(const struct denet_profiler *profiler, pid_t pid,
                                          uint64_t start_ns) {
  struct denet_process *process = denet_process_table_find(profiler->table, pid);
  if (!process || process->born_ns != start_ns)
    process = denet_process_table_find_gone(profiler->table, pid, start_ns);
  return process && process->born_ns == start_ns ? process : NULL;
}

static bool wants_stacks(const struct denet_process *process) {
  for (const struct denet_member *m = process->members; m; m = m->next_of_process)
    if (m->tree->active_rule->rule.off_cpu == DENET_OFF_CPU_STACKS)
      return true;
  return false;
}

/* Whether the tree's lines have them. */
static bool takes_stacks(const struct denet_tree *tree) {
  return tree->active_rule->rule.off_cpu == DENET_OFF_CPU_STACKS && tree->active_rule->rule.records;
}

/* NULL: no memory. */
static struct denet_process_wait_stats *find_off_cpu(struct denet_process *process) {
  if (!process->off_cpu)
    process->off_cpu = calloc(1, sizeof(*process->off_cpu));
  return process->off_cpu;
}

/* --- Stacks --- */

/* Gives it to the trees that the process was in, if they still stand. */
static void give_to_left(const struct denet_profiler *profiler, const struct departed *departed,
                         const struct denet_sample *sample) {
  for (struct denet_tree *tree = profiler->trees->first; tree; tree = tree->next)
    if (tree->active_rule == departed->active_rule && tree->pid == departed->tree_pid &&
        tree->born_ns == departed->tree_start_ns)
      denet_stack_counts_add(&tree->stacks, &sample->stack);
}

static void give_to_trees(const struct denet_process *process, const struct denet_stack *stack) {
  for (struct denet_member *m = process->members; m; m = m->next_of_process)
    if (takes_stacks(m->tree))
      denet_stack_counts_add(&m->tree->stacks, stack);
}

/* The rules have not looked at its process yet: measure() will know. */
static void hold(struct denet_profiler *profiler, const struct denet_sample *sample) {
  struct held *held = &profiler->held[profiler->held_count % HELD_MOST];
  if (profiler->held_count++ >= HELD_MOST)
    denet_frames_release(held->sample.stack.frames);
  *held = (struct held){.sample = *sample};
  denet_frames_hold(held->sample.stack.frames);
}

static void give_held(struct denet_profiler *profiler, const struct denet_process *process) {
  for (size_t i = 0; i < profiler->held_count && i < HELD_MOST; i++) {
    struct held *held = &profiler->held[i];
    if (held->is_given || held->sample.pid != process->pid ||
        held->sample.start_ns != process->born_ns)
      continue;
    held->is_given = true;
    give_to_trees(process, &held->sample.stack);
  }
}

static void take_sample(void *context, const struct denet_sample *sample) {
  struct denet_profiler *profiler = context;
  const struct denet_process *process = find_process(profiler, sample->pid, sample->start_ns);
  if (process && process->members) {
    give_to_trees(process, &sample->stack);
    return;
  }
  bool has_left = false;
  for (size_t i = 0; i < DEPARTED_KEPT && i < profiler->departed_count; i++) {
    const struct departed *departed = &profiler->departed[i];
    if (departed->pid != sample->pid || departed->start_ns != sample->start_ns)
      continue;
    has_left = true;
    give_to_left(profiler, departed, sample);
  }
  if (!has_left)
    hold(profiler, sample);
}

/* --- Who is followed --- */

/* No more of its stacks are to come. */
static void forget_mappings(struct denet_profiler *profiler, const struct denet_process *process) {
  if (!process->off_cpu || !process->off_cpu->is_met)
    return;
  denet_stack_worker_forget(profiler->symbolizer, process->pid, process->born_ns);
  process->off_cpu->is_met = false;
}

static void unfollow(struct denet_profiler *profiler, struct denet_process *process) {
  denet_tracer_follow(profiler->tracer, process->pid, false);
  process->is_followed = false;
  forget_mappings(profiler, process);
  if (process->off_cpu)
    denet_wait_stats_leave(process->off_cpu, profiler->pass);
}

static void follow(struct denet_profiler *profiler, struct denet_process *process) {
  denet_tracer_follow(profiler->tracer, process->pid, true);
  process->is_followed = profiler->has_new = true;
  if (process->off_cpu)
    denet_wait_stats_return(process->off_cpu, profiler->pass);
}

static void note_departure(struct denet_profiler *profiler, const struct denet_process *process) {
  for (const struct denet_member *m = process->members; m; m = m->next_of_process)
    if (takes_stacks(m->tree))
      profiler->departed[profiler->departed_count++ % DEPARTED_KEPT] = (struct departed){
          process->pid, m->tree->pid, process->born_ns, m->tree->born_ns, m->tree->active_rule};
}

void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process) {
  bool is_wanted = wants_stacks(process);
  if (process->ended || process->vanished) {
    note_departure(profiler, process);
  } else if (is_wanted && !process->is_followed) {
    follow(profiler, process);
  } else if (!is_wanted && process->is_followed) {
    unfollow(profiler, process);
  }
  if (!is_wanted)
    return;
  if (process->is_new)
    give_held(profiler, process);
  if (find_off_cpu(process))
    denet_wait_stats_take(process->off_cpu, &process->usage->now);
}

/* --- What the kernel tells --- */

/* Its files are opened while they are there; a fork that has not exec'd has its parent's. */
static void meet(struct denet_profiler *profiler, const struct denet_process *process,
                 uint64_t exec_id) {
  const struct denet_process *parent =
      process->never_execd ? denet_process_table_find(profiler->table, process->parent_pid) : NULL;
  struct denet_stack_worker_process known = {.pid = process->pid,
                                             .start_ns = process->born_ns,
                                             .exec_id = exec_id,
                                             .parent_pid = parent ? parent->pid : 0,
                                             .parent_start_ns = parent ? parent->born_ns : 0};
  denet_stack_worker_meet(profiler->symbolizer, &known);
  process->off_cpu->met_exec_id = exec_id;
  process->off_cpu->is_met = true;
}

static void take_thread(struct denet_profiler *profiler, struct denet_process *process,
                        const struct denet_off_cpu_thread *record) {
  struct denet_process_wait_stats *off_cpu = find_off_cpu(process);
  if (!off_cpu)
    return;
  uint64_t exec_id = record->place.exec_id;
  if (!off_cpu->is_met || off_cpu->met_exec_id != exec_id)
    meet(profiler, process, exec_id);
  denet_wait_stats_add_thread(off_cpu, profiler->pass, record);
  if (record->place.weight_ns)
    denet_stack_worker_add_thread(profiler->symbolizer, record);
}

static void take_exited(struct denet_profiler *profiler, struct denet_process *process,
                        const struct denet_off_cpu_sums *exited) {
  denet_wait_stats_add_exited(process->off_cpu, profiler->pass, exited);
  denet_stack_worker_add_untold(profiler->symbolizer, exited);
}

/* A child of a followed process is followed from its fork on; if the rules have looked at it and
 * nobody wants it, that is over. */
static bool is_unwanted(const struct denet_process *process) {
  return !process->changed && !process->ended && !wants_stacks(process);
}

static void take_record(struct denet_profiler *profiler, const struct denet_bpf_head *head,
                        size_t size) {
  struct denet_process *process = find_process(profiler, (pid_t)head->pid, head->start_ns);
  const struct denet_off_cpu_thread *thread = denet_trace_records_as_thread(head, size);
  const struct denet_off_cpu_sums *exited = denet_trace_records_as_sums(head, size);
  if (!process)
    return;
  if (is_unwanted(process))
    unfollow(profiler, process);
  else if (thread)
    take_thread(profiler, process, thread);
  else if (exited && find_off_cpu(process))
    take_exited(profiler, process, exited);
}

static bool take_end(struct denet_profiler *profiler, const struct denet_off_cpu_sums *end) {
  struct denet_process *process = find_process(profiler, (pid_t)end->head.pid, end->head.start_ns);
  if (!process || !find_off_cpu(process))
    return false;
  denet_wait_stats_end(process->off_cpu, profiler->pass, end);
  forget_mappings(profiler, process);
  return true;
}

/* Until the table knows the process; the oldest go first if there are too many. */
static void keep_end(struct denet_profiler *profiler, const struct denet_off_cpu_sums *end) {
  struct denet_buffer *ends = &profiler->ends;
  if (ends->length == ENDS_MOST * sizeof(*end)) {
    ends->length -= sizeof(*end);
    memmove(ends->bytes, ends->bytes + sizeof(*end), ends->length);
  }
  if (denet_buffer_append(ends, end, sizeof(*end)))
    profiler->lost_ends++;
}

static void retry_ends(struct denet_profiler *profiler) {
  struct denet_off_cpu_sums *ends = (void *)profiler->ends.bytes;
  size_t count = profiler->ends.length / sizeof(*ends), kept = 0;
  for (size_t i = 0; i < count; i++)
    if (!take_end(profiler, &ends[i]))
      ends[kept++] = ends[i];
  profiler->ends.length = kept * sizeof(*ends);
}

/* The kernel samples a process for a while after it has become known that nobody wants it. */
static void take_stack(struct denet_profiler *profiler, const struct denet_off_cpu_stack *stack) {
  const struct denet_process *process =
      find_process(profiler, (pid_t)stack->head.pid, stack->head.start_ns);
  if (!process || !is_unwanted(process))
    denet_stack_worker_add_stack(profiler->symbolizer, stack);
}

static void take_event(void *context, const struct denet_bpf_head *event, size_t size) {
  struct denet_profiler *profiler = context;
  const struct denet_off_cpu_stack *stack = denet_trace_records_as_stack(event, size);
  const struct denet_off_cpu_sums *end = denet_trace_records_as_sums(event, size);
  if (stack)
    take_stack(profiler, stack);
  if (!end)
    return;
  denet_tracer_forget(profiler->tracer, (pid_t)event->pid, event->start_ns);
  if (end->is_sampled) {
    denet_stack_worker_add_untold(profiler->symbolizer, end);
    denet_stack_worker_forget(profiler->symbolizer, (pid_t)event->pid, event->start_ns);
    profiler->has_ended = true;
  }
  if (!take_end(profiler, end))
    keep_end(profiler, end);
}

/* Of one whose end was lost nothing more is told. The kernel may have followed it all the same,
 * though it was never listed: from its exec on, or its fork by one that is followed. */
static void forget_gone(struct denet_profiler *profiler) {
  for (size_t i = 0; i < profiler->table->gone_count; i++) {
    const struct denet_process *process = profiler->table->gone[i];
    forget_mappings(profiler, process);
    if (!process->off_cpu || !process->off_cpu->is_over)
      denet_tracer_forget(profiler->tracer, process->pid, process->born_ns);
  }
}

/* What the kernel lists it follows from then on. */
static void take_list(struct denet_profiler *profiler) {
  size_t offset = 0, size;
  const struct denet_bpf_head *head;
  profiler->has_new = false;
  if (denet_tracer_list(profiler->tracer, &profiler->records))
    return;
  profiler->pass++;
  while ((head = denet_trace_records_next(&profiler->records, &offset, &size)))
    take_record(profiler, head, size);
}

void denet_profiler_begin(struct denet_profiler *profiler) {
  if (profiler->has_new)
    take_list(profiler);
}

void denet_profiler_listen(struct denet_profiler *profiler, struct denet_process_table *table,
                           const struct denet_trees *trees) {
  profiler->table = table;
  profiler->trees = trees;
  take_list(profiler);
  retry_ends(profiler);
  profiler->has_ended = false;
  denet_tracer_drain(profiler->tracer, take_event, profiler);
  if (profiler->has_ended)
    denet_stack_worker_await(profiler->symbolizer, END_NS);
  denet_stack_worker_take(profiler->symbolizer, take_sample, profiler);
  forget_gone(profiler);
}

void denet_profiler_losses(const struct denet_profiler *profiler,
                           struct denet_off_cpu_losses *out_losses) {
  struct denet_tracer_losses kernel = denet_tracer_losses(profiler->tracer);
  *out_losses = (struct denet_off_cpu_losses){
      .threads = kernel.threads,
      .processes = kernel.processes + kernel.ends + profiler->lost_ends,
      .stacks = kernel.stacks + denet_stack_worker_lost(profiler->symbolizer),
  };
}

/* --- Start and end --- */

void denet_profiler_free(struct denet_profiler *profiler) {
  if (!profiler)
    return;
  if (denet_stack_worker_stop(profiler->symbolizer))
    denet_tracer_free(profiler->tracer);
  denet_buffer_done(&profiler->records);
  denet_buffer_done(&profiler->ends);
  for (size_t i = 0; i < profiler->held_count && i < HELD_MOST; i++)
    denet_frames_release(profiler->held[i].sample.stack.frames);
  free(profiler);
}

static void free_profilerp(struct denet_profiler **profiler) { denet_profiler_free(*profiler); }

/* Whether this process has CAP_SYS_PTRACE (capabilities(7)). */
static bool may_look_into_others(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
  return !syscall(SYS_capget, &header, sets) && sets[0].effective >> CAP_SYS_PTRACE & 1;
}

int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler) {
  DENET_CLEANUP(free_profilerp) struct denet_profiler *profiler = calloc(1, sizeof(*profiler));
  if (!profiler)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  struct denet_tracer_settings tracer = {.period_ns = settings->period_ns,
                                         .rate = (settings->rate + 1) / 2,
                                         .stack_bytes = settings->stack_bytes,
                                         .ring_bytes = settings->ring_bytes,
                                         .exited_most = settings->exited_most};
  int failure = denet_tracer_open(&tracer, error, &profiler->tracer);
  if (failure)
    return failure;
  struct denet_stack_worker_settings symbolizer = {.tracer = profiler->tracer,
                                                   .proc_path = proc_path,
                                                   .symbol_bytes = settings->symbol_bytes,
                                                   .rate = settings->rate / 2,
                                                   .stack_bytes = settings->stack_bytes};
  failure = denet_stack_worker_start(&symbolizer, &profiler->symbolizer);
  if (failure)
    return denet_error_set(error, failure, "the thread for stacks cannot be started: %s",
                           strerror(-failure));
  *out_profiler = DENET_TAKE(profiler);
  if (!may_look_into_others())
    denet_error_set(
        error, 0,
        "without CAP_SYS_PTRACE stacks of processes of other users, and of those that have "
        "more capabilities, are cut behind their leaf, and without names");
  return 0;
}
