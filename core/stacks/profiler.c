#include "core/stacks/profiler.h"

#include "core/model/wait_stats.h"
#include "core/stacks/stack_worker.h"
#include "core/stacks/trace_records.h"
#include "core/stacks/tracer.h"
#include "core/util/capabilities.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>

#define ENDS_MOST 4096
#define MEMBERS_KEPT 512
#define SAMPLES_KEPT 512
/* How long a tick waits for the last stacks of processes that have ended. */
#define END_NS UINT64_C(5000000)

/* A process that has left its tree, and may still have stacks on their way. */
struct recent_member {
  pid_t pid, tree_pid; /* the tree is the one with this root */
  uint64_t start_ns, tree_start_ns;
  const struct denet_active_rule *active_rule;
};

struct denet_profiler {
  struct denet_tracer *tracer;       /* owned */
  struct denet_stack_worker *worker; /* owned */
  struct denet_process_table *table; /* borrowed while collecting, as is the next */
  const struct denet_trees *trees;
  struct denet_buffer records;
  struct denet_buffer samples; /* struct denet_sample */
  struct denet_buffer ends;    /* struct denet_off_cpu_sums */
  uint64_t pass;               /* number of the last list */
  uint64_t lost_ends;
  bool has_new;   /* processes that are followed from the next list on */
  bool has_ended; /* a process whose last stacks are wanted */
  struct recent_member recent_members[MEMBERS_KEPT];
  size_t recent_member_count; /* ever */
  /* Of processes that the rules have not looked at yet, or that are not known. Each has a reference
   * to its frames; pid is 0 once it is taken. */
  struct denet_sample unmatched_samples[SAMPLES_KEPT];
  size_t unmatched_sample_count; /* ever */
};

/* Finds a process of the source's pass, or one that has gone since the pass before. */
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

/* Returns whether the tree's lines have stacks. */
static bool takes_stacks(const struct denet_tree *tree) {
  return tree->active_rule->rule.off_cpu == DENET_OFF_CPU_STACKS && tree->active_rule->rule.records;
}

/* Returns the process's wait stats, made if need be; NULL: no memory. */
static struct denet_process_wait_stats *get_stats(struct denet_process *process) {
  if (!process->off_cpu)
    process->off_cpu = calloc(1, sizeof(*process->off_cpu));
  return process->off_cpu;
}

/* --- Stacks --- */

static void add_to_trees(const struct denet_process *process, const struct denet_stack *stack) {
  for (struct denet_member *m = process->members; m; m = m->next_of_process)
    if (takes_stacks(m->tree))
      denet_stack_counts_add(&m->tree->stacks, stack);
}

/* Adds the sample to the trees that its process was in, if they still stand. Returns whether it was
 * in any. */
static bool add_to_left_trees(const struct denet_profiler *profiler,
                              const struct denet_sample *sample) {
  bool is_known = false;
  for (size_t i = 0; i < MEMBERS_KEPT && i < profiler->recent_member_count; i++) {
    const struct recent_member *recent = &profiler->recent_members[i];
    if (recent->pid != sample->pid || recent->start_ns != sample->start_ns)
      continue;
    is_known = true;
    for (struct denet_tree *tree = profiler->trees->first; tree; tree = tree->next)
      if (tree->active_rule == recent->active_rule && tree->pid == recent->tree_pid &&
          tree->born_ns == recent->tree_start_ns)
        denet_stack_counts_add(&tree->stacks, &sample->stack);
  }
  return is_known;
}

/* Adds the sample to its trees, or keeps it. Takes over its reference. */
static void take_sample(struct denet_profiler *profiler, const struct denet_sample *sample) {
  const struct denet_process *process = find_process(profiler, sample->pid, sample->start_ns);
  struct denet_frames *done = sample->stack.frames;
  if (process && process->members) {
    add_to_trees(process, &sample->stack);
  } else if (!add_to_left_trees(profiler, sample)) {
    size_t at = profiler->unmatched_sample_count++ % SAMPLES_KEPT;
    done = profiler->unmatched_samples[at].stack.frames;
    profiler->unmatched_samples[at] = *sample;
  }
  denet_frames_release(done);
}

/* Adds the samples of a process that has been matched to its trees. */
static void take_unmatched(struct denet_profiler *profiler, const struct denet_process *process) {
  for (size_t i = 0; i < SAMPLES_KEPT && i < profiler->unmatched_sample_count; i++) {
    struct denet_sample *unmatched = &profiler->unmatched_samples[i];
    if (unmatched->pid != process->pid || unmatched->start_ns != process->born_ns)
      continue;
    unmatched->pid = 0;
    add_to_trees(process, &unmatched->stack);
  }
}

/* --- Which processes are followed --- */

static void close_process(struct denet_profiler *profiler, const struct denet_process *process) {
  if (!process->off_cpu || !process->off_cpu->is_open)
    return;
  denet_stack_worker_close_process(profiler->worker, process->pid, process->born_ns);
  process->off_cpu->is_open = false;
}

static void unfollow(struct denet_profiler *profiler, struct denet_process *process) {
  denet_tracer_follow(profiler->tracer, process->pid, false);
  process->is_followed = false;
  /* A fork is opened by its exec event, without is_open. */
  denet_stack_worker_close_process(profiler->worker, process->pid, process->born_ns);
  if (!process->off_cpu)
    return;
  process->off_cpu->is_open = false;
  denet_wait_stats_leave(process->off_cpu, profiler->pass);
}

static void follow(struct denet_profiler *profiler, struct denet_process *process) {
  denet_tracer_follow(profiler->tracer, process->pid, true);
  process->is_followed = profiler->has_new = true;
  if (process->off_cpu)
    denet_wait_stats_return(process->off_cpu, profiler->pass);
}

static void note_recent_member(struct denet_profiler *profiler,
                               const struct denet_process *process) {
  for (const struct denet_member *m = process->members; m; m = m->next_of_process)
    if (takes_stacks(m->tree))
      profiler->recent_members[profiler->recent_member_count++ % MEMBERS_KEPT] =
          (struct recent_member){process->pid, m->tree->pid, process->born_ns, m->tree->born_ns,
                                 m->tree->active_rule};
}

void denet_profiler_measure(struct denet_profiler *profiler, struct denet_process *process) {
  bool is_wanted = wants_stacks(process);
  if (process->ended || process->vanished)
    note_recent_member(profiler, process);
  else if (is_wanted && !process->is_followed)
    follow(profiler, process);
  else if (!is_wanted && process->is_followed)
    unfollow(profiler, process);
  if (!is_wanted)
    return;
  if (process->is_new)
    take_unmatched(profiler, process);
  if (get_stats(process))
    denet_wait_stats_take(process->off_cpu, &process->usage->now);
}

/* --- Records and events of the kernel --- */

/* Has the process's files opened while they are there. A fork without an exec has its parent's. */
static void open_process(struct denet_profiler *profiler, const struct denet_process *process,
                         uint64_t exec_id) {
  const struct denet_process *parent =
      process->never_execd ? denet_process_table_find(profiler->table, process->parent_pid) : NULL;
  struct denet_exec_event opened = {
      .head = {DENET_OFF_CPU_FORKED, (denet_u32)process->pid, process->born_ns},
      .exec_id = exec_id,
      .parent_pid = parent ? (denet_u64)parent->pid : 0,
      .parent_start_ns = parent ? parent->born_ns : 0};
  denet_stack_worker_open_process(profiler->worker, &opened);
  process->off_cpu->open_exec_id = exec_id;
  process->off_cpu->is_open = true;
}

static void take_thread(struct denet_profiler *profiler, const struct denet_process *process,
                        const struct denet_off_cpu_thread *record) {
  struct denet_process_wait_stats *stats = process->off_cpu;
  /* The files of a process that no rule asks for are not needed, and a read of them may stall. */
  if (wants_stacks(process) && (!stats->is_open || stats->open_exec_id != record->point.exec_id))
    open_process(profiler, process, record->point.exec_id);
  denet_wait_stats_add_thread(stats, profiler->pass, record);
  if (record->point.weight_ns)
    denet_stack_worker_add_sample(profiler->worker, &record->head, &record->point,
                                  record->off_since_ns, (struct denet_text){"", 0});
}

/* Returns whether the rules have looked at the process and none asks for its stacks. The kernel
 * follows children of a followed process from their fork on. */
static bool is_unwanted(const struct denet_process *process) {
  return !process->changed && !process->ended && !wants_stacks(process);
}

static void take_record(struct denet_profiler *profiler, const struct denet_bpf_head *head) {
  struct denet_process *process = find_process(profiler, (pid_t)head->pid, head->start_ns);
  if (!process)
    return;
  if (is_unwanted(process))
    unfollow(profiler, process);
  else if (get_stats(process) && head->kind == DENET_OFF_CPU_THREAD)
    take_thread(profiler, process, (const struct denet_off_cpu_thread *)head);
  else if (process->off_cpu)
    denet_wait_stats_add_exited(process->off_cpu, profiler->pass,
                                (const struct denet_off_cpu_sums *)head);
}

/* Takes the ends whose processes the table has. The others are kept: the table may not have the
 * process yet, or never will. */
static void take_ends(struct denet_profiler *profiler) {
  struct denet_off_cpu_sums *ends = (void *)profiler->ends.bytes;
  size_t count = profiler->ends.length / sizeof(*ends), kept = 0;
  for (size_t i = 0; i < count; i++) {
    struct denet_process *process =
        find_process(profiler, (pid_t)ends[i].head.pid, ends[i].head.start_ns);
    if (!process || !get_stats(process)) {
      ends[kept++] = ends[i];
      continue;
    }
    denet_wait_stats_end(process->off_cpu, profiler->pass, &ends[i]);
    close_process(profiler, process);
  }
  profiler->ends.length = kept * sizeof(*ends);
}

static void add_end(struct denet_profiler *profiler, const struct denet_off_cpu_sums *end) {
  struct denet_buffer *ends = &profiler->ends;
  denet_tracer_delete_exited(profiler->tracer, (pid_t)end->head.pid, end->head.start_ns);
  if (end->is_sampled) {
    denet_stack_worker_close_process(profiler->worker, (pid_t)end->head.pid, end->head.start_ns);
    profiler->has_ended = true;
  }
  if (ends->length == ENDS_MOST * sizeof(*end))
    take_ends(profiler);
  if (ends->length == ENDS_MOST * sizeof(*end)) { /* of too many the oldest goes first */
    ends->length -= sizeof(*end);
    memmove(ends->bytes, ends->bytes + sizeof(*end), ends->length);
  }
  if (denet_buffer_append(ends, end, sizeof(*end)))
    profiler->lost_ends++;
}

static void take_stack(struct denet_profiler *profiler, const struct denet_off_cpu_stack *stack) {
  const struct denet_process *process =
      find_process(profiler, (pid_t)stack->head.pid, stack->head.start_ns);
  /* The kernel goes on for a while with processes that are not wanted any more. */
  if (!process || !is_unwanted(process))
    denet_stack_worker_add_sample(
        profiler->worker, &stack->head, &stack->point, 0,
        (struct denet_text){(const char *)(stack + 1), stack->stack_bytes});
}

static void take_event(void *context, const struct denet_bpf_head *event, size_t size) {
  if (!denet_trace_records_is_whole(event, size))
    return;
  if (event->kind == DENET_OFF_CPU_STACK)
    take_stack(context, (const struct denet_off_cpu_stack *)event);
  else if (event->kind == DENET_OFF_CPU_END)
    add_end(context, (const struct denet_off_cpu_sums *)event);
}

/* Gives back what is held for processes that are gone, also if the event of the end was lost. The
 * kernel may have sums of a process that it has never listed: it follows every program from its
 * exec on, and every child of a followed process. */
static void close_gone(struct denet_profiler *profiler) {
  for (size_t i = 0; i < profiler->table->gone_count; i++) {
    const struct denet_process *process = profiler->table->gone[i];
    close_process(profiler, process);
    if (!process->off_cpu || !process->off_cpu->is_over)
      denet_tracer_delete_exited(profiler->tracer, process->pid, process->born_ns);
  }
}

/* The kernel follows the processes that it lists from then on. */
static void take_list(struct denet_profiler *profiler) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  profiler->has_new = false;
  if (denet_tracer_list(profiler->tracer, &profiler->records))
    return;
  profiler->pass++;
  while ((head = denet_trace_records_next(&profiler->records, &offset)))
    take_record(profiler, head);
}

void denet_profiler_follow_new(struct denet_profiler *profiler) {
  if (profiler->has_new)
    take_list(profiler);
}

void denet_profiler_collect(struct denet_profiler *profiler, struct denet_process_table *table,
                            const struct denet_trees *trees,
                            struct denet_off_cpu_losses *out_losses) {
  profiler->table = table;
  profiler->trees = trees;
  take_list(profiler);
  profiler->has_ended = false;
  denet_tracer_drain(profiler->tracer, DENET_TRACER_SAMPLES, take_event, profiler);
  take_ends(profiler);
  uint64_t lost_samples = denet_stack_worker_take_samples(
      profiler->worker, profiler->has_ended ? END_NS : 0, &profiler->samples);
  const struct denet_sample *samples = (const void *)profiler->samples.bytes;
  for (size_t i = 0; i < profiler->samples.length / sizeof(*samples); i++)
    take_sample(profiler, &samples[i]);
  close_gone(profiler);
  *out_losses = denet_tracer_losses(profiler->tracer);
  out_losses->processes += profiler->lost_ends;
  out_losses->stacks += lost_samples;
}

/* --- Start and end --- */

void denet_profiler_free(struct denet_profiler *profiler) {
  if (!profiler)
    return;
  if (denet_stack_worker_stop(profiler->worker))
    denet_tracer_free(profiler->tracer);
  denet_buffer_done(&profiler->records);
  denet_buffer_done(&profiler->samples);
  denet_buffer_done(&profiler->ends);
  for (size_t i = 0; i < SAMPLES_KEPT; i++)
    denet_frames_release(profiler->unmatched_samples[i].stack.frames);
  free(profiler);
}

static void free_profilerp(struct denet_profiler **profiler) { denet_profiler_free(*profiler); }

int denet_profiler_open(const struct denet_profiler_settings *settings, const char *proc_path,
                        struct denet_error *error, struct denet_profiler **out_profiler) {
  DENET_CLEANUP(free_profilerp) struct denet_profiler *profiler = calloc(1, sizeof(*profiler));
  if (!profiler)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  int failure = denet_tracer_open(settings, error, &profiler->tracer);
  if (failure)
    return failure;
  failure = denet_stack_worker_start(settings, proc_path, profiler->tracer, &profiler->worker);
  if (failure)
    return denet_error_set(error, failure, "the thread for stacks cannot be started: %s",
                           strerror(-failure));
  *out_profiler = DENET_TAKE(profiler);
  if (!(denet_capabilities_read() & DENET_CAPABILITY(SYS_PTRACE)))
    denet_error_set(
        error, 0,
        "without CAP_SYS_PTRACE stacks of processes of other users, and of those that have "
        "more capabilities, are cut behind their leaf, and without names");
  return 0;
}
