#include "core/record/record.h"

#include "core/source/procfs/parse.h"

#include <string.h>
#include <sys/wait.h>

#define FORMAT 1 /* of the lines, README.md */

/* Writes {"available":true,"name":...} or {"available":false,"reason":...}. */
static void write_capability(struct denet_json *json, const char *key, bool is_available,
                             const char *detail) {
  denet_json_object_open(json, key);
  denet_json_bool(json, "available", is_available);
  if (detail && *detail)
    denet_json_string(json, is_available ? "name" : "reason", denet_text_of(detail));
  denet_json_object_close(json);
}

static void write_capabilities(struct denet_json *json, const struct denet_record_origin *origin,
                               const struct denet_tree *tree) {
  const struct denet_source *source = origin->source;
  const struct denet_rule *rule = &tree->active_rule->rule;
  unsigned unavailable = source->unavailable | (tree->root ? tree->root->process->unavailable : 0);
  denet_json_object_open(json, "capabilities");
  write_capability(json, "source", true, source->name);
  const char *name;
  for (unsigned i = 0; (name = denet_unavailable_info[i].name);) {
    struct denet_error reason = {0};
    for (; denet_unavailable_info[i].name && !strcmp(denet_unavailable_info[i].name, name); i++)
      if (unavailable & denet_unavailable_info[i].lack)
        denet_unavailable_explain(&denet_unavailable_info[i], denet_unavailable_info[i].reason,
                                  &reason);
    if (!reason.text[0] && !strcmp(name, "executable") && tree->metadata.no_executable)
      denet_error_set(&reason, 0, "%s", tree->metadata.no_executable);
    write_capability(json, name, !reason.text[0], reason.text);
  }
  if (rule->off_cpu == DENET_OFF_CPU_STACKS || rule->forgoes_stacks)
    write_capability(json, "stacks", !rule->forgoes_stacks,
                     rule->forgoes_stacks ? origin->no_stacks : NULL);
  denet_json_object_close(json);
}

/* Writes a text that is not empty. */
static void write_text(struct denet_json *json, const char *key, const struct denet_buffer *text) {
  if (text->length)
    denet_json_string(json, key, denet_buffer_text(text));
}

int denet_record_metadata(struct denet_json *json, const struct denet_record_origin *origin,
                          const struct denet_tree *tree, struct denet_text *out_line) {
  denet_json_begin(json);
  denet_json_string(json, "kind", denet_text_of("metadata"));
  denet_json_unsigned(json, "format", FORMAT);
  denet_json_unsigned(json, "pid", (uint64_t)tree->pid);
  denet_json_array_open(json, "cmd");
  const struct denet_metadata *metadata = &tree->metadata;
  struct denet_text rest = denet_buffer_text(&metadata->arguments), argument;
  while (denet_parse_next_argument(&rest, &argument))
    denet_json_string(json, NULL, argument);
  denet_json_array_close(json);
  denet_json_string(json, "executable", denet_buffer_text(&metadata->executable));
  denet_json_unsigned(json, "t0_ms", tree->t0_ms);
  denet_json_string(json, "host", denet_text_of(origin->host));
  denet_json_string(json, "rule", denet_text_of(tree->active_rule->rule.name));
  denet_json_string(json, "instance", denet_text_of(tree->group->name));
  denet_json_unsigned(json, "ppid", (uint64_t)tree->parent_pid);
  if (metadata->has_uid)
    denet_json_unsigned(json, "uid", metadata->uid);
  write_text(json, "user", &metadata->user);
  write_text(json, "unit", &metadata->unit);
  write_text(json, "cgroup", &metadata->cgroup);
  if (origin->boot_id[0])
    denet_json_string(json, "boot_id", denet_text_of(origin->boot_id));
  write_capabilities(json, origin, tree);
  return denet_json_end(json, out_line);
}

/* Returns the CPU use in percent of one core since *line_ns, when *line_cpu_ns had been used, and
 * sets all three to now. If no newer CPU time is known (the process vanished), the use stays. */
static double take_cpu_usage(uint64_t now_ns, uint64_t cpu_ns, uint64_t *line_ns,
                             uint64_t *line_cpu_ns, double *line_usage) {
  bool has_window = *line_ns && now_ns > *line_ns && cpu_ns >= *line_cpu_ns;
  if (has_window)
    *line_usage = 100.0 * (double)(cpu_ns - *line_cpu_ns) / (double)(now_ns - *line_ns);
  if (has_window || !*line_ns) {
    *line_ns = now_ns;
    *line_cpu_ns = cpu_ns;
  }
  return *line_usage;
}

/* Writes the keys of one metrics object, without its braces. */
static void write_metrics(struct denet_json *json, const struct denet_values *values,
                          const struct denet_metric_set *wanted, uint64_t ts_ms, double cpu_usage,
                          enum denet_scope scope) {
  denet_json_unsigned(json, "ts_ms", ts_ms);
  if (denet_values_has(values, DENET_CPU_USER))
    denet_json_decimal(json, "cpu_usage", cpu_usage);
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    bool is_in_scope = info->json.scope == DENET_EVERY || info->json.scope == scope;
    if (is_in_scope && denet_values_has(values, m) && denet_metric_set_has(wanted, m))
      denet_json_unsigned(json, info->json.key, values->value[m] / info->json.divisor);
  }
}

static void write_member(struct denet_json *json, struct denet_member *member, uint64_t ts_ms) {
  const struct denet_usage *usage = member->process->usage;
  struct denet_values totals;
  denet_usage_totals(usage, &totals);
  double cpu_usage = take_cpu_usage(usage->measured_ns, denet_values_cpu_ns(&totals),
                                    &member->line_ns, &member->line_cpu_ns, &member->line_usage);
  write_metrics(json, &totals, &member->tree->active_rule->wanted, ts_ms, cpu_usage, DENET_SINGLE);
}

static void write_children(struct denet_json *json, struct denet_tree *tree, uint64_t ts_ms) {
  denet_json_array_open(json, "children");
  for (struct denet_member *member = tree->first; member; member = member->next) {
    if (member == tree->root)
      continue;
    denet_json_object_open(json, NULL);
    denet_json_unsigned(json, "pid", (uint64_t)member->process->pid);
    denet_json_string(json, "command", denet_text_of(member->process->name));
    denet_json_object_open(json, "metrics");
    write_member(json, member, ts_ms);
    denet_json_object_close(json);
    denet_json_object_close(json);
  }
  denet_json_array_close(json);
}

static void write_tree(struct denet_json *json, struct denet_tree *tree, uint64_t ts_ms,
                       uint64_t now_ns) {
  denet_json_unsigned(json, "ts_ms", ts_ms);
  if (tree->root) {
    denet_json_object_open(json, "parent");
    write_member(json, tree->root, ts_ms);
    denet_json_object_close(json);
  } else {
    denet_json_null(json, "parent");
  }
  write_children(json, tree, ts_ms);
  uint64_t measured_ns = 0; /* when the tree's CPU time was read last */
  for (const struct denet_member *m = tree->first; m; m = m->next)
    if (m->process->usage->measured_ns > measured_ns)
      measured_ns = m->process->usage->measured_ns;
  struct denet_values totals;
  denet_tree_totals(tree, &totals);
  double usage = take_cpu_usage(measured_ns ? measured_ns : now_ns, denet_values_cpu_ns(&totals),
                                &tree->line_ns, &tree->line_cpu_ns, &tree->line_usage);
  denet_json_object_open(json, "aggregated");
  write_metrics(json, &totals, &tree->active_rule->wanted, ts_ms, usage, DENET_AGGREGATED);
  denet_record_off_cpu(json, tree, &totals);
  denet_json_object_close(json);
}

/* Writes {"code":N} or {"signal":N}, wait(2), with "oom":true if the OOM killer sent it. The tree
 * has the exit status of a root that ended before the tree was over. */
static void write_exit(struct denet_json *json, const struct denet_tree *tree) {
  const struct denet_process *root = tree->root ? tree->root->process : NULL;
  bool is_of_root = root && root->has_exit_status;
  int status = is_of_root ? root->exit_status : tree->exit_status;
  if (!is_of_root && !tree->has_exit_status)
    return;
  denet_json_object_open(json, "exit");
  if (!WIFSIGNALED(status))
    denet_json_unsigned(json, "code", (uint64_t)WEXITSTATUS(status));
  else
    denet_json_unsigned(json, "signal", (uint64_t)WTERMSIG(status));
  if (WIFSIGNALED(status) && (is_of_root ? root->oom_killed : tree->oom_killed))
    denet_json_bool(json, "oom", true);
  denet_json_object_close(json);
}

int denet_record_sample(struct denet_json *json, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns, struct denet_text *out_line) {
  bool is_tree = tree->active_rule->rule.children;
  denet_json_begin(json);
  denet_json_string(json, "kind", denet_text_of(is_tree ? "tree" : "sample"));
  if (is_tree) {
    write_tree(json, tree, ts_ms, now_ns);
  } else {
    denet_json_unsigned(json, "pid", (uint64_t)tree->pid);
    if (tree->root) {
      struct denet_values totals;
      denet_usage_totals(tree->root->process->usage, &totals);
      write_member(json, tree->root, ts_ms);
      denet_record_off_cpu(json, tree, &totals);
    }
  }
  if (tree->is_over)
    write_exit(json, tree);
  return denet_json_end(json, out_line);
}
