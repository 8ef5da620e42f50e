#include "core/model/usage.h"

#include "core/model/thread_sums.h"

#include <stdlib.h>

void denet_usage_free(struct denet_usage *usage) {
  if (!usage)
    return;
  denet_thread_sums_free(usage->threads);
  free(usage);
}

/* Takes one counter into its total and returns what it gained. */
static uint64_t advance_counter(struct denet_usage *usage, unsigned m,
                                enum denet_baseline baseline) {
  uint64_t now = usage->now.value[m], gained = now - usage->last[m];
  bool begins = !denet_metric_set_has(&usage->counting, m), is_backwards = now < usage->last[m];
  usage->last[m] = now;
  denet_metric_set_add(&usage->counting, m);
  denet_metric_set_add(&usage->counted, m);
  /* A counter of which members have no share began before they were born. */
  if (denet_metric_info[m].combine != DENET_SUM)
    baseline = DENET_BASELINE_FIRST_SEEN;
  if (is_backwards || (begins && baseline == DENET_BASELINE_FIRST_SEEN))
    usage->zero[m] += gained;
  /* An earlier membership may have left out a part, which the total has from now on. */
  if (begins && baseline == DENET_BASELINE_BIRTH_IN_RECORDS && denet_usage_total(usage, m) < now)
    usage->zero[m] = 0;
  return is_backwards || (begins && baseline != DENET_BASELINE_BIRTH) ? 0 : gained;
}

void denet_usage_advance(struct denet_usage *usage, enum denet_baseline baseline,
                         struct denet_values *out_delta) {
  struct denet_metric_set rest = usage->now.present;
  out_delta->present = (struct denet_metric_set){0};
  for (unsigned m; denet_metric_set_take(&rest, &m);)
    if (denet_metric_info[m].kind == DENET_COUNTER)
      denet_values_set(out_delta, m, advance_counter(usage, m, baseline));
}

void denet_usage_totals(const struct denet_usage *usage, struct denet_values *out_totals) {
  *out_totals = usage->now;
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    if (denet_metric_info[m].kind != DENET_COUNTER)
      continue;
    denet_metric_set_remove(&out_totals->present, m);
    if (denet_metric_set_has(&usage->counted, m))
      denet_values_set(out_totals, m, denet_usage_total(usage, m));
  }
}

void denet_usage_rate(struct denet_usage *usage, uint64_t window_ns) {
  uint64_t cpu_ns =
      denet_usage_total(usage, DENET_CPU_USER) + denet_usage_total(usage, DENET_CPU_SYSTEM);
  uint64_t now_ns = usage->measured_ns, last_ns = usage->cores_ns;
  if (last_ns && now_ns < last_ns + window_ns)
    return;
  if (last_ns)
    usage->cpu_cores = (double)(cpu_ns - usage->cores_cpu_ns) / (double)(now_ns - last_ns);
  usage->cores_ns = now_ns;
  usage->cores_cpu_ns = cpu_ns;
}

void denet_usage_enter_net(struct denet_usage *usage, uint64_t namespace) {
  for (unsigned m = 0; m < DENET_METRICS && usage->net_namespace != namespace; m++) {
    if (denet_metric_info[m].procfs.file != DENET_FILE_NET_DEV)
      continue;
    denet_metric_set_remove(&usage->counting, m);
    denet_metric_set_remove(&usage->now.present, m);
  }
  usage->net_namespace = namespace;
}

void denet_usage_pause(struct denet_usage *usage) {
  usage->counting = usage->wanted = (struct denet_metric_set){0};
  usage->cores_ns = 0;
  usage->cpu_cores = 0;
}

void denet_usage_derive_off_cpu(struct denet_usage *usage) {
  struct denet_values *now = &usage->now;
  if (!denet_values_has(now, DENET_RUN_DELAY))
    return;
  uint64_t used_ns = usage->cpu_ns + now->value[DENET_RUN_DELAY];
  denet_values_raise(now, DENET_OFF_CPU, usage->age_ns > used_ns ? usage->age_ns - used_ns : 0);
}
