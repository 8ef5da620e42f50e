#include "core/groups/group.h"

#include "core/util/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plugin instance of the monitor's own values: no group may have this name. */
#define RESERVED_NAME "_self"
#define OVERFLOW_NAME "_other"

static void remove_group(struct denet_groups *groups, size_t index) {
  free(groups->groups[index]->raw);
  free(groups->groups[index]);
  groups->groups[index] = groups->groups[--groups->count];
}

void denet_groups_done(struct denet_groups *groups) {
  while (groups->count)
    remove_group(groups, 0);
  free(groups->groups);
  *groups = (struct denet_groups){0};
}

bool denet_group_is_named(const struct denet_group *group, struct denet_text raw) {
  return strlen(group->raw) == raw.length && !memcmp(group->raw, raw.bytes, raw.length);
}

/* Returns whether write_graphite makes one series of both names: it writes '_' for '.' (its
 * EscapeCharacter). */
static bool is_alike(const char *left, const char *right) {
  size_t i = 0;
  for (; left[i]; i++)
    if ((left[i] == '.' ? '_' : left[i]) != (right[i] == '.' ? '_' : right[i]))
      return false;
  return !right[i];
}

static bool is_taken(const struct denet_groups *groups, const char *name) {
  bool is_taken = is_alike(name, RESERVED_NAME);
  for (size_t i = 0; i < groups->count && !is_taken; i++)
    is_taken = is_alike(groups->groups[i]->name, name);
  return is_taken;
}

static int add_group(struct denet_groups *groups, const struct denet_rule *rule,
                     struct denet_text raw, struct denet_group **out_group) {
  if (denet_array_reserve(&groups->groups, &groups->capacity, groups->count + 1,
                          sizeof(struct denet_group *)))
    return -ENOMEM;
  struct denet_group *group = calloc(1, sizeof(*group));
  if (!group || !(group->raw = strndup(raw.bytes, raw.length))) {
    free(group);
    return -ENOMEM;
  }
  denet_name_safe(raw, group->name);
  for (unsigned attempt = 0; is_taken(groups, group->name); attempt++)
    denet_name_distinct(raw, attempt, group->name);
  group->raw_hash = denet_name_hash(raw);
  group->rule = rule;
  group->report = rule->report;
  /* The sum over no members is 0: a store can make a rate from the first member's counters on. */
  struct denet_metric_set wanted = denet_metrics_wanted(rule->report, false);
  for (unsigned m; denet_metric_set_take(&wanted, &m);)
    if (denet_metric_info[m].combine == DENET_SUM)
      denet_values_set(&group->values, m, 0);
  groups->groups[groups->count++] = group;
  *out_group = group;
  return 0;
}

/* Makes room for one more group of the rule. Returns false if each of its MaxInstances groups has
 * members, or had some since its last report. */
static bool make_room(struct denet_groups *groups, const struct denet_rule *rule) {
  unsigned count = 0;
  size_t oldest = SIZE_MAX;
  for (size_t i = 0; i < groups->count; i++) {
    const struct denet_group *group = groups->groups[i];
    if (group->rule != rule || group->is_overflow)
      continue;
    count++;
    bool is_reported = group->reported_ns >= group->empty_since_ns;
    if (!group->members && is_reported &&
        (oldest == SIZE_MAX || group->empty_since_ns < groups->groups[oldest]->empty_since_ns))
      oldest = i;
  }
  if (count < rule->max_instances)
    return true;
  if (oldest == SIZE_MAX)
    return false;
  remove_group(groups, oldest);
  return true;
}

static int get_overflow(struct denet_groups *groups, const struct denet_rule *rule,
                        struct denet_group **out_group) {
  for (size_t i = 0; i < groups->count; i++) {
    if (groups->groups[i]->is_overflow && groups->groups[i]->rule == rule) {
      *out_group = groups->groups[i];
      return 0;
    }
  }
  char raw[DENET_NAME_MAX + sizeof("-" OVERFLOW_NAME)];
  bool has_name = rule->name[0];
  snprintf(raw, sizeof(raw), "%.*s%s%s", DENET_NAME_MAX - 8, rule->name, has_name ? "-" : "",
           OVERFLOW_NAME);
  int error = add_group(groups, rule, denet_text_of(raw), out_group);
  if (!error)
    (*out_group)->is_overflow = true;
  return error;
}

int denet_groups_get(struct denet_groups *groups, const struct denet_rule *rule,
                     struct denet_text raw, struct denet_group **out_group) {
  uint64_t hash = denet_name_hash(raw);
  for (size_t i = 0; i < groups->count; i++) {
    struct denet_group *group = groups->groups[i];
    if (group->raw_hash != hash || !denet_group_is_named(group, raw))
      continue;
    group->report |= rule->report;
    *out_group = group;
    return 0;
  }
  return make_room(groups, rule) ? add_group(groups, rule, raw, out_group)
                                 : get_overflow(groups, rule, out_group);
}

void denet_groups_expire(struct denet_groups *groups, uint64_t now_ns) {
  for (size_t i = groups->count; i-- > 0;) {
    const struct denet_group *group = groups->groups[i];
    bool is_fixed = group->is_overflow || !group->rule->uses;
    if (is_fixed || group->members || group->reported_ns < group->empty_since_ns)
      continue;
    if (group->rule->uses & DENET_USES_PID ||
        now_ns - group->empty_since_ns >= DENET_GROUP_LINGER_NS)
      remove_group(groups, i);
  }
}

void denet_group_join(struct denet_group *group, bool is_start) {
  group->members++;
  group->starts += is_start;
}

void denet_group_leave(struct denet_group *group, uint64_t now_ns) {
  group->members--;
  group->exits++;
  group->empty_since_ns = now_ns;
}

static bool is_counter(unsigned metric) { return denet_metric_info[metric].kind == DENET_COUNTER; }

void denet_group_add(struct denet_group *group, const struct denet_values *delta) {
  /* A counter that no member has is absent, not 0. */
  denet_metric_set_add_all(&group->had, &delta->present);
  struct denet_metric_set missing = group->values.present, rest = delta->present;
  denet_metric_set_remove_all(&missing, &group->had);
  for (unsigned m; denet_metric_set_take(&missing, &m);)
    if (is_counter(m))
      denet_metric_set_remove(&group->values.present, m);
  for (unsigned m; denet_metric_set_take(&rest, &m);)
    denet_values_merge(&group->values, m, delta->value[m]);
}

void denet_group_gauges_begin(struct denet_group *group) {
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    if (is_counter(m))
      continue;
    group->values.value[m] = 0;
    /* The sum over no members is 0; there is no maximum of none. */
    if (denet_metric_info[m].combine == DENET_MAX)
      denet_metric_set_remove(&group->values.present, m);
  }
  group->cpu_cores = 0;
}

void denet_group_gauges_show(struct denet_group *group, const struct denet_process *process) {
  const struct denet_values *now = &process->usage->now;
  struct denet_metric_set rest = now->present;
  for (unsigned m; denet_metric_set_take(&rest, &m);)
    if (!is_counter(m))
      denet_values_merge(&group->values, m, now->value[m]);
  group->cpu_cores += process->usage->cpu_cores;
}

void denet_group_gauges_end(struct denet_group *group) {
  double cores = group->cpu_cores + group->ended_cores;
  if (cores > group->cpu_cores_max)
    group->cpu_cores_max = cores;
  group->ended_cores = 0;
  for (unsigned d = 0; d < DENET_DERIVEDS; d++) {
    uint64_t sample = group->values.value[denet_derived_info[d].of];
    if (denet_derived_info[d].is_peak && sample > group->peak[d])
      group->peak[d] = sample;
  }
}

static void set_derived(struct denet_group_report *report, enum denet_derived derived,
                        double value) {
  report->derived_present |= 1u << derived;
  report->derived[derived] = value;
}

void denet_group_take_report(struct denet_group *group, uint64_t now_ns,
                             struct denet_group_report *out_report) {
  struct denet_group_report report = {.group = group};
  const struct denet_values *values = &group->values;
  uint64_t cpu_ns = denet_values_cpu_ns(values), run_delay_ns = values->value[DENET_RUN_DELAY];
  double passed_ns = (double)(now_ns - group->reported_ns);
  bool has_rates = group->reported_ns && now_ns > group->reported_ns;
  if (has_rates && denet_values_has(values, DENET_CPU_USER)) {
    double cores = (double)(cpu_ns - group->reported_cpu_ns) / passed_ns;
    double most = cores > group->cpu_cores_max ? cores : group->cpu_cores_max;
    set_derived(&report, DENET_DERIVED_CPU_PERCENT, 100 * cores);
    set_derived(&report, DENET_DERIVED_CPU_PERCENT_MAX, 100 * most);
  }
  if (has_rates && denet_values_has(values, DENET_RUN_DELAY))
    set_derived(&report, DENET_DERIVED_DELAY_CPU,
                (double)(run_delay_ns - group->reported_run_delay_ns) / passed_ns);
  for (unsigned d = 0; d < DENET_DERIVEDS; d++) {
    const struct denet_derived_info *info = &denet_derived_info[d];
    if (info->is_peak && denet_values_has(values, info->of))
      set_derived(&report, d, (double)group->peak[d]);
    group->peak[d] = values->value[info->of];
  }
  set_derived(&report, DENET_DERIVED_STARTS, (double)group->starts);
  set_derived(&report, DENET_DERIVED_EXITS, (double)group->exits);

  group->reported_ns = now_ns;
  group->reported_cpu_ns = cpu_ns;
  group->reported_run_delay_ns = run_delay_ns;
  group->cpu_cores_max = group->cpu_cores;
  *out_report = report;
}
