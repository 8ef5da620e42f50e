/* Reads what tasks have used: CPU time, I/O, faults, switches and memory. */
#pragma once

#include "task.h"

/* The number of possible CPUs. User space sets it before it loads the programs. */
const volatile denet_u32 cpu_count = 0;

/* The instance of a per-CPU variable for a CPU is at the variable's address plus the CPU's offset
 * (__per_cpu_offset, include/asm-generic/percpu.h). User space sets it, see find_cpu_offsets(). */
denet_u64 cpu_offset[DENET_BPF_CPUS];

#define IO_COUNTS 6 /* the last fields of struct denet_bpf_usage, from read_chars on */

/* Sums over exited threads that signal_struct does not have: it has no run delay, and its I/O
 * (signal->ioac) includes that of children that the process has waited for. */
struct exited_sums {
  denet_u64 age_ns, run_delay_ns;
  denet_u64 io[IO_COUNTS];
};

#define EXITED_SUMS (sizeof(struct exited_sums) / sizeof(denet_u64))

struct exited_usage {
  struct exited_sums threads; /* exited threads without the main thread */
  struct exited_sums leader; /* the main thread: its task_struct stays until the process is freed */
  denet_u64 is_not_kept;     /* kept_tasks had no room for the process */
};

/* One entry for each process of which a thread has exited, until the process is freed. */
PROCESS_MAP(exited, DENET_BPF_EXITED_MOST, struct exited_usage);

/* Reads the counters of one thread from its task_struct. The age of an exiting thread is in its
 * exited_sums and is 0 here. */
static __always_inline void read_thread(struct task_struct *task, struct denet_bpf_usage *usage) {
  usage->age_ns = task->flags & PF_EXITING ? 0 : read_age(task);
  usage->run_ns = task->se.sum_exec_runtime;
  usage->user_ns = task->utime;
  usage->system_ns = task->stime;
  usage->run_delay_ns = read_run_delay(task) + read_waiting(task);
  usage->switches_voluntary = task->nvcsw;
  usage->switches_involuntary = task->nivcsw;
  usage->minor_faults = task->min_flt;
  usage->major_faults = task->maj_flt;
}

/* Adds the same counters of all exited threads, except age and run delay: __exit_signal()
 * (kernel/exit.c) adds them to signal_struct. */
static __always_inline void add_exited(struct signal_struct *signal,
                                       struct denet_bpf_usage *usage) {
  usage->run_ns += signal->sum_sched_runtime;
  usage->user_ns += signal->utime;
  usage->system_ns += signal->stime;
  usage->switches_voluntary += signal->nvcsw;
  usage->switches_involuntary += signal->nivcsw;
  usage->minor_faults += signal->min_flt;
  usage->major_faults += signal->maj_flt;
}

/* Adds struct task_io_accounting (include/linux/task_io_accounting.h): bytes and calls of read()
 * and write(), and bytes that reached the block layer. Adds nothing on a kernel without
 * CONFIG_TASK_XACCT or CONFIG_TASK_IO_ACCOUNTING, which has no such fields. */
static __always_inline void add_io(struct task_io_accounting *io, denet_u64 counts[IO_COUNTS]) {
  if (!bpf_core_field_exists(io->rchar) || !bpf_core_field_exists(io->read_bytes))
    return;
  counts[0] += io->rchar;
  counts[1] += io->wchar;
  counts[2] += io->syscr;
  counts[3] += io->syscw;
  counts[4] += io->read_bytes;
  counts[5] += io->write_bytes;
}

/* Tells whether signal->ioac includes I/O of children: wait_task_zombie() (kernel/exit.c) adds it
 * together with the child's page faults, of which every process has some. */
static __always_inline bool has_reaped(struct signal_struct *signal) {
  return signal->cmin_flt > 0;
}

/* Returns the process's entry in the map exited; NULL: the map is full. A new entry starts with the
 * threads that exited before: their age is taken for their CPU time, and their I/O is known unless
 * children's is mixed in. */
static __always_inline struct exited_usage *find_exited(struct task_struct *task) {
  struct signal_struct *signal = task->signal;
  struct process_key key = key_of(task);
  struct exited_usage *found = bpf_map_lookup_elem(&exited, &key);
  if (found)
    return found;
  struct exited_usage first = {.threads.age_ns = signal->sum_sched_runtime};
  if (!has_reaped(signal))
    add_io(&signal->ioac, first.threads.io);
  bpf_map_update_elem(&exited, &key, &first, BPF_NOEXIST);
  return bpf_map_lookup_elem(&exited, &key);
}

/* Adds what add_exited() leaves out. has_own_io: signal->ioac has been added and is right. */
static __always_inline void add_exited_sums(struct exited_usage *exited_usage, bool has_own_io,
                                            struct denet_bpf_usage *usage) {
  if (!exited_usage)
    return;
  usage->age_ns += exited_usage->threads.age_ns;
  usage->run_delay_ns += exited_usage->threads.run_delay_ns;
#pragma unroll
  for (int i = 0; i < IO_COUNTS; i++)
    if (!has_own_io)
      (&usage->read_chars)[i] += exited_usage->threads.io[i];
}

static __always_inline denet_u64 positive(denet_s64 sum) { return sum > 0 ? sum : 0; }

#define RSS_COUNTERS 4 /* include/linux/mm_types_task.h; [2], MM_SWAPENTS, is not resident */

/* Returns the resident pages of mm->rss_stat exactly, as get_mm_rss() gives them to
 * /proc/PID/statm (fs/proc/task_mmu.c). Since Linux 6.2 each counter is a struct percpu_counter
 * (include/linux/percpu_counter.h): a sum, and a part for each CPU that is not in it yet. Since
 * Linux 6.6 (percpu_counter_init_many()) the parts of a CPU are adjacent: one read gets all. */
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
  bool is_adjacent = second == first + sizeof(denet_s32) && last == first + 3 * sizeof(denet_s32);
  for (denet_u32 cpu = 0; cpu < DENET_BPF_CPUS; cpu++) {
    denet_s32 part[RSS_COUNTERS] = {};
    if (cpu >= cpu_count)
      break;
    bpf_probe_read_kernel(part, is_adjacent ? sizeof(part) : sizeof(*part),
                          first + cpu_offset[cpu]);
    if (!is_adjacent) {
      bpf_probe_read_kernel(&part[1], sizeof(*part), second + cpu_offset[cpu]);
      bpf_probe_read_kernel(&part[3], sizeof(*part), last + cpu_offset[cpu]);
    }
    sums[0] += part[0];
    sums[1] += part[1];
    sums[3] += part[3];
  }
  return positive(sums[0]) + positive(sums[1]) + positive(sums[3]);
}

/* Returns the CPU that the task is on or was on last: task_struct.cpu before Linux 5.16,
 * thread_info.cpu since then. */
static __always_inline denet_u32 read_cpu(struct task_struct *task) {
  const struct task_struct___cpu *old = (void *)task;
  if (bpf_core_field_exists(old->cpu))
    return BPF_CORE_READ(old, cpu);
  return task->thread_info.cpu;
}
