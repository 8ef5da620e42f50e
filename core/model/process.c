#include "core/model/process.h"

#include "core/model/thread_sums.h"
#include "core/model/wait_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void denet_process_identify(struct denet_process *process, const struct denet_identity *identity) {
  bool no_mm = identity->is_zombie || identity->no_mm;
  bool execd = !process->is_new && identity->has_exec_stamp &&
               (process->never_execd != identity->never_execd ||
                process->exec_stamp != identity->exec_stamp);
  bool renamed = strncmp(process->name, identity->name, sizeof(process->name) - 1) != 0;
  process->execd |= execd || process->is_new;
  process->changed |= execd || renamed || process->is_new;
  process->start_ticks = identity->start_ticks;
  process->born_ns = identity->born_ns;
  process->parent_pid = identity->parent_pid;
  if (renamed)
    snprintf(process->name, sizeof(process->name), "%s", identity->name);
  process->kernel_thread = identity->kernel_thread;
  process->never_execd = identity->never_execd;
  if (identity->has_exec_stamp)
    process->exec_stamp = identity->exec_stamp;
  process->has_reaped = identity->has_reaped;
  /* The main thread may be a zombie while others run. */
  process->ended = identity->is_zombie && identity->threads <= 1;
  process->no_mm = no_mm && !process->ended;
  process->has_exit_status = process->ended && identity->has_exit_status;
  process->exit_status = process->has_exit_status ? identity->exit_status : 0;
  process->oom_killed = process->ended && identity->oom_killed;
}

/* Takes one counter into sum and gives what is new of it. */
static uint64_t advance_counter(struct denet_process *process, unsigned m) {
  /* What members do not add up is not their own: it began before they were born. */
  bool is_own = denet_metric_info[m].combine == DENET_COMBINE_SUM;
  enum denet_baseline baseline = is_own ? process->baseline : DENET_BASELINE_FIRST_SEEN;
  bool first = !denet_values_has(&process->last, m);
  uint64_t now = process->now.value[m], before = first ? 0 : process->last.value[m];
  uint64_t delta = now >= before ? now - before : 0;
  uint64_t sum = denet_values_has(&process->total, m) ? process->total.value[m] : 0;
  uint64_t all = baseline == DENET_BASELINE_BIRTH_IN_RECORDS ? now : sum;
  bool is_old = first && baseline != DENET_BASELINE_BIRTH;
  denet_values_set(&process->total, m, is_old ? all : sum + delta);
  denet_values_set(&process->last, m, now);
  return is_old ? 0 : delta;
}

void denet_process_advance(struct denet_process *process) {
  const struct denet_values *now = &process->now;
  process->delta.present = now->present;
  uint64_t gauges = now->present & ~denet_counters, counters = now->present & denet_counters;
  for (unsigned m; denet_take_metric(&gauges, &m);) {
    process->delta.value[m] = now->value[m];
    denet_values_set(&process->total, m, now->value[m]);
  }
  for (unsigned m; denet_take_metric(&counters, &m);) {
    bool is_still = denet_values_has(&process->last, m) && process->last.value[m] == now->value[m];
    process->delta.value[m] = is_still ? 0 : advance_counter(process, m);
  }
}

void denet_process_rate(struct denet_process *process, uint64_t window_ns) {
  uint64_t cpu_ns = denet_values_cpu_ns(&process->total), now_ns = process->measured_ns;
  bool has_begun = process->cores_ns != 0;
  if (has_begun && (now_ns <= process->cores_ns || now_ns - process->cores_ns < window_ns))
    return;
  if (has_begun)
    process->cpu_cores =
        (double)(cpu_ns - process->cores_cpu_ns) / (double)(now_ns - process->cores_ns);
  process->cores_ns = now_ns;
  process->cores_cpu_ns = cpu_ns;
}

void denet_process_enter_net(struct denet_process *process, uint64_t namespace) {
  for (unsigned m = 0; m < DENET_METRICS && process->net_namespace != namespace; m++) {
    if (denet_metric_info[m].file != DENET_FILE_NET_DEV)
      continue;
    process->last.present &= ~(UINT64_C(1) << m);
    process->now.present &= ~(UINT64_C(1) << m);
  }
  process->net_namespace = namespace;
}

void denet_process_unwatch(struct denet_process *process) {
  process->last.present = 0;
  process->measured = 0;
  process->cores_ns = 0;
  process->cpu_cores = 0;
}

static uint64_t at_least(uint64_t value, uint64_t least) { return value > least ? value : least; }

void denet_process_split_cpu(struct denet_values *now, uint64_t cpu_ns, uint64_t user_ticks,
                             uint64_t system_ticks) {
  uint64_t user = denet_values_has(now, DENET_CPU_USER) ? now->value[DENET_CPU_USER] : 0;
  uint64_t system = denet_values_has(now, DENET_CPU_SYSTEM) ? now->value[DENET_CPU_SYSTEM] : 0;
  if (cpu_ns < user + system)
    return;
  uint64_t ticks = user_ticks + system_ticks;
  unsigned __int128 share = (unsigned __int128)cpu_ns * system_ticks;
  uint64_t new_system = at_least(ticks ? (uint64_t)(share / ticks) : 0, system);
  uint64_t new_user = at_least(cpu_ns - (new_system < cpu_ns ? new_system : cpu_ns), user);
  denet_values_set(now, DENET_CPU_USER, new_user);
  denet_values_set(now, DENET_CPU_SYSTEM, cpu_ns - new_user);
}

void denet_process_derive_off_cpu(struct denet_process *process) {
  struct denet_values *now = &process->now;
  if (!denet_values_has(now, DENET_RUN_DELAY))
    return;
  uint64_t before_ns = denet_values_has(now, DENET_OFF_CPU) ? now->value[DENET_OFF_CPU] : 0;
  uint64_t used_ns = process->cpu_ns + now->value[DENET_RUN_DELAY];
  uint64_t off_ns = process->age_ns > used_ns ? process->age_ns - used_ns : 0;
  denet_values_set(now, DENET_OFF_CPU, at_least(off_ns, before_ns));
}

void denet_process_done(struct denet_process *process) {
  if (!process)
    return;
  denet_thread_sums_free(process->threads);
  process->threads = NULL;
  if (process->off_cpu)
    denet_wait_stats_done(process->off_cpu);
  free(process->off_cpu);
  process->off_cpu = NULL;
}
