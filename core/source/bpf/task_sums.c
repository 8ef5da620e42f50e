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
    {DENET_RUN_DELAY, offsetof(struct denet_bpf_usage, run_delay_ns), DENET_UNAVAILABLE_SCHEDSTAT},
    {DENET_SWITCHES_VOLUNTARY, offsetof(struct denet_bpf_usage, switches_voluntary), 0},
    {DENET_SWITCHES_INVOLUNTARY, offsetof(struct denet_bpf_usage, switches_involuntary), 0},
    {DENET_MINOR_FAULTS, offsetof(struct denet_bpf_usage, minor_faults), 0},
    {DENET_MAJOR_FAULTS, offsetof(struct denet_bpf_usage, major_faults), 0},
    {DENET_SYSCALL_READ, offsetof(struct denet_bpf_usage, read_chars),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_SYSCALL_WRITE, offsetof(struct denet_bpf_usage, write_chars),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_READ_CALLS, offsetof(struct denet_bpf_usage, read_calls),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_WRITE_CALLS, offsetof(struct denet_bpf_usage, write_calls),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_READ, offsetof(struct denet_bpf_usage, read_bytes),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_WRITE, offsetof(struct denet_bpf_usage, write_bytes),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
};

static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_BPF_COMPACT:
    return sizeof(struct denet_bpf_compact);
  case DENET_BPF_PROCESS:
    return sizeof(struct denet_bpf_process);
  case DENET_BPF_THREAD:
    return sizeof(struct denet_bpf_thread);
  default:
    return 0;
  }
}

const struct denet_bpf_head *denet_task_sums_next(const struct denet_buffer *records,
                                                  size_t *offset) {
  return denet_records_next(records, size_of, offset);
}

void denet_task_sums_done(struct denet_task_sums *task_sums) {
  free(task_sums->task_sums);
  *task_sums = (struct denet_task_sums){0};
}

void denet_task_sums_clear(struct denet_task_sums *task_sums) { task_sums->count = 0; }

int denet_task_sums_add(struct denet_task_sums *task_sums, struct denet_process *process,
                        const struct denet_bpf_process *record, uint64_t main_age_ns) {
  if (task_sums->count == task_sums->capacity) {
    size_t capacity = task_sums->capacity ? 2 * task_sums->capacity : 512;
    struct denet_task_sum *grown = reallocarray(task_sums->task_sums, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    task_sums->task_sums = grown;
    task_sums->capacity = capacity;
  }
  task_sums->task_sums[task_sums->count++] = (struct denet_task_sum){
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

static struct denet_task_sum *find_tally(const struct denet_task_sums *task_sums, pid_t pid) {
  size_t low = 0, high = task_sums->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct denet_task_sum *task_sum = &task_sums->task_sums[middle];
    if (task_sum->process->pid == pid)
      return task_sum;
    if (task_sum->process->pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

const struct denet_task_sum *denet_task_sums_find(const struct denet_task_sums *task_sums,
                                                  pid_t pid) {
  return find_tally(task_sums, pid);
}

/* Costs are nothing but counters. */
static void add_costs(struct denet_bpf_usage *sum, const struct denet_bpf_usage *part) {
  denet_u64 *sums = (denet_u64 *)sum;
  const denet_u64 *parts = (const denet_u64 *)part;
  for (size_t i = 0; i < sizeof(*sum) / sizeof(*sums); i++)
    sums[i] += parts[i];
}

static void add_thread(struct denet_task_sum *task_sum, const struct denet_bpf_thread *thread) {
  add_costs(&task_sum->costs, &thread->costs);
  task_sum->threads_seen++;
  task_sum->is_on_cpu |= (thread->state & DENET_BPF_ON_CPU) != 0;
  if (!task_sum->vm_pages) { /* the main thread has no memory any more */
    task_sum->rss_pages = thread->rss_pages;
    task_sum->vm_pages = thread->vm_pages;
  }
}

/* Threads come in the order of their numbers, not behind their processes. */
void denet_task_sums_add_threads(struct denet_task_sums *task_sums,
                                 const struct denet_buffer *records) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  while ((head = denet_task_sums_next(records, &offset))) {
    struct denet_task_sum *task_sum =
        head->kind == DENET_BPF_THREAD ? find_tally(task_sums, (pid_t)head->pid) : NULL;
    if (task_sum)
      add_thread(task_sum, (const struct denet_bpf_thread *)head);
  }
}

/* A counter of a process never falls; it may seem to when a thread exits between the moments at
 * which its own counts and the process's were read. */
static void raise_value(struct denet_values *now, enum denet_metric metric, uint64_t value) {
  if (!denet_values_has(now, metric) || now->value[metric] < value)
    denet_values_set(now, metric, value);
}

void denet_task_sums_take_costs(struct denet_process *process, const struct denet_bpf_usage *costs,
                                unsigned unavailable) {
  for (size_t i = 0; i < DENET_COUNT_OF(cost_metrics); i++) {
    uint64_t value;
    memcpy(&value, (const char *)costs + cost_metrics[i].offset, sizeof(value));
    if (!(cost_metrics[i].lack & unavailable))
      raise_value(&process->now, cost_metrics[i].metric, value);
  }
  if (costs->run_ns > process->cpu_ns)
    process->cpu_ns = costs->run_ns;
  denet_process_split_cpu(&process->now, process->cpu_ns, costs->user_ns, costs->system_ns);
}

/* A zombie has given its memory back: what it had last stays. */
static void take_memory(const struct denet_task_sum *task_sum, const struct denet_env *env) {
  struct denet_process *process = task_sum->process;
  bool has_memory = task_sum->vm_pages || process->kernel_thread;
  if (!has_memory && denet_values_has(&process->now, DENET_RSS))
    return;
  denet_values_set(&process->now, DENET_RSS, task_sum->rss_pages * env->page_bytes);
  denet_values_set(&process->now, DENET_VM, task_sum->vm_pages * env->page_bytes);
}

void denet_task_sums_delay_end(struct denet_process *process, uint64_t since_ns, uint64_t cpu_ns) {
  uint64_t threads = process->now.value[DENET_THREADS];
  uint64_t least_ns = since_ns + (process->cpu_ns - cpu_ns) / (threads ? threads : 1);
  if (process->measured_ns < least_ns)
    process->measured_ns = least_ns;
  if (process->ended_ns)
    process->ended_ns = process->measured_ns;
}

void denet_task_sums_take(const struct denet_task_sums *task_sums, const struct denet_env *env,
                          unsigned unavailable) {
  for (size_t i = 0; i < task_sums->count; i++) {
    const struct denet_task_sum *task_sum = &task_sums->task_sums[i];
    struct denet_process *process = task_sum->process;
    /* A thread was seen that exited before its process's sums were read: it is in both. */
    if (task_sum->threads_seen > task_sum->record->identity.threads &&
        denet_values_has(&process->now, DENET_CPU_USER))
      continue;
    uint64_t since_ns = process->is_new ? process->born_ns : process->measured_ns;
    uint64_t cpu_ns = process->cpu_ns;
    bool has_end = process->ended && process->ended_ns;
    process->measured_ns = has_end ? process->ended_ns : task_sum->record->seen_ns;
    denet_task_sums_take_costs(process, &task_sum->costs, unavailable);
    if (has_end)
      denet_task_sums_delay_end(process, since_ns, cpu_ns);
    process->age_ns = task_sum->costs.age_ns + task_sum->main_age_ns;
    if (!task_sum->is_on_cpu) /* its CPU time is yet to be brought up to date */
      denet_process_derive_off_cpu(process);
    denet_values_set(&process->now, DENET_THREADS, task_sum->record->identity.threads);
    denet_values_set(&process->now, DENET_CPU_CORE, task_sum->record->cpu);
    take_memory(task_sum, env);
  }
}
