/* The programs for processes: a task iterator that lists every process of the host in one read, and
 * tracepoint programs that send events of forks, execs and exits between two reads. */
#include "texts.h"
#include "usage.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* --- Offsets of the CPUs' instances of per-CPU variables --- */

/* The value of a per-CPU map has an address in struct bpf_array (pptrs, include/linux/bpf.h), and
 * bpf_map_lookup_percpu_elem() (Linux 5.19) gives the address of each CPU's instance. User space
 * computes cpu_offset[] from both. */
denet_u32 probe_id = 0;
denet_u64 probe_base = 0;
denet_u64 probe_address[DENET_BPF_CPUS];

CPU_BUFFER(probe, denet_u64);

SEC("iter/bpf_map")
int find_cpu_offsets(struct bpf_iter__bpf_map *ctx) {
  struct bpf_map *map = ctx->map;
  denet_u32 zero = 0;
  if (!map || map->id != probe_id)
    return 0;
  const void *pptrs = (const char *)map + bpf_core_field_offset(struct bpf_array, pptrs);
  bpf_probe_read_kernel(&probe_base, sizeof(probe_base), pptrs);
  for (denet_u32 cpu = 0; cpu < DENET_BPF_CPUS; cpu++) {
    if (cpu >= cpu_count)
      break;
    probe_address[cpu] = (denet_u64)bpf_map_lookup_percpu_elem(&probe, &zero, cpu);
  }
  return 0;
}

/* --- The task iterator --- */

/* A process has full records if it started at this time (boot clock) or later, has exited, or has
 * its bit in full_pids. Others have compact records. User space sets both. */
denet_u64 full_since_ns = 0;
denet_u32 full_pids[DENET_BPF_PIDS / 32]; /* one bit for each pid */

static __always_inline denet_u32 state_of(struct task_struct *task) {
  struct signal_struct *signal = task->signal;
  denet_u32 state = 0;
  if (is_on_cpu(task))
    state |= DENET_BPF_ON_CPU;
  else if (task->exit_state)
    state |= DENET_BPF_ZOMBIE;
  if (!task->mm && !(task->flags & PF_KTHREAD))
    state |= DENET_BPF_NO_MM;
  if (has_reaped(signal))
    state |= DENET_BPF_HAS_REAPED;
  if (signal->oom_mm)
    state |= DENET_BPF_OOM_KILLED;
  return state;
}

static __always_inline void read_memory(struct mm_struct *mm, denet_u64 *rss, denet_u64 *vm) {
  *rss = read_rss(mm);
  *vm = mm->total_vm;
}

/* Returns the age at which the main thread exited if other threads still run; else 0. */
static __always_inline denet_u64 read_leader_age(struct task_struct *task) {
  struct process_key key = key_of(task);
  struct exited_usage *usage = bpf_map_lookup_elem(&exited, &key);
  return usage ? usage->leader.age_ns : 0;
}

/* Without the parent: that of a freed task may be freed too. */
static __always_inline void read_identity(struct task_struct *task, enum denet_bpf_kind kind,
                                          struct denet_bpf_process *process) {
  struct denet_bpf_identity *identity = &process->identity;
  struct signal_struct *signal = task->signal;
  identity->compact.head = make_head(task, kind);
  identity->compact.exec_id = task->self_exec_id;
  identity->flags = task->flags;
  identity->state = state_of(task);
  identity->threads = signal->nr_threads;
  bpf_probe_read_kernel(identity->compact.name, sizeof(identity->compact.name), task->comm);
  process->uid = task->real_cred->uid.val;
  process->cpu = read_cpu(task);
  /* As wait(2) gives it. After exit_group() or a fatal signal it is in signal_struct, also where
   * the main thread exited before the others. */
  bool is_group_exit = signal->flags & SIGNAL_GROUP_EXIT;
  process->exit_code = is_group_exit ? signal->group_exit_code : task->exit_code;
}

/* Returns whether __exit_signal() (kernel/exit.c) adds or has added the counters of the main
 * thread, as the last one, to signal_struct, so that both together are too much. It holds
 * stats_lock meanwhile, whose sequence is odd. Call it after reading the counters. */
static __always_inline bool is_released(struct task_struct *task) {
  struct signal_struct *signal = task->signal;
  if (!task->exit_state || signal->nr_threads > 1)
    return false;
  if (!bpf_core_field_exists(signal->stats_lock.seqcount.seqcount)) /* before Linux 5.10 */
    return signal->nr_threads == 0;
  return signal->nr_threads == 0 || signal->stats_lock.seqcount.seqcount.sequence & 1;
}

/* Leaves out a process that is being released: its final usage comes with an event. */
static __always_inline int list_process(struct task_struct *task, struct seq_file *seq) {
  struct denet_bpf_process process = {};
  struct denet_bpf_usage *usage = &process.usage;
  struct signal_struct *signal = task->signal;
  bool has_own_io = !has_reaped(signal);
  read_identity(task, DENET_BPF_PROCESS, &process);
  process.identity.parent_pid = task->real_parent->tgid;
  read_thread(task, usage);
  add_exited(signal, usage);
  add_io(&task->ioac, &usage->read_chars);
  if (has_own_io)
    add_io(&signal->ioac, &usage->read_chars);
  /* A thread has exited. The entry in the map must exist before signal->ioac includes children. */
  if (signal->sum_sched_runtime)
    add_exited_sums(find_exited(task), has_own_io, usage);
  if (task->flags & PF_EXITING)
    usage->age_ns += read_leader_age(task);
  process.seen_ns = bpf_ktime_get_boot_ns();
  process.net_namespace = task->nsproxy->net_ns->ns.inum;
  if (task->mm)
    read_memory(task->mm, &process.rss_pages, &process.vm_pages);
  if (is_released(task))
    return 0;
  bpf_seq_write(seq, &process, sizeof(process));
  return 0;
}

/* What exit_task() adds to the process's sums is left out. */
static __always_inline int list_thread(struct task_struct *task, struct seq_file *seq) {
  struct denet_bpf_thread thread = {.head = {DENET_BPF_THREAD, task->tgid}, .tid = task->pid};
  bool is_summed = task->flags & PF_EXITING;
  read_thread(task, &thread.usage);
  if (is_summed)
    thread.usage.run_delay_ns = 0;
  if (!is_summed || !has_reaped(task->signal))
    add_io(&task->ioac, &thread.usage.read_chars);
  if (!task->group_leader->mm && task->mm)
    read_memory(task->mm, &thread.rss_pages, &thread.vm_pages);
  thread.state = is_on_cpu(task) ? DENET_BPF_ON_CPU : 0;
  bpf_seq_write(seq, &thread, sizeof(thread));
  return 0;
}

/* Reads only what shows a change of the process: each cache line of a task_struct costs time. */
static __always_inline int list_compact(struct task_struct *task, struct seq_file *seq) {
  struct denet_bpf_compact compact = {.head = make_head(task, DENET_BPF_COMPACT),
                                      .exec_id = task->self_exec_id};
  bpf_probe_read_kernel(compact.name, sizeof(compact.name), task->comm);
  bpf_seq_write(seq, &compact, sizeof(compact));
  return 0;
}

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  denet_u32 pid = task->tgid;
  bool is_full = task->group_leader->start_boottime >= full_since_ns || task->exit_state ||
                 full_pids[pid / 32 & (DENET_BPF_PIDS / 32 - 1)] >> (pid & 31) & 1;
  if (task->pid == task->tgid)
    return is_full ? list_process(task, ctx->meta->seq) : list_compact(task, ctx->meta->seq);
  return is_full ? list_thread(task, ctx->meta->seq) : 0;
}

/* --- Events --- */

RING(events, DENET_BPF_RING_BYTES);

denet_u64 lost = 0; /* events for which a ring or a map had no room */

/* User space reads the events at each of its ticks. A word in the ring wakeups wakes it up before:
 * after an exec, and when the events fill half of their ring. One word is enough until it has read
 * them. */
denet_u32 has_woken = 0; /* user space sets it back to 0 */

RING(wakeups, DENET_BPF_WAKEUP_BYTES);

/* Room for one event of variable size. */
CPU_BUFFER(texts_buffers, struct texts_buffer);

static __always_inline void count_loss(void) { __sync_fetch_and_add(&lost, 1); }

static __always_inline void wake(void) {
  if (has_woken)
    return;
  has_woken = 1;
  denet_u64 word = 0;
  bpf_ringbuf_output(&wakeups, &word, sizeof(word), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void wake_if_half_full(void) {
  if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > DENET_BPF_RING_BYTES / 2)
    wake();
}

/* Sends the event, which is lost if there is no room for it. */
static __always_inline void send(void *event, denet_u64 size) {
  if (bpf_ringbuf_output(&events, event, size, BPF_RB_NO_WAKEUP))
    count_loss();
  wake_if_half_full();
}

/* kernel_clone() has made a task (kernel/fork.c). Sends nothing for a thread. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(note_fork, struct task_struct *parent, struct task_struct *child) {
  if (child->pid != child->tgid)
    return 0;
  struct denet_bpf_fork event = {make_head(child, DENET_BPF_FORK), child->real_parent->tgid, 0};
  send(&event, sizeof(event));
  return 0;
}

static __always_inline void send_texts(struct task_struct *task) {
  denet_u32 zero = 0;
  struct texts_buffer *buffer = bpf_map_lookup_elem(&texts_buffers, &zero);
  struct mm_struct *mm = task->mm;
  if (!buffer || !mm)
    return;
  struct denet_bpf_texts *texts = &buffer->texts;
  texts->head = make_head(task, DENET_BPF_TEXTS);
  texts->exec_id = task->self_exec_id;
  texts->uid = task->real_cred->uid.val;
  bpf_probe_read_kernel(texts->name, sizeof(texts->name), task->comm);
  buffer->used = 0;
  append_arguments(buffer, mm);
  denet_u64 arguments = buffer->used;
  if (!append_path(buffer, mm->exe_file))
    buffer->used = arguments;
  denet_u64 executable = buffer->used;
  if (!append_cgroup(buffer, task->cgroups))
    buffer->used = executable;
  texts->argument_bytes = arguments;
  texts->executable_bytes = executable - arguments;
  texts->cgroup_bytes = buffer->used - executable;
  denet_u64 size = sizeof(*texts) + (buffer->used & (2 * DENET_BPF_TEXT_BYTES - 1));
  send(texts, size);
}

/* Returns the thread that is in execve() and replaces the main thread, with its pid and start time
 * (de_thread, fs/exec.c); NULL if there is none. signal_struct.group_exit_task before Linux 5.17,
 * group_exec_task since then. */
static __always_inline struct task_struct *find_exec_thread(struct signal_struct *signal) {
  struct signal_struct___old *old = (void *)signal;
  if (bpf_core_field_exists(old->group_exit_task))
    return BPF_CORE_READ(old, group_exit_task);
  return bpf_core_field_exists(signal->group_exec_task) ? signal->group_exec_task : 0;
}

/* Returns the age that an exiting thread adds to the sums. A thread that replaces the main thread
 * takes over its start time and so gains the difference of both: the main thread adds that less. */
static __always_inline denet_u64 read_exit_age(struct task_struct *task) {
  denet_u64 age_ns = read_age(task);
  struct task_struct *next = task->pid == task->tgid ? find_exec_thread(task->signal) : 0;
  if (!next || next == task)
    return age_ns;
  denet_u64 gap_ns = BPF_CORE_READ(next, start_time) - task->start_time;
  return gap_ns < age_ns ? age_ns - gap_ns : 0;
}

/* Adds an exiting thread to the sums of its process. Threads may exit on several CPUs at once. */
static __always_inline void sum_thread(struct task_struct *task) {
  struct exited_usage *usage = find_exited(task);
  if (!usage) {
    count_loss();
    return;
  }
  struct exited_sums own = {read_exit_age(task), read_run_delay(task)};
  add_io(&task->ioac, own.io);
  denet_u64 *sums = (void *)(task->pid == task->tgid ? &usage->leader : &usage->threads);
#pragma unroll
  for (int i = 0; i < EXITED_SUMS; i++)
    __sync_fetch_and_add(&sums[i], ((denet_u64 *)&own)[i]);
}

/* The thread in execve() is the main thread now: the old one becomes one of the exited threads. */
static __always_inline void replace_leader(struct task_struct *task) {
  struct exited_usage *usage = find_exited(task);
  if (!usage)
    return;
  denet_u64 *threads = (void *)&usage->threads, *leader = (void *)&usage->leader;
#pragma unroll
  for (int i = 0; i < EXITED_SUMS; i++)
    threads[i] += leader[i];
  usage->leader = (struct exited_sums){};
}

/* exec_binprm() has started a program (fs/exec.c). old_pid: the caller's thread id before. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(note_exec, struct task_struct *task, pid_t old_pid) {
  if (old_pid != task->pid)
    replace_leader(task);
  send_texts(task);
  wake();
  return 0;
}

/* --- Kept tasks --- */

/* Since Linux 6.3 a map can hold a reference on a task (bpf_task_acquire, kernel/bpf/helpers.c).
 * Then user space gets the final usage as soon as it asks, and does not wait for note_free(). Some
 * older kernels refuse any program that names a function that they do not have: each of the two
 * programs exists twice, and user space loads one of each. */

struct kept_task {
  struct task_struct *task; /* the main thread; user space marks it as a kptr, clang 14 cannot */
};

PROCESS_MAP(kept_tasks, DENET_BPF_KEPT_MOST, struct kept_task);

struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
void bpf_task_release(struct task_struct *task) __ksym __weak;

/* Returns false if there is no room. */
static __always_inline bool keep_task(struct task_struct *task) {
  struct process_key key = key_of(task);
  struct kept_task none = {};
  bpf_map_update_elem(&kept_tasks, &key, &none, BPF_NOEXIST);
  struct kept_task *kept = bpf_map_lookup_elem(&kept_tasks, &key);
  if (!kept)
    return false;
  task = bpf_task_acquire(task->group_leader);
  if (!task)
    return false;
  task = bpf_kptr_xchg(&kept->task, task);
  if (task)
    bpf_task_release(task);
  return true;
}

/* --- Exits --- */

/* A thread is in do_exit() (kernel/exit.c); it is the last one when signal->live is 0. User space
 * asks only for processes of which it has an exit event, so no other task is kept.
 *
 * Before Linux 6.16 exit_mm() runs before sched_process_exit, and the texts and the memory are gone
 * then. There user space attaches the program to the entry of taskstats_exit() instead, where
 * do_exit() has the tracepoint since then. If the kernel does not allow that, task->mm is NULL. */
static __always_inline int exit_task(struct task_struct *task, bool keeps_tasks) {
  bool is_last = !task->signal->live.counter;
  if (!is_last || task->pid != task->tgid)
    sum_thread(task);
  if (!is_last)
    return 0;
  if (task->flags & PF_FORKNOEXEC)
    send_texts(task);
  struct denet_bpf_exit *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event)
    count_loss();
  if (keeps_tasks && (!event || !keep_task(task))) {
    struct exited_usage *usage = find_exited(task);
    if (usage)
      usage->is_not_kept = 1;
    else
      count_loss();
  }
  if (!event)
    return 0;
  __builtin_memset(event, 0, sizeof(*event));
  event->head = make_head(task, DENET_BPF_EXIT);
  event->exit_ns = bpf_ktime_get_boot_ns();
  event->main_age_ns = task->pid == task->tgid ? read_age(task) : 0;
  event->parent_pid = task->real_parent->tgid;
  if (task->mm)
    read_memory(task->mm, &event->rss_pages, &event->vm_pages);
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  wake_if_half_full();
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit, struct task_struct *task) { return exit_task(task, false); }

SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit_kept) {
  /* The argument of a function cannot be kept, as that of a tracepoint can. */
  return exit_task(bpf_get_current_task_btf(), true);
}

/* Reads the usage of a process without threads: signal_struct has the sums of all of them, the main
 * thread included. */
static __always_inline void read_final(struct task_struct *task, struct denet_bpf_usage *usage) {
  struct signal_struct *signal = task->signal;
  struct process_key key = {task->tgid, task->start_boottime};
  bool has_own_io = !has_reaped(signal);
  add_exited(signal, usage);
  usage->age_ns = read_leader_age(task);
  usage->run_delay_ns = read_run_delay(task);
  add_io(has_own_io ? &signal->ioac : &task->ioac, &usage->read_chars);
  add_exited_sums(bpf_map_lookup_elem(&exited, &key), has_own_io, usage);
}

static __always_inline bool send_free(struct task_struct *task) {
  struct denet_bpf_process *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event)
    return false;
  __builtin_memset(event, 0, sizeof(*event));
  read_identity(task, DENET_BPF_FREE, event);
  read_final(task, &event->usage);
  event->seen_ns = bpf_ktime_get_boot_ns();
  event->rss_pages = task->signal->maxrss;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  wake_if_half_full();
  return true;
}

/* delayed_put_task_struct() (kernel/exit.c): a process has been waited for, and an RCU grace period
 * has passed. Any task may be current. The event of a kept process is sent by request_exit(). */
static __always_inline int free_task(struct task_struct *task, bool keeps_tasks) {
  if (task->pid != task->tgid)
    return 0;
  struct process_key key = {task->tgid, task->start_boottime};
  struct exited_usage *usage = bpf_map_lookup_elem(&exited, &key);
  bool must_send = !keeps_tasks || (usage && usage->is_not_kept);
  if (must_send && !send_free(task))
    count_loss();
  bpf_map_delete_elem(&exited, &key);
  return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(note_free, struct task_struct *task) { return free_task(task, false); }

SEC("tp_btf/sched_process_free")
int BPF_PROG(note_free_kept, struct task_struct *task) { return free_task(task, true); }

/* User space runs this for a process that a pass does not list any more. The sums are final once
 * __exit_signal() (kernel/exit.c) has taken task->sighand away; before that, or without room in the
 * ring, the task stays for another request. */
SEC("syscall")
int request_exit(struct denet_bpf_exit_request *request) {
  struct process_key key = {request->pid, request->start_ns};
  struct kept_task *kept = bpf_map_lookup_elem(&kept_tasks, &key);
  struct task_struct *task = kept ? bpf_kptr_xchg(&kept->task, 0) : 0;
  if (!task)
    return 0;
  bool is_sent = !task->sighand && send_free(task);
  if (!is_sent)
    task = bpf_kptr_xchg(&kept->task, task);
  if (task)
    bpf_task_release(task);
  if (is_sent) {
    bpf_map_delete_elem(&kept_tasks, &key);
    bpf_map_delete_elem(&exited, &key);
  }
  return 0;
}
