#include "core/model/values.h"

void denet_values_merge(struct denet_values *values, enum denet_metric metric, uint64_t value) {
  uint64_t mine = denet_values_get(values, metric);
  bool is_sum = denet_metric_info[metric].combine == DENET_SUM;
  denet_values_set(values, metric, is_sum ? mine + value : mine > value ? mine : value);
}

void denet_values_combine(struct denet_values *values, const struct denet_values *other) {
  struct denet_metric_set rest = other->present;
  for (unsigned m; denet_metric_set_take(&rest, &m);)
    denet_values_merge(values, m, other->value[m]);
}

uint64_t denet_values_cpu_ns(const struct denet_values *values) {
  return denet_values_get(values, DENET_CPU_USER) + denet_values_get(values, DENET_CPU_SYSTEM);
}

void denet_values_split_cpu(struct denet_values *values, uint64_t cpu_ns, uint64_t user_ticks,
                            uint64_t system_ticks) {
  uint64_t user = denet_values_get(values, DENET_CPU_USER);
  uint64_t system = denet_values_get(values, DENET_CPU_SYSTEM);
  if (cpu_ns < user + system)
    return;
  uint64_t ticks = user_ticks + system_ticks;
  unsigned __int128 share = (unsigned __int128)cpu_ns * system_ticks;
  uint64_t new_system = ticks ? (uint64_t)(share / ticks) : 0, most = cpu_ns - user;
  new_system = new_system < system ? system : new_system > most ? most : new_system;
  denet_values_set(values, DENET_CPU_USER, cpu_ns - new_system);
  denet_values_set(values, DENET_CPU_SYSTEM, new_system);
}
