/* What tasks have cost and the memory that they hold. */
#pragma once

#include "task.h"

/* Set before loading. */
const volatile denet_u32 cpu_count = 0;

/* A per-CPU variable stands at its address plus an offset of the CPU. Set by user space. */
denet_u64 cpu_offset[DENET_BPF_CPUS];

/* What the kernel adds up for no exited thread, or only together with the children's. */
struct sums {
  denet_u64 age_ns, run_delay_ns;
  denet_u64 read_chars, write_chars, read_calls, write_calls, read_bytes, write_bytes;
};

/* Summed here as each thread of a process exits. */
struct exited_costs {
  struct sums threads;
  struct sums leader;    /* the main thread: it counts by itself unless another one replaces it */
  denet_u64 is_not_kept; /* of the whole process: there was no room to keep its main thread */
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, DENET_BPF_EXITED_MOST);
  __type(key, struct process_key);
  __type(value, struct exited_costs);
} exited SEC(".maps");

/* CPU time, switches and faults of one thread, and its age unless that has been summed. */
static __always_inline void read_thread(struct task_struct *task, struct denet_bpf_usage *costs) {
  costs->age_ns = task->flags & PF_EXITING ? 0 : read_age(task);
  costs->run_ns = task->se.sum_exec_runtime;
  costs->user_ns = task->utime;
  costs->system_ns = task->stime;
  costs->run_delay_ns = read_run_delay(task) + read_waiting(task);
  costs->switches_voluntary = task->nvcsw;
  costs->switches_involuntary = task->nivcsw;
  costs->minor_faults = task->min_flt;
  costs->major_faults = task->maj_flt;
}

/* The same that the threads that have exited left behind (__exit_signal, kernel/exit.c), but for
 * the run queue delay. */
static __always_inline void add_exited(struct signal_struct *signal,
                                       struct denet_bpf_usage *costs) {
  costs->run_ns += signal->sum_sched_runtime;
  costs->user_ns += signal->utime;
  costs->system_ns += signal->stime;
  costs->switches_voluntary += signal->nvcsw;
  costs->switches_involuntary += signal->nivcsw;
  costs->minor_faults += signal->min_flt;
  costs->major_faults += signal->maj_flt;
}

/* Without CONFIG_TASK_XACCT and CONFIG_TASK_IO_ACCOUNTING there are no such fields. */
static __always_inline bool has_io(void) {
  return bpf_core_field_exists(((struct task_io_accounting *)0)->rchar) &&
         bpf_core_field_exists(((struct task_io_accounting *)0)->read_bytes);
}

static __always_inline void add_io(struct task_io_accounting *io, struct denet_bpf_usage *costs) {
  if (!has_io())
    return;
  costs->read_chars += io->rchar;
  costs->write_chars += io->wchar;
  costs->read_calls += io->syscr;
  costs->write_calls += io->syscw;
  costs->read_bytes += io->read_bytes;
  costs->write_bytes += io->write_bytes;
}

/* When a process waits for a child the kernel adds that one's I/O to its own (wait_task_zombie,
 * kernel/exit.c). Every child has page faults. */
static __always_inline bool has_reaped(struct signal_struct *signal) {
  return signal->cmin_flt > 0;
}

/* What is known of the threads that exited before the first one that was summed: they ran all their
 * lives, and their I/O if it can be told. */
static __always_inline void read_exited(struct signal_struct *signal, struct sums *sums) {
  sums->age_ns = signal->sum_sched_runtime;
  if (has_reaped(signal) || !has_io())
    return;
  sums->read_chars = signal->ioac.rchar;
  sums->write_chars = signal->ioac.wchar;
  sums->read_calls = signal->ioac.syscr;
  sums->write_calls = signal->ioac.syscw;
  sums->read_bytes = signal->ioac.read_bytes;
  sums->write_bytes = signal->ioac.write_bytes;
}

/* What exited threads of its process have cost, made with the first that asks; 0: no room. */
static __always_inline struct exited_costs *find_exited(struct task_struct *task) {
  struct process_key key = key_of(task);
  struct exited_costs *costs = bpf_map_lookup_elem(&exited, &key);
  if (costs)
    return costs;
  struct exited_costs first = {};
  read_exited(task->signal, &first.threads);
  bpf_map_update_elem(&exited, &key, &first, BPF_NOEXIST);
  return bpf_map_lookup_elem(&exited, &key);
}

/* What a process has of its exited threads beyond add_exited(). has_own_io: its I/O is there
 * already, from signal->ioac. */
static __always_inline void add_summed(struct exited_costs *exited_costs, bool has_own_io,
                                       struct denet_bpf_usage *costs) {
  if (!exited_costs)
    return;
  struct sums *sums = &exited_costs->threads;
  costs->age_ns += sums->age_ns;
  costs->run_delay_ns += sums->run_delay_ns;
  if (has_own_io)
    return;
  costs->read_chars += sums->read_chars;
  costs->write_chars += sums->write_chars;
  costs->read_calls += sums->read_calls;
  costs->write_calls += sums->write_calls;
  costs->read_bytes += sums->read_bytes;
  costs->write_bytes += sums->write_bytes;
}

/* As wait(2) tells it, also where the main thread exited before the others. */
static __always_inline int read_exit_code(struct task_struct *task) {
  struct signal_struct *signal = task->signal;
  return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->exit_code;
}

#define RSS_COUNTERS 4
#define SWAP_ENTRIES 2 /* MM_SWAPENTS: not resident */

static __always_inline denet_u64 positive(denet_s64 sum) { return sum > 0 ? sum : 0; }

/* The counters stand side by side since Linux 6.6 (percpu_counter_init_many): one read a CPU. */
static __always_inline denet_u64 read_adjacent(const char *parts, denet_s64 sums[RSS_COUNTERS]) {
  for (denet_u32 cpu = 0; cpu < DENET_BPF_CPUS; cpu++) {
    denet_s32 part[RSS_COUNTERS] = {};
    if (cpu >= cpu_count)
      break;
    bpf_probe_read_kernel(part, sizeof(part), parts + cpu_offset[cpu]);
    sums[0] += part[0];
    sums[1] += part[1];
    sums[3] += part[3];
  }
  return positive(sums[0]) + positive(sums[1]) + positive(sums[3]);
}

static __always_inline denet_u64 read_counter(const char *parts, denet_s64 sum) {
  for (denet_u32 cpu = 0; cpu < DENET_BPF_CPUS; cpu++) {
    denet_s32 part = 0;
    if (cpu >= cpu_count)
      break;
    bpf_probe_read_kernel(&part, sizeof(part), parts + cpu_offset[cpu]);
    sum += part;
  }
  return positive(sum);
}

/* Resident pages, exactly: the shares that CPUs have not handed in yet included, as get_mm_rss() of
 * /proc/PID/statm does (fs/proc/task_mmu.c). */
static __always_inline denet_u64 read_rss(struct mm_struct *mm) {
  const struct mm_struct___plain *plain = (void *)mm;
  if (bpf_core_field_exists(plain->rss_stat.count[0].counter))
    return BPF_CORE_READ(plain, rss_stat.count[0].counter) +
           BPF_CORE_READ(plain, rss_stat.count[1].counter) +
           BPF_CORE_READ(plain, rss_stat.count[3].counter);
  denet_s64 sums[RSS_COUNTERS] = {mm->rss_stat[0].count, mm->rss_stat[1].count, 0,
                                  mm->rss_stat[3].count};
  const char *first = (const char *)mm->rss_stat[0].counters;
  const char *second = (const char *)mm->rss_stat[1].counters;
  const char *last = (const char *)mm->rss_stat[3].counters;
  if (second == first + sizeof(denet_s32) && last == first + 3 * sizeof(denet_s32))
    return read_adjacent(first, sums);
  return read_counter(first, sums[0]) + read_counter(second, sums[1]) + read_counter(last, sums[3]);
}

static __always_inline denet_u32 read_cpu(struct task_struct *task) {
  const struct task_struct___cpu *old = (void *)task;
  if (bpf_core_field_exists(old->cpu))
    return BPF_CORE_READ(old, cpu);
  return task->thread_info.cpu;
}
