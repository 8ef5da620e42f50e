/* Follows threads that leave their CPUs and come back: how long they were off, why, and with which
 * user stack. Only threads with a waiter are followed; of others next to nothing is looked at. */
#include "sampling.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile bool has_state = false;  /* sched_switch tells the state of the one that leaves */
const volatile bool has_return = false; /* there is a sched_exit_tp */

/* By pid, enum denet_followed: set by user space, and here when a process begins or ends. */
denet_u8 followed[DENET_BPF_PIDS];

/* For the thread that reads mappings, which cannot wait for a tick. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_OFF_CPU_BEGINNINGS_BYTES);
} beginnings SEC(".maps");

/* --- Leaving a CPU, coming back --- */

/* Of the current task's CPU. What leaves and what comes back at a switch do so at the same time by
 * the queue's clock, as in the kernel's own sums, with which ours close. */
static __always_inline denet_u64 read_clock(void) {
  denet_u64 clock_ns = read_queue_clock(bpf_get_current_task_btf());
  return clock_ns ? clock_ns : bpf_ktime_get_ns();
}

/* state: 0 while it is runnable. */
static __always_inline void leave(struct task_struct *task, struct waiter *waiter, denet_u64 state,
                                  denet_u64 now_ns) {
  waiter->reason = state ? find_reason(task, state, waiter->reason) : DENET_REASON_RUNQUEUE;
  waiter->run_delay_ns = read_run_delay(task);
  waiter->told_ns = 0;
  waiter->waits.count++;
  waiter->left_ns = now_ns;
}

/* left_ns goes first: who reads the sums on another CPU takes an absence twice in no case. */
static __always_inline struct absence come_back(struct waiter *waiter, denet_u64 now_ns,
                                                denet_u64 queued_ns) {
  denet_u64 left_ns = waiter->left_ns; /* on another CPU, maybe, whose clock is a little ahead */
  denet_u64 off_ns = now_ns > left_ns ? now_ns - left_ns : 0;
  struct absence absence = make_absence(waiter->reason, off_ns, queued_ns);
  denet_u64 reason = absence.reason;
  waiter->left_ns = 0;
  barrier();
  add_absence(&waiter->waits, &absence);
  waiter->untold_ns[DENET_REASON_RUNQUEUE] += absence.queued_ns;
  barrier_var(reason);
  if (reason < DENET_REASONS && absence.blocked_ns > waiter->told_ns)
    waiter->untold_ns[reason] += absence.blocked_ns - waiter->told_ns;
  return absence;
}

static __always_inline bool is_dying(denet_u64 state) { return state & TASK_DEAD; }

static __always_inline denet_u64 read_state(struct task_struct *task) {
  const struct task_struct___state *old = (void *)task;
  if (bpf_core_field_exists(old->state))
    return BPF_CORE_READ(old, state);
  return task->__state;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(note_switch, bool preempt, struct task_struct *previous, struct task_struct *next) {
  struct waiter *waiter = find_waiter(previous);
  if (waiter) {
    denet_u64 now_ns = read_clock();
    denet_u64 state = has_state ? (denet_u32)ctx[3] : read_state(previous);
    if (!is_dying(state)) {
      leave(previous, waiter, preempt ? 0 : state, now_ns);
      if (!has_return)
        sample(previous, waiter, waiter->reason, 0, now_ns);
    }
  }
  waiter = has_return ? 0 : find_waiter(next);
  if (waiter && waiter->left_ns) /* its wait in the run queue ends with this, but is not told yet */
    come_back(waiter, read_clock(),
              read_run_delay(next) - waiter->run_delay_ns + read_waiting(next));
  return 0;
}

/* At the end of a switch, in the one that has come back. */
SEC("tp_btf/sched_exit_tp")
int BPF_PROG(note_return) {
  struct task_struct *task = bpf_get_current_task_btf();
  struct waiter *waiter = find_waiter(task);
  if (!waiter || !waiter->left_ns)
    return 0;
  denet_u64 now_ns = read_clock();
  denet_u64 told_ns = waiter->told_ns;
  struct absence absence = come_back(waiter, now_ns, read_run_delay(task) - waiter->run_delay_ns);
  denet_u64 blocked_ns = absence.blocked_ns;
  sample(task, waiter, absence.reason, blocked_ns > told_ns ? blocked_ns - told_ns : 0, now_ns);
  sample(task, waiter, DENET_REASON_RUNQUEUE, absence.queued_ns, now_ns);
  return 0;
}

/* --- Beginning and end --- */

/* Without room the process is told of at the next list, if it is there by then. A fork's mappings
 * are its parent's, and nobody need wake up. */
static __always_inline void tell_beginning(struct task_struct *task, struct task_struct *parent) {
  struct denet_off_cpu_beginning *event = bpf_ringbuf_reserve(&beginnings, sizeof(*event), 0);
  if (!event)
    return;
  event->head.kind = parent ? DENET_OFF_CPU_FORKED : DENET_OFF_CPU_EXECD;
  event->head.pid = task->tgid;
  event->head.start_ns = task->group_leader->start_boottime;
  event->exec_id = task->self_exec_id;
  event->parent_pid = parent ? parent->tgid : 0;
  event->parent_start_ns = parent ? parent->group_leader->start_boottime : 0;
  bpf_ringbuf_submit(event, parent ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
}

static __always_inline denet_u8 *find_followed(struct task_struct *task) {
  return &followed[task->tgid & (DENET_BPF_PIDS - 1)];
}

/* Threads and children that are too short for a stack of their own leave what they have to those
 * that come later. */
static __always_inline void bequeath(const denet_u64 *untold_ns, struct exited_threads *exited) {
  for (int i = 0; i < DENET_REASONS; i++)
    __sync_fetch_and_add(&exited->untold_ns[i], untold_ns[i]);
}

/* Of the threads and children of the parent's process. */
static __always_inline void inherit(struct task_struct *parent, struct waiter *waiter) {
  struct process_key key = key_of(parent);
  struct exited_threads *exited = bpf_map_lookup_elem(&exited_threads, &key);
  for (int i = 0; i < DENET_REASONS && exited; i++)
    if (exited->untold_ns[i])
      waiter->untold_ns[i] = __sync_lock_test_and_set(&exited->untold_ns[i], 0);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(follow_child, struct task_struct *parent, struct task_struct *child) {
  const struct waiter *parents = find_waiter(parent);
  if (!parents)
    return 0;
  if (child->pid == child->tgid)
    *find_followed(child) = *find_followed(parent);
  struct waiter *waiter = make_waiter(child);
  if (!waiter)
    return 0;
  waiter->is_sampled = parents->is_sampled;
  inherit(parent, waiter);
  if (waiter->is_sampled && child->pid == child->tgid)
    tell_beginning(child, parent);
  waiter->reason = DENET_REASON_RUNQUEUE;
  waiter->waits.count = 1;
  waiter->left_ns = read_clock();
  return 0;
}

/* What has begun may be wanted: then nothing of it is to be missing. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(follow_program, struct task_struct *task) {
  const struct waiter *waiter = find_waiter(task);
  if (waiter && waiter->is_sampled)
    tell_beginning(task, 0);
  if (waiter)
    return 0;
  if (*find_followed(task) == DENET_FOLLOWED_NOT)
    *find_followed(task) = DENET_FOLLOWED_AT_FIRST;
  make_waiter(task);
  return 0;
}

static __always_inline struct exited_threads *find_exited_threads(const struct process_key *key) {
  struct exited_threads none = {};
  bpf_map_update_elem(&exited_threads, key, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&exited_threads, key);
}

/* The process's sums, with those of its other threads if it had any. */
static __always_inline void send_end(struct task_struct *task, const struct waiter *last,
                                     struct exited_threads *all) {
  struct denet_off_cpu_sums *event = bpf_ringbuf_reserve(&happenings, sizeof(*event), 0);
  if (!event) {
    count(&lost_ends);
    return;
  }
  event->head.kind = DENET_OFF_CPU_END;
  event->head.pid = task->tgid;
  event->head.start_ns = task->group_leader->start_boottime;
  event->waits = all ? all->waits : last->waits;
  for (int i = 0; i < DENET_REASONS; i++)
    event->untold_ns[i] =
        all ? __sync_lock_test_and_set(&all->untold_ns[i], 0) : last->untold_ns[i];
  event->is_sampled = last->is_sampled;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* A child's time without a stack goes to its followed parent's next child, or into the event. */
static __always_inline void bequeath_to_parent(struct task_struct *task, struct waiter *waiter) {
  struct task_struct *parent = task->real_parent;
  if (!waiter->is_sampled || *find_followed(parent) != DENET_FOLLOWED)
    return;
  struct process_key key = key_of(parent);
  struct exited_threads *heir = find_exited_threads(&key);
  if (!heir)
    return;
  bequeath(waiter->untold_ns, heir);
  __builtin_memset(waiter->untold_ns, 0, sizeof(waiter->untold_ns));
}

/* Of threads that exit at the same time several may be the last one, and the event comes from each:
 * the one with the most has all. User space deletes what is kept then. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit, struct task_struct *task) {
  struct waiter *waiter = find_waiter(task);
  if (!waiter)
    return 0;
  struct process_key key = key_of(task);
  bool is_last = !task->signal->live.counter;
  struct exited_threads *all = bpf_map_lookup_elem(&exited_threads, &key);
  if (!is_last && !all)
    all = find_exited_threads(&key);
  if (is_last)
    bequeath_to_parent(task, waiter);
  if (all) {
    add_waits(&all->waits, &waiter->waits);
    bequeath(waiter->untold_ns, all);
  } else if (!is_last) {
    count(&lost_processes);
  }
  if (is_last) {
    send_end(task, waiter, all);
    *find_followed(task) = DENET_FOLLOWED_NOT;
  }
  bpf_task_storage_delete(&waiters, task);
  return 0;
}

/* --- The task iterator --- */

/* A thread that is off its CPU is so since now, as far as we know. */
static __always_inline struct waiter *begin_to_follow(struct task_struct *task) {
  struct waiter *waiter = task->flags & PF_EXITING ? 0 : make_waiter(task);
  if (waiter && !is_on_cpu(task) && !waiter->left_ns)
    leave(task, waiter, read_state(task), read_clock());
  return waiter;
}

/* Adds the absence that goes on, and tells its place if so much of it is untold. Returns for how
 * much of it this is a sample, or 0. */
static __always_inline denet_u64 add_current(struct task_struct *task, const struct waiter *waiter,
                                             struct denet_off_cpu_thread *thread) {
  denet_u64 left_ns = thread->left_ns, now_ns = read_clock(), told_ns = waiter->told_ns;
  denet_u64 off_ns = now_ns > left_ns ? now_ns - left_ns : 0;
  denet_u64 queued_ns = read_run_delay(task) - waiter->run_delay_ns + read_waiting(task);
  struct absence absence = make_absence(waiter->reason, off_ns, queued_ns);
  denet_u64 blocked_ns = absence.blocked_ns, reason = absence.reason;
  add_absence(&thread->waits, &absence);
  barrier_var(reason);
  if (reason >= DENET_REASONS || !waiter->is_sampled || !has_registers(task) ||
      blocked_ns <= told_ns)
    return 0;
  denet_u64 weight_ns = waiter->untold_ns[reason] + blocked_ns - told_ns;
  if (weight_ns < period_ns)
    return 0;
  thread->place.reason = reason;
  thread->place.weight_ns = weight_ns;
  read_registers((const struct pt_regs *)bpf_task_pt_regs(task), thread->place.registers);
  return blocked_ns;
}

/* What a record told is told. Not before it is sure to be read: the kernel runs the program again
 * for a task whose records did not fit (bpf_seq_read, kernel/bpf/bpf_iter.c). */
static __always_inline void note_told(struct waiter *waiter, denet_u64 reason,
                                      denet_u64 blocked_ns) {
  barrier_var(reason);
  if (!blocked_ns || reason >= DENET_REASONS)
    return;
  waiter->untold_ns[reason] = 0;
  waiter->told_ns = blocked_ns;
}

/* Before the first of the process's threads: one that exits after it was listed is in what has been
 * told of it alone, not in the sums too. Returns what was told, if it was. */
static __always_inline struct exited_threads *list_exited(struct task_struct *task,
                                                          const struct bpf_iter_meta *meta) {
  struct process_key key = key_of(task);
  struct exited_threads *exited = bpf_map_lookup_elem(&exited_threads, &key);
  if (!exited && task->signal->nr_threads > 1)
    exited = find_exited_threads(&key);
  if (!exited || exited->session == meta->session_id)
    return 0;
  denet_u64 is_sampled = 1;
  for (int i = 0; i < DENET_REASONS; i++)
    if (exited->untold_ns[i])
      exited->telling_ns[i] += __sync_lock_test_and_set(&exited->untold_ns[i], 0);
  /* Together they are a struct denet_off_cpu_sums, for which the stack has no room. */
  struct denet_bpf_head head = {DENET_OFF_CPU_EXITED, task->tgid, key.start_ns};
  bpf_seq_write(meta->seq, &head, sizeof(head));
  bpf_seq_write(meta->seq, &exited->waits, sizeof(exited->waits));
  bpf_seq_write(meta->seq, exited->telling_ns, sizeof(exited->telling_ns));
  bpf_seq_write(meta->seq, &is_sampled, sizeof(is_sampled));
  return exited;
}

static __always_inline void stop_following(struct task_struct *task) {
  struct process_key key = key_of(task);
  bpf_map_delete_elem(&exited_threads, &key);
  bpf_task_storage_delete(&waiters, task);
}

SEC("iter/task")
int list_waiters(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  struct waiter *waiter = find_waiter(task);
  denet_u8 is_followed = *find_followed(task);
  if (!is_followed && waiter)
    stop_following(task);
  if (!is_followed)
    return 0;
  if (!waiter)
    waiter = begin_to_follow(task);
  if (!waiter) /* one that exits; what it would be told with goes with the next, once */
    return 0;
  struct exited_threads *exited = is_followed == DENET_FOLLOWED ? list_exited(task, ctx->meta) : 0;
  waiter->is_sampled = is_followed == DENET_FOLLOWED;
  struct denet_off_cpu_thread thread = {
      .head = {DENET_OFF_CPU_THREAD, task->tgid, task->group_leader->start_boottime},
      .left_ns = waiter->left_ns};
  barrier();
  thread.waits = waiter->waits;
  barrier();
  if (thread.left_ns != waiter->left_ns || is_on_cpu(task))
    thread.left_ns = 0;
  read_place(task, waiter->reason, 0, &thread.place);
  denet_u64 blocked_ns = thread.left_ns ? add_current(task, waiter, &thread) : 0;
  if (bpf_seq_write(ctx->meta->seq, &thread, sizeof(thread)))
    return 0;
  note_told(waiter, thread.place.reason, blocked_ns);
  if (exited) {
    __builtin_memset(exited->telling_ns, 0, sizeof(exited->telling_ns));
    exited->session = ctx->meta->session_id;
  }
  return 0;
}
