#include "core/source/bpf/task_sums.h"

#include "core/source/bpf/records.h"
#include "core/source/source.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>

/* Which metric each cost is, and what it takes to have it. CPU time is split first, and not here.
 */
static const struct {
  enum denet_metric metric;
  size_t offset;
  unsigned lack;
} cost_metrics[] = {
    {DENET_RUN_DELAY, offsetof(struct denet_bpf_costs, run_delay_ns), DENET_LACK_SCHEDSTAT},
    {DENET_SWITCHES_VOLUNTARY, offsetof(struct denet_bpf_costs, switches_voluntary), 0},
    {DENET_SWITCHES_INVOLUNTARY, offsetof(struct denet_bpf_costs, switches_involuntary), 0},
    {DENET_MINOR_FAULTS, offsetof(struct denet_bpf_costs, minor_faults), 0},
    {DENET_MAJOR_FAULTS, offsetof(struct denet_bpf_costs, major_faults), 0},
    {DENET_SYSCALL_READ, offsetof(struct denet_bpf_costs, read_chars), DENET_LACK_IO_ACCOUNTING},
    {DENET_SYSCALL_WRITE, offsetof(struct denet_bpf_costs, write_chars), DENET_LACK_IO_ACCOUNTING},
    {DENET_READ_CALLS, offsetof(struct denet_bpf_costs, read_calls), DENET_LACK_IO_ACCOUNTING},
    {DENET_WRITE_CALLS, offsetof(struct denet_bpf_costs, write_calls), DENET_LACK_IO_ACCOUNTING},
    {DENET_DISK_READ, offsetof(struct denet_bpf_costs, read_bytes), DENET_LACK_IO_ACCOUNTING},
    {DENET_DISK_WRITE, offsetof(struct denet_bpf_costs, write_bytes), DENET_LACK_IO_ACCOUNTING},
};

static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_BPF_BRIEF:
    return sizeof(struct denet_bpf_brief);
  case DENET_BPF_PROCESS:
    return sizeof(struct denet_bpf_process);
  case DENET_BPF_THREAD:
    return sizeof(struct denet_bpf_thread);
  default:
    return 0;
  }
}

const struct denet_bpf_head *denet_tally_next(const struct denet_buffer *records, size_t *offset) {
  return denet_records_next(records, size_of, offset);
}

void denet_tallies_done(struct denet_tallies *tallies) {
  free(tallies->tallies);
  *tallies = (struct denet_tallies){0};
}

void denet_tallies_clear(struct denet_tallies *tallies) { tallies->count = 0; }

int denet_tallies_add(struct denet_tallies *tallies, struct denet_process *process,
                      const struct denet_bpf_process *record, uint64_t main_age_ns) {
  if (tallies->count == tallies->capacity) {
    size_t capacity = tallies->capacity ? 2 * tallies->capacity : 512;
    struct denet_tally *grown = reallocarray(tallies->tallies, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    tallies->tallies = grown;
    tallies->capacity = capacity;
  }
  tallies->tallies[tallies->count++] = (struct denet_tally){
      .process = process,
      .record = record,
      .costs = record->costs,
      .main_age_ns = main_age_ns,
      .rss_pages = record->rss_pages,
      .vm_pages = record->vm_pages,
      .threads_seen = 1,
      .is_on_cpu = record->identity.state & DENET_BPF_ON_CPU,
  };
  return 0;
}

static struct denet_tally *find_tally(const struct denet_tallies *tallies, pid_t pid) {
  size_t low = 0, high = tallies->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct denet_tally *tally = &tallies->tallies[middle];
    if (tally->process->pid == pid)
      return tally;
    if (tally->process->pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

const struct denet_tally *denet_tallies_find(const struct denet_tallies *tallies, pid_t pid) {
  return find_tally(tallies, pid);
}

/* Costs are nothing but counters. */
static void add_costs(struct denet_bpf_costs *sum, const struct denet_bpf_costs *part) {
  denet_u64 *sums = (denet_u64 *)sum;
  const denet_u64 *parts = (const denet_u64 *)part;
  for (size_t i = 0; i < sizeof(*sum) / sizeof(*sums); i++)
    sums[i] += parts[i];
}

static void add_thread(struct denet_tally *tally, const struct denet_bpf_thread *thread) {
  add_costs(&tally->costs, &thread->costs);
  tally->threads_seen++;
  tally->is_on_cpu |= (thread->state & DENET_BPF_ON_CPU) != 0;
  if (!tally->vm_pages) { /* the main thread has no memory any more */
    tally->rss_pages = thread->rss_pages;
    tally->vm_pages = thread->vm_pages;
  }
}

/* Threads come in the order of their numbers, not behind their processes. */
void denet_tallies_add_threads(struct denet_tallies *tallies, const struct denet_buffer *records) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  while ((head = denet_tally_next(records, &offset))) {
    struct denet_tally *tally =
        head->kind == DENET_BPF_THREAD ? find_tally(tallies, (pid_t)head->pid) : NULL;
    if (tally)
      add_thread(tally, (const struct denet_bpf_thread *)head);
  }
}

/* A counter of a process never falls; it may seem to when a thread exits between the moments at
 * which its own counts and the process's were read. */
static void raise_value(struct denet_values *now, enum denet_metric metric, uint64_t value) {
  if (!denet_values_has(now, metric) || now->value[metric] < value)
    denet_values_set(now, metric, value);
}

void denet_tally_take_costs(struct denet_process *process, const struct denet_bpf_costs *costs,
                            unsigned lacks) {
  for (size_t i = 0; i < DENET_COUNT_OF(cost_metrics); i++) {
    uint64_t value;
    memcpy(&value, (const char *)costs + cost_metrics[i].offset, sizeof(value));
    if (!(cost_metrics[i].lack & lacks))
      raise_value(&process->now, cost_metrics[i].metric, value);
  }
  if (costs->run_ns > process->cpu_ns)
    process->cpu_ns = costs->run_ns;
  denet_process_split_cpu(&process->now, process->cpu_ns, costs->user_ns, costs->system_ns);
}

/* A zombie has given its memory back: what it had last stays. */
static void take_memory(const struct denet_tally *tally, const struct denet_host *host) {
  struct denet_process *process = tally->process;
  bool has_memory = tally->vm_pages || process->kernel_thread;
  if (!has_memory && denet_values_has(&process->now, DENET_RSS))
    return;
  denet_values_set(&process->now, DENET_RSS, tally->rss_pages * host->page_bytes);
  denet_values_set(&process->now, DENET_VM, tally->vm_pages * host->page_bytes);
}

void denet_tally_delay_end(struct denet_process *process, uint64_t since_ns, uint64_t cpu_ns) {
  uint64_t threads = process->now.value[DENET_THREADS];
  uint64_t least_ns = since_ns + (process->cpu_ns - cpu_ns) / (threads ? threads : 1);
  if (process->measured_ns < least_ns)
    process->measured_ns = least_ns;
  if (process->ended_ns)
    process->ended_ns = process->measured_ns;
}

void denet_tallies_take(const struct denet_tallies *tallies, const struct denet_host *host,
                        unsigned lacks) {
  for (size_t i = 0; i < tallies->count; i++) {
    const struct denet_tally *tally = &tallies->tallies[i];
    struct denet_process *process = tally->process;
    /* A thread was seen that exited before its process's sums were read: it is in both. */
    if (tally->threads_seen > tally->record->identity.threads &&
        denet_values_has(&process->now, DENET_CPU_USER))
      continue;
    uint64_t since_ns = process->is_new ? process->born_ns : process->measured_ns;
    uint64_t cpu_ns = process->cpu_ns;
    bool has_end = process->ended && process->ended_ns;
    process->measured_ns = has_end ? process->ended_ns : tally->record->seen_ns;
    denet_tally_take_costs(process, &tally->costs, lacks);
    if (has_end)
      denet_tally_delay_end(process, since_ns, cpu_ns);
    process->age_ns = tally->costs.age_ns + tally->main_age_ns;
    if (!tally->is_on_cpu) /* its CPU time is yet to be brought up to date */
      denet_process_derive_off_cpu(process);
    denet_values_set(&process->now, DENET_THREADS, tally->record->identity.threads);
    denet_values_set(&process->now, DENET_CPU_CORE, tally->record->cpu);
    take_memory(tally, host);
  }
}
