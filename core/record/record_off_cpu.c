#include "core/record/record.h"

#include "core/model/wait_stats.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <string.h>

/* The only frame of off-CPU time that no stack of the lines stands for. */
#define NOT_SAMPLED "[not sampled]"
#define TOP_THREADS 10
#define THREADS_MOST 200          /* those with the most time */
#define STACKS_MOST 20            /* likewise */
#define NOT_SAMPLED_LEAST 1000000 /* ns: less may still be on the way to the next stack */
#define MISSING_LINES 8

/* A thread of one of the tree's processes. */
struct tree_thread {
  pid_t pid;
  const struct denet_thread_wait_stats *thread;
  uint64_t time_ns;
};

/* Writes avg_time_ns, max_time_ns and min_time_ns of count intervals of time_ns in all. */
static void write_times(struct denet_json *json, uint64_t time_ns, uint64_t count,
                        uint64_t longest_ns, uint64_t shortest_ns) {
  denet_json_unsigned(json, "avg_time_ns", count ? time_ns / count : 0);
  denet_json_unsigned(json, "max_time_ns", longest_ns);
  denet_json_unsigned(json, "min_time_ns", shortest_ns);
}

static int compare_threads(const void *left, const void *right) {
  const struct tree_thread *a = left, *b = right;
  return a->time_ns < b->time_ns ? 1 : a->time_ns > b->time_ns ? -1 : 0;
}

/* Returns all threads of the tree that there is memory for, longest first; owned by the caller. */
static struct tree_thread *list_threads(const struct denet_tree *tree, size_t *out_count) {
  struct tree_thread *threads = NULL;
  size_t count = 0, capacity = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next) {
    const struct denet_process_wait_stats *off_cpu = m->process->off_cpu;
    size_t more = off_cpu ? off_cpu->count : 0;
    if (denet_array_reserve(&threads, &capacity, count + more, sizeof(*threads)))
      break;
    for (size_t i = 0; i < more; i++)
      threads[count++] = (struct tree_thread){m->process->pid, &off_cpu->threads[i],
                                              denet_wait_stats_total(&off_cpu->threads[i].stats)};
  }
  if (count)
    qsort(threads, count, sizeof(*threads), compare_threads);
  *out_count = count;
  return threads;
}

static void write_top_threads(struct denet_json *json, const struct tree_thread *threads,
                              size_t count, uint64_t total_ns) {
  denet_json_array_open(json, "top_blocking_threads");
  for (size_t i = 0; i < count && i < TOP_THREADS; i++) {
    denet_json_object_open(json, NULL);
    denet_json_unsigned(json, "pid", (uint64_t)threads[i].pid);
    denet_json_unsigned(json, "tid", (uint64_t)threads[i].thread->tid);
    denet_json_decimal(json, "time_ms", (double)threads[i].time_ns / 1e6);
    denet_json_decimal(json, "percentage",
                       total_ns ? 100.0 * (double)threads[i].time_ns / (double)total_ns : 0);
    denet_json_object_close(json);
  }
  denet_json_array_close(json);
}

static void write_threads(struct denet_json *json, const struct tree_thread *threads,
                          size_t count) {
  denet_json_object_open(json, "thread_stats");
  for (size_t i = 0; i < count && i < THREADS_MOST; i++) {
    const struct denet_wait_stats *stats = &threads[i].thread->stats;
    char key[32];
    snprintf(key, sizeof(key), "%d:%d", (int)threads[i].pid, (int)threads[i].thread->tid);
    denet_json_object_open(json, key);
    denet_json_unsigned(json, "tid", (uint64_t)threads[i].thread->tid);
    denet_json_unsigned(json, "total_time_ns", threads[i].time_ns);
    denet_json_unsigned(json, "count", stats->count);
    write_times(json, threads[i].time_ns, stats->count, stats->longest_ns, stats->shortest_ns);
    denet_json_object_close(json);
  }
  denet_json_object_close(json);
}

/* frames: names, a NUL behind each. */
static void write_stack(struct denet_json *json, const struct denet_stack *stack,
                        struct denet_text frames) {
  struct denet_text thread = {stack->thread, strnlen(stack->thread, sizeof(stack->thread))};
  denet_json_object_open(json, NULL);
  denet_json_unsigned(json, "time_ns", stack->time_ns);
  denet_json_unsigned(json, "count", stack->count);
  denet_json_string(json, "reason", denet_text_of(denet_reason_names[stack->reason]));
  denet_json_string(json, "tid_name", thread);
  denet_json_array_open(json, "frames");
  for (size_t at = 0; at < frames.length;) {
    struct denet_text name = {frames.bytes + at, strnlen(frames.bytes + at, frames.length - at)};
    denet_json_string(json, NULL, name);
    at += name.length + 1;
  }
  denet_json_array_close(json);
  denet_json_object_close(json);
}

/* Writes the time of each reason for which there is no stack. Stacks are unwound in another thread
 * and come with the next line at the earliest: of each line the time until the line before counts,
 * and only what has no stack in all of MISSING_LINES lines is written. The last line has the rest.
 */
static void write_not_sampled(struct denet_json *json, struct denet_tree *tree,
                              const uint64_t time_ns[DENET_REASONS]) {
  static const struct denet_text frames = {NOT_SAMPLED, sizeof(NOT_SAMPLED)};
  struct denet_stack_lines *lines = &tree->stacks.lines;
  bool is_first = lines->count++ == 0, is_due = tree->is_over || lines->count == MISSING_LINES;
  for (int i = 0; i < DENET_REASONS; i++) {
    uint64_t until_ns = tree->is_over ? time_ns[i] : lines->until_ns[i];
    uint64_t missing_ns = until_ns > lines->stacks_ns[i] ? until_ns - lines->stacks_ns[i] : 0;
    if (is_first || tree->is_over || missing_ns < lines->missing_ns[i])
      lines->missing_ns[i] = missing_ns;
    lines->until_ns[i] = time_ns[i];
    if (!is_due || lines->missing_ns[i] < (tree->is_over ? 1 : NOT_SAMPLED_LEAST))
      continue;
    struct denet_stack rest = {.reason = i, .time_ns = lines->missing_ns[i]};
    write_stack(json, &rest, frames);
    lines->stacks_ns[i] += rest.time_ns;
  }
  if (is_due)
    lines->count = 0;
}

static int compare_stacks(const void *left, const void *right) {
  const struct denet_stack *a = left, *b = right;
  return a->time_ns < b->time_ns ? 1 : a->time_ns > b->time_ns ? -1 : 0;
}

static void write_stacks(struct denet_json *json, struct denet_tree *tree,
                         const uint64_t time_ns[DENET_REASONS]) {
  struct denet_stack_counts *set = &tree->stacks;
  if (set->count)
    qsort(set->stacks, set->count, sizeof(*set->stacks), compare_stacks);
  denet_json_array_open(json, "stacks");
  for (size_t i = 0; i < set->count && i < STACKS_MOST; i++) {
    struct denet_stack stack = set->stacks[i];
    uint64_t *in_lines_ns = &set->lines.stacks_ns[stack.reason], all_ns = time_ns[stack.reason];
    /* The time of a stack that comes very late is in lines already, as not sampled. */
    uint64_t left_ns = all_ns > *in_lines_ns ? all_ns - *in_lines_ns : 0;
    stack.time_ns = stack.time_ns < left_ns ? stack.time_ns : left_ns;
    write_stack(json, &stack, (struct denet_text){stack.frames->names, stack.frames->length});
    *in_lines_ns += stack.time_ns;
  }
  write_not_sampled(json, tree, time_ns);
  denet_json_array_close(json);
  denet_stack_counts_clear(set);
}

static void write_losses(struct denet_json *json, const struct denet_tree *tree) {
  struct denet_off_cpu_losses lost = {0};
  if (tree->active_rule->losses)
    lost = *tree->active_rule->losses;
  lost.stacks += tree->stacks.lost;
  if (!lost.threads && !lost.processes && !lost.stacks)
    return;
  denet_json_object_open(json, "lost");
  if (lost.threads)
    denet_json_unsigned(json, "threads", lost.threads);
  if (lost.processes)
    denet_json_unsigned(json, "processes", lost.processes);
  if (lost.stacks)
    denet_json_unsigned(json, "stacks", lost.stacks);
  denet_json_object_close(json);
}

void denet_record_off_cpu(struct denet_json *json, struct denet_tree *tree,
                          const struct denet_values *totals) {
  if (tree->active_rule->rule.off_cpu != DENET_OFF_CPU_STACKS ||
      !denet_values_has(totals, DENET_OFF_CPU_EVENTS))
    return;
  uint64_t time_ns[DENET_REASONS], total_ns = denet_wait_stats_reasons(totals, time_ns);
  uint64_t events = totals->value[DENET_OFF_CPU_EVENTS];
  struct denet_wait_stats extremes = tree->extremes; /* of members that have left */
  for (const struct denet_member *m = tree->first; m; m = m->next)
    if (m->process->off_cpu)
      denet_wait_stats_add(&extremes, &m->process->off_cpu->stats);
  size_t count;
  DENET_FREE struct tree_thread *threads = list_threads(tree, &count);
  denet_json_object_open(json, "ebpf");
  denet_json_object_open(json, "offcpu");
  denet_json_unsigned(json, "total_time_ns", total_ns);
  denet_json_unsigned(json, "total_events", events);
  write_times(json, total_ns, events, extremes.longest_ns, extremes.shortest_ns);
  write_top_threads(json, threads, count, total_ns);
  write_threads(json, threads, count);
  denet_json_object_open(json, "by_reason");
  for (int i = 0; i < DENET_REASONS; i++)
    denet_json_unsigned(json, denet_reason_names[i], time_ns[i]);
  denet_json_object_close(json);
  write_stacks(json, tree, time_ns);
  write_losses(json, tree);
  denet_json_object_close(json);
  denet_json_object_close(json);
}
