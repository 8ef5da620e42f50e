#include "core/monitor/monitor.h"

#include "core/match/matcher.h"
#include "core/rules/template.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define BOOT_ID_BYTES 37 /* the text of a UUID, with the NUL */

/* Fields whose texts are read from /proc, with either source. */
#define PROC_FIELDS                                                                                \
  (1u << DENET_FIELD_COMMAND_LINE | 1u << DENET_FIELD_EXECUTABLE | 1u << DENET_FIELD_CGROUP |      \
   1u << DENET_FIELD_UNIT)

struct denet_monitor {
  struct denet_interval interval;
  const struct denet_env *env; /* borrowed */
  struct denet_log log;
  struct denet_source *source;     /* owned, as is all below */
  struct denet_profiler *profiler; /* NULL: none */
  struct denet_off_cpu_losses off_cpu_losses;
  struct denet_active_rule *active_rules;
  size_t active_rule_count;
  struct denet_process_table table;
  struct denet_groups groups;
  struct denet_trees trees;
  struct denet_matcher matcher;
  struct denet_emitter emitter;
  char boot_id[BOOT_ID_BYTES];
  char host_name[256];
  uint64_t next_ns;         /* when the next tick is due, boot clock, as are */
  uint64_t first_ns;        /* when the first tick began */
  uint64_t last_ns;         /* when the last tick began */
  uint64_t longest_tick_ns; /* since the last report */
};

/* Reads the UUID of this boot (random(4)); "" if it is not available. */
static void read_boot_id(struct denet_monitor *monitor) {
  char path[PATH_MAX];
  int length =
      snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", monitor->env->proc_path);
  DENET_CLOSE int fd = length < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0 || read(fd, monitor->boot_id, BOOT_ID_BYTES - 1) < 0)
    monitor->boot_id[0] = '\0';
}

/* Returns whether /proc may hide processes that the rule matches. The BPF source sees all of them,
 * but not all of their texts. */
static bool may_be_hidden(const struct denet_source *source, const struct denet_rule *rule) {
  bool needs_proc = source->source_id == DENET_SOURCE_ID_PROCFS || rule->fields & PROC_FIELDS;
  return needs_proc && source->unavailable & DENET_UNAVAILABLE_PROCESSES;
}

/* Makes the group of a rule whose name does not depend on a process: it reports 0 processes from
 * the start. A group that cannot be made, or in which 0 may be wrong, is made with its first
 * member. */
static void make_fixed_group(struct denet_groups *groups, const struct denet_rule *rule) {
  struct denet_group *group;
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer name = {0};
  if (!rule->uses && !denet_template_expand(rule, NULL, NULL, 0, &name))
    denet_groups_get(groups, rule, denet_buffer_text(&name), &group);
}

/* Takes the rules over. */
static void take_rules(struct denet_monitor *monitor, struct denet_rule *rules, size_t count) {
  monitor->active_rule_count = count;
  for (size_t i = 0; i < count; i++) {
    struct denet_active_rule *active_rule = &monitor->active_rules[i];
    active_rule->rule = rules[i];
    rules[i] = (struct denet_rule){0};
    active_rule->wanted = denet_metrics_wanted(active_rule->rule.report, active_rule->rule.records);
    if (active_rule->rule.off_cpu == DENET_OFF_CPU_NONE) {
      denet_metric_set_remove(&active_rule->wanted, DENET_RUN_DELAY);
      denet_metric_set_remove(&active_rule->wanted, DENET_OFF_CPU);
    }
    active_rule->losses = monitor->profiler ? &monitor->off_cpu_losses : NULL;
    if (!may_be_hidden(monitor->source, &active_rule->rule))
      make_fixed_group(&monitor->groups, &active_rule->rule);
  }
}

int denet_monitor_new(const struct denet_monitor_settings *settings, const struct denet_env *env,
                      struct denet_source *source, struct denet_rule *rules, size_t rule_count,
                      struct denet_error *error, struct denet_monitor **out_monitor) {
  struct denet_monitor *monitor = calloc(1, sizeof(*monitor));
  if (!monitor)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  monitor->interval = settings->interval;
  monitor->env = env;
  monitor->log = settings->log;
  snprintf(monitor->host_name, sizeof(monitor->host_name), "%s", settings->host_name);
  read_boot_id(monitor);
  monitor->emitter = (struct denet_emitter){
      .origin = {monitor->host_name, monitor->boot_id, source, settings->no_stacks},
      .sink = settings->sink,
      .sink_context = settings->sink_context,
      .is_on = settings->sink != NULL,
  };
  monitor->active_rules = calloc(rule_count ? rule_count : 1, sizeof(*monitor->active_rules));
  if (!monitor->active_rules) {
    denet_monitor_free(monitor);
    return denet_error_set(error, -ENOMEM, "there is no memory");
  }
  monitor->source = source;
  monitor->profiler = settings->profiler;
  take_rules(monitor, rules, rule_count);
  monitor->matcher = (struct denet_matcher){
      .active_rules = monitor->active_rules,
      .active_rule_count = rule_count,
      .source = source,
      .env = env,
      .log = &monitor->log,
      .table = &monitor->table,
      .groups = &monitor->groups,
      .trees = &monitor->trees,
      .baseline = settings->since_process_start ? DENET_BASELINE_BIRTH_IN_RECORDS
                                                : DENET_BASELINE_FIRST_SEEN,
  };
  denet_matcher_init(&monitor->matcher);
  *out_monitor = monitor;
  return 0;
}

void denet_monitor_free(struct denet_monitor *monitor) {
  if (!monitor)
    return;
  denet_trees_done(&monitor->trees);
  denet_groups_done(&monitor->groups);
  denet_matcher_done(&monitor->matcher);
  denet_emitter_done(&monitor->emitter);
  denet_process_table_done(&monitor->table);
  for (size_t i = 0; i < monitor->active_rule_count; i++) {
    denet_rule_done(&monitor->active_rules[i].rule);
    denet_slots_done(&monitor->active_rules[i].slots);
  }
  free(monitor->active_rules);
  denet_profiler_free(monitor->profiler);
  denet_source_free(monitor->source);
  free(monitor);
}

/* Reads the metrics that the rules of the process want. */
static void measure(struct denet_monitor *monitor, struct denet_process *process) {
  struct denet_usage *usage = process->usage;
  struct denet_metric_set wanted = {0};
  for (const struct denet_member *m = process->members; m; m = m->next_of_process)
    denet_metric_set_add_all(&wanted, &m->tree->active_rule->wanted);
  for (unsigned m = 0; m < DENET_METRICS && process->ended; m++)
    if (denet_metric_info[m].zombie_keeps && denet_values_has(&usage->now, m))
      denet_metric_set_remove(&wanted, m);
  bool first = !denet_metric_set_is_within(&wanted, &usage->wanted);
  monitor->source->measure(monitor->source, process, &wanted, first);
  /* The zombie of a transient error ends in a later tick: its last values are not read yet. */
  if (!process->vanished && process->has_run)
    process->ended = false;
  if (monitor->profiler)
    denet_profiler_measure(monitor->profiler, process);
  denet_metric_set_add_all(&usage->wanted, &wanted);
}

/* Returns the least time that a sample of CPU use is over: nearly the interval that was due at the
 * last one, so that a report in between does not make it shorter. */
static uint64_t find_rate_window(const struct denet_monitor *monitor,
                                 const struct denet_process *process, uint64_t now_ns) {
  uint64_t young_since_ns = process->born_under_watch ? process->seen_ns : process->born_ns;
  uint64_t last_ns = process->usage->cores_ns ? process->usage->cores_ns : now_ns;
  uint64_t age_ns = last_ns > young_since_ns ? last_ns - young_since_ns : 0;
  return denet_interval_for_age(&monitor->interval, age_ns) / 10 * 9;
}

/* Samples a process once a tick: measures it, and adds what its counters gained to its groups. */
static void advance(struct denet_monitor *monitor, struct denet_process *process, uint64_t now_ns) {
  struct denet_usage *usage = process->usage;
  struct denet_values delta;
  uint64_t sampled_ns = usage->advanced_ns;
  if (sampled_ns == now_ns)
    return;
  usage->advanced_ns = now_ns;
  measure(monitor, process);
  denet_values_set(&usage->now, DENET_PROCESSES, 1);
  uint64_t until_ns = process->ended_ns ? process->ended_ns : now_ns;
  denet_values_set(&usage->now, DENET_UPTIME,
                   until_ns > process->born_ns ? until_ns - process->born_ns : 0);
  denet_usage_advance(usage, process->baseline, &delta);
  denet_usage_rate(usage, find_rate_window(monitor, process, now_ns));
  /* The CPU use of a process that has ended, since its last sample. Of one that was never sampled
   * it is over all the time since the last tick, in which many such may have taken turns on one
   * CPU. */
  uint64_t since_ns = sampled_ns ? sampled_ns : monitor->last_ns;
  double last_cores = process->ended && now_ns > since_ns
                          ? (double)denet_values_cpu_ns(&delta) / (double)(now_ns - since_ns)
                          : 0;
  for (struct denet_member *m = process->members; m; m = m->next_of_process) {
    if (m->counts && !m->skips_sample) {
      denet_group_add(m->tree->group, &delta);
      m->tree->group->ended_cores += last_cores;
    }
    m->skips_sample = false;
  }
}

/* Writes the tree's next line. Its time is above that of the last one, even if the wall clock was
 * set back, or the final tick follows within the same millisecond. */
static void write_line(struct denet_monitor *monitor, struct denet_tree *tree, uint64_t ts_ms,
                       uint64_t now_ns) {
  tree->ts_ms = tree->ts_ms < ts_ms ? ts_ms : tree->ts_ms + 1;
  denet_emitter_write(&monitor->emitter, tree, tree->ts_ms, now_ns);
}

/* Returns when the last process of the tree ended, Unix ms; now if that is not known. */
static uint64_t find_end_ms(const struct denet_env *env, const struct denet_tree *tree) {
  uint64_t now_ns = env->boot_ns(env->context), now_ms = env->unix_ms(env->context), last_ns = 0;
  for (const struct denet_member *m = tree->first; m; m = m->next) {
    uint64_t ended_ns = m->process->ended ? m->process->ended_ns : 0;
    if (!ended_ns || ended_ns > now_ns)
      return now_ms;
    if (ended_ns > last_ns)
      last_ns = ended_ns;
  }
  return now_ms - (now_ns - last_ns) / 1000000;
}

/* Removes ended and leaving processes from their trees and groups, after a last sample, and writes
 * the last line of a tree that has no others. This comes before new processes join: a slot, or a
 * place among the rule's instances, is free for them. */
static void end_members(struct denet_monitor *monitor, uint64_t now_ns) {
  for (struct denet_tree *tree = monitor->trees.first, *next; tree; tree = next) {
    next = tree->next;
    for (struct denet_member *m = tree->first; m; m = m->next)
      if (denet_tree_is_ending(m))
        advance(monitor, m->process, now_ns);
    tree->is_over = denet_tree_is_over(tree);
    if (tree->is_over)
      write_line(monitor, tree, find_end_ms(monitor->env, tree), now_ns);
    denet_tree_remove_exited(&monitor->trees, tree, now_ns);
    if (tree->is_over)
      denet_tree_destroy(&monitor->trees, tree);
  }
}

/* Samples the processes of trees that are due, new processes, and those that end or leave. */
static void sample_trees(struct denet_monitor *monitor, enum denet_tick_scope scope,
                         uint64_t now_ns) {
  uint64_t slack_ns = monitor->interval.base_ns / 4;
  for (struct denet_tree *tree = monitor->trees.first; tree; tree = tree->next) {
    tree->is_due = now_ns + slack_ns >= tree->due_ns;
    for (struct denet_member *m = tree->first; m; m = m->next)
      if (tree->is_due || scope != DENET_TICK_DUE || denet_tree_is_ending(m) ||
          denet_metric_set_is_empty(&m->process->usage->counting))
        advance(monitor, m->process, now_ns);
  }
}

/* Makes the gauges of all groups from their members. */
static void make_gauges(struct denet_monitor *monitor) {
  for (size_t i = 0; i < monitor->groups.count; i++)
    denet_group_gauges_begin(monitor->groups.groups[i]);
  for (struct denet_tree *tree = monitor->trees.first; tree; tree = tree->next)
    for (struct denet_member *m = tree->first; m; m = m->next)
      if (m->counts && !denet_tree_is_ending(m))
        denet_group_gauges_show(tree->group, m->process);
  for (size_t i = 0; i < monitor->groups.count; i++)
    denet_group_gauges_end(monitor->groups.groups[i]);
}

/* Returns when a tree is due interval_ns after since_ns. All are due at whole numbers of base
 * intervals after the first tick, so that many births do not make many ticks; except in the longest
 * interval if it is no whole number of them, which could not be kept. */
static uint64_t find_due(const struct denet_monitor *monitor, uint64_t since_ns,
                         uint64_t interval_ns) {
  uint64_t due_ns = since_ns + interval_ns;
  if (interval_ns == monitor->interval.max_ns && interval_ns % monitor->interval.base_ns)
    return due_ns;
  return denet_interval_align(&monitor->interval, monitor->first_ns, due_ns);
}

/* Writes the lines that are due, and sets when each tree and the next tick are due. */
static void write_trees(struct denet_monitor *monitor, enum denet_tick_scope scope,
                        uint64_t now_ns) {
  uint64_t ts_ms = monitor->env->unix_ms(monitor->env->context);
  for (struct denet_tree *tree = monitor->trees.first; tree; tree = tree->next) {
    if (tree->is_due || scope == DENET_TICK_FINAL)
      write_line(monitor, tree, ts_ms, now_ns);
    bool has_file = monitor->emitter.is_on && tree->active_rule->rule.records;
    uint64_t age_ns = now_ns > tree->young_since_ns ? now_ns - tree->young_since_ns : 0;
    uint64_t interval_ns =
        has_file ? denet_interval_for_age(&monitor->interval, age_ns) : monitor->interval.max_ns;
    if (tree->is_due) /* counted from when it was due, so that delays do not add up */
      tree->due_ns = find_due(monitor, tree->due_ns, interval_ns);
    /* Without a file the samples need not be equally far apart: that for a report counts as one. */
    if (tree->due_ns <= now_ns || (!has_file && scope != DENET_TICK_DUE))
      tree->due_ns = find_due(monitor, now_ns, interval_ns);
    if (tree->due_ns < monitor->next_ns)
      monitor->next_ns = tree->due_ns;
  }
}

int denet_monitor_tick(struct denet_monitor *monitor, enum denet_tick_scope scope,
                       struct denet_error *error) {
  const struct denet_env *env = monitor->env;
  uint64_t now_ns = env->boot_ns(env->context);
  monitor->next_ns = now_ns + monitor->interval.max_ns;
  if (!monitor->first_ns)
    monitor->first_ns = now_ns;
  monitor->matcher.wants_metadata = monitor->emitter.is_on;
  denet_emitter_finish_files(&monitor->emitter);
  int failure = monitor->source->scan(monitor->source, &monitor->table, error);
  for (size_t i = 0; i < monitor->table.gone_count; i++)
    monitor->table.gone[i]->ended = monitor->table.gone[i]->vanished = true;
  if (monitor->profiler)
    denet_profiler_collect(monitor->profiler, &monitor->table, &monitor->trees,
                           &monitor->off_cpu_losses);
  denet_matcher_begin(&monitor->matcher, now_ns);
  denet_matcher_resolve_ended(&monitor->matcher);
  end_members(monitor, now_ns);
  denet_matcher_read_pid_files(&monitor->matcher);
  int resolve_failure = denet_matcher_resolve(&monitor->matcher);
  if (resolve_failure)
    failure = denet_error_set(error, resolve_failure, "not every process could be matched: %s",
                              strerror(-resolve_failure));
  sample_trees(monitor, scope, now_ns);
  if (monitor->profiler)
    denet_profiler_follow_new(monitor->profiler);
  make_gauges(monitor);
  end_members(monitor, now_ns); /* those that no rule matches any more, before the others' lines */
  write_trees(monitor, scope, now_ns);
  monitor->last_ns = now_ns;
  uint64_t tick_ns = env->boot_ns(env->context) - now_ns;
  if (tick_ns > monitor->longest_tick_ns)
    monitor->longest_tick_ns = tick_ns;
  return failure;
}

uint64_t denet_monitor_next_ns(const struct denet_monitor *monitor) { return monitor->next_ns; }

static bool is_wanted(void *context, struct denet_process *process) {
  return denet_matcher_wants(context, process);
}

void denet_monitor_drain_events(struct denet_monitor *monitor) {
  /* The first moment after the last tick at which trees are due, see find_due(). */
  uint64_t soon_ns = denet_interval_align(&monitor->interval, monitor->first_ns,
                                          monitor->matcher.now_ns + monitor->interval.base_ns / 2);
  if (monitor->source->drain_events(monitor->source, is_wanted, &monitor->matcher) &&
      soon_ns < monitor->next_ns)
    monitor->next_ns = soon_ns;
}

void denet_monitor_report(struct denet_monitor *monitor,
                          void (*each)(void *context, const struct denet_group_report *report),
                          void *context, struct denet_monitor_stats *out_stats) {
  uint64_t now_ns = monitor->matcher.now_ns;
  const struct denet_off_cpu_losses *losses = &monitor->off_cpu_losses;
  uint64_t matched = 0;
  for (size_t i = 0; i < monitor->table.count; i++)
    matched += monitor->table.processes[i]->members != NULL;
  for (size_t i = 0; i < monitor->groups.count; i++) {
    struct denet_group_report report;
    denet_group_take_report(monitor->groups.groups[i], now_ns, &report);
    each(context, &report);
  }
  denet_groups_expire(&monitor->groups, now_ns);
  *out_stats = (struct denet_monitor_stats){
      .source_id = monitor->source->source_id,
      .tick_ns = monitor->longest_tick_ns,
      .records = monitor->emitter.records,
      .records_dropped = monitor->emitter.dropped,
      .processes = monitor->table.count,
      .matched = matched,
      .lost = monitor->source->lost + monitor->matcher.missed + losses->threads +
              losses->processes + losses->stacks,
  };
  monitor->longest_tick_ns = 0;
}

const struct denet_source *denet_monitor_source(const struct denet_monitor *monitor) {
  return monitor->source;
}
