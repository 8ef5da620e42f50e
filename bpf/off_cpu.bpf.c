/* Follows threads that leave their CPUs and come back: for how long, why, and with which user
 * stack. A followed thread has a struct waiter; of other threads only one pointer is looked at. */
#include "sampling.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile bool has_state = false;  /* sched_switch has the state of the thread that leaves */
const volatile bool has_return = false; /* there is a sched_exit_tp */

/* By pid, enum denet_followed: set by user space, and here when a process begins or ends. */
denet_u8 followed[DENET_BPF_PIDS];

/* For the thread of user space that reads mappings, which cannot wait for a tick. */
RING(exec_events, DENET_OFF_CPU_EXEC_BYTES);

/* --- Leaving a CPU, coming back --- */

/* Returns the clock of this CPU's run queue, by which the kernel's own sums are made. All that
 * happens in one switch has the same time. */
static __always_inline denet_u64 read_clock(void) {
  denet_u64 clock_ns = read_queue_clock(bpf_get_current_task_btf());
  return clock_ns ? clock_ns : bpf_ktime_get_ns();
}

/* Begins an interval. state: 0 while the task is runnable. */
static __always_inline void leave(struct task_struct *task, struct waiter *waiter, denet_u64 state,
                                  denet_u64 now_ns) {
  waiter->reason = state ? find_reason(task, state, waiter->reason) : DENET_REASON_RUNQUEUE;
  waiter->run_delay_ns = read_run_delay(task);
  waiter->sampled_ns = 0;
  waiter->stats.count++;
  waiter->off_since_ns = now_ns;
}

/* Ends the interval. off_since_ns is cleared first: the iterator, which reads the sums on another
 * CPU, must not add the interval twice. */
static __always_inline struct interval come_back(struct waiter *waiter, denet_u64 now_ns,
                                                 denet_u64 queued_ns) {
  denet_u64 since_ns = waiter->off_since_ns; /* another CPU's clock may be a little ahead */
  denet_u64 off_ns = now_ns > since_ns ? now_ns - since_ns : 0;
  struct interval interval = make_interval(waiter->reason, off_ns, queued_ns);
  denet_u64 reason = interval.reason;
  waiter->off_since_ns = 0;
  barrier();
  add_interval(&waiter->stats, &interval);
  waiter->unsampled_ns[DENET_REASON_RUNQUEUE] += interval.queued_ns;
  barrier_var(reason);
  if (reason < DENET_REASONS && interval.blocked_ns > waiter->sampled_ns)
    waiter->unsampled_ns[reason] += interval.blocked_ns - waiter->sampled_ns;
  return interval;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(note_switch, bool preempt, struct task_struct *previous, struct task_struct *next) {
  struct waiter *waiter = find_waiter(previous);
  if (waiter) {
    denet_u64 now_ns = read_clock();
    denet_u64 state = has_state ? (denet_u32)ctx[3] : read_state(previous);
    if (!(state & TASK_DEAD)) {
      leave(previous, waiter, preempt ? 0 : state, now_ns);
      if (!has_return)
        sample(previous, waiter, waiter->reason, 0, now_ns);
    }
  }
  waiter = has_return ? 0 : find_waiter(next);
  if (waiter && waiter->off_since_ns) /* run_delay has its wait in the run queue a little later */
    come_back(waiter, read_clock(),
              read_run_delay(next) - waiter->run_delay_ns + read_waiting(next));
  return 0;
}

/* Runs at the end of a switch, in the task that has come back. */
SEC("tp_btf/sched_exit_tp")
int BPF_PROG(note_return) {
  struct task_struct *task = bpf_get_current_task_btf();
  struct waiter *waiter = find_waiter(task);
  if (!waiter || !waiter->off_since_ns)
    return 0;
  denet_u64 now_ns = read_clock(), sampled_ns = waiter->sampled_ns;
  struct interval interval = come_back(waiter, now_ns, read_run_delay(task) - waiter->run_delay_ns);
  denet_u64 blocked_ns = interval.blocked_ns;
  sample(task, waiter, interval.reason, blocked_ns > sampled_ns ? blocked_ns - sampled_ns : 0,
         now_ns);
  sample(task, waiter, DENET_REASON_RUNQUEUE, interval.queued_ns, now_ns);
  return 0;
}

/* --- Beginning and end --- */

/* Sends that a process was forked by parent, or (parent NULL) has exec'd. Without room the process
 * is known from the next list on. The event of a fork wakes no thread: its
 * mappings are its parent's. */
static __always_inline void send_exec_event(struct task_struct *task, struct task_struct *parent) {
  struct denet_exec_event *event = bpf_ringbuf_reserve(&exec_events, sizeof(*event), 0);
  if (!event)
    return;
  event->head = make_head(task, parent ? DENET_OFF_CPU_FORKED : DENET_OFF_CPU_EXECD);
  event->exec_id = task->self_exec_id;
  event->parent_pid = parent ? parent->tgid : 0;
  event->parent_start_ns = parent ? parent->group_leader->start_boottime : 0;
  bpf_ringbuf_submit(event, parent ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
}

static __always_inline denet_u8 *find_followed(struct task_struct *task) {
  return &followed[task->tgid & (DENET_BPF_PIDS - 1)];
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
  if (waiter->is_sampled && child->pid == child->tgid)
    send_exec_event(child, parent);
  waiter->reason = DENET_REASON_RUNQUEUE;
  waiter->stats.count = 1;
  waiter->off_since_ns = read_clock();
  return 0;
}

/* Every program is followed from its exec until the rules have looked at it, so that nothing is
 * missing if one of them asks for its stacks. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(follow_program, struct task_struct *task) {
  const struct waiter *waiter = find_waiter(task);
  if (waiter && waiter->is_sampled)
    send_exec_event(task, 0);
  if (waiter)
    return 0;
  if (*find_followed(task) == DENET_FOLLOWED_NOT)
    *find_followed(task) = DENET_FOLLOWED_UNTIL_MATCHED;
  make_waiter(task);
  return 0;
}

/* Sends the sums of a process whose last thread exits. all: NULL where it had only that one. */
static __always_inline void send_end(struct task_struct *task, const struct waiter *last,
                                     const struct exited_threads *all) {
  struct denet_off_cpu_sums *event = bpf_ringbuf_reserve(&samples, sizeof(*event), 0);
  if (!event) {
    count(&lost_ends);
    return;
  }
  event->head = make_head(task, DENET_OFF_CPU_END);
  event->stats = all ? all->stats : last->stats;
  event->is_sampled = last->is_sampled;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* Of threads that exit at the same time several may be the last one, and each sends the event: the
 * one with the most has all. User space deletes the entry in exited_threads then. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit, struct task_struct *task) {
  struct waiter *waiter = find_waiter(task);
  if (!waiter)
    return 0;
  struct process_key key = key_of(task);
  bool is_last = !task->signal->live.counter;
  struct exited_threads *all = bpf_map_lookup_elem(&exited_threads, &key);
  if (!is_last && !all)
    all = make_exited_threads(&key);
  if (all)
    add_stats(&all->stats, &waiter->stats);
  else if (!is_last)
    count(&lost_processes);
  if (is_last) {
    send_end(task, waiter, all);
    *find_followed(task) = DENET_FOLLOWED_NOT;
  }
  bpf_task_storage_delete(&waiters, task);
  return 0;
}

/* --- The task iterator --- */

/* Follows a task from now on. One that is off its CPU counts as having left it now. */
static __always_inline struct waiter *begin_to_follow(struct task_struct *task) {
  struct waiter *waiter = task->flags & PF_EXITING ? 0 : make_waiter(task);
  if (waiter && !is_on_cpu(task) && !waiter->off_since_ns)
    leave(task, waiter, read_state(task), read_clock());
  return waiter;
}

/* Adds the interval that goes on to the record, and makes the record a sample of it if it is long
 * enough. The time of earlier intervals is left to the stack that is taken when the thread is back.
 * User space has the stack of an interval that has a sample already; to read another one must be
 * within the rate. Returns how much of the interval has a sample then; 0: the record is none. */
static __always_inline denet_u64 add_current(struct task_struct *task, const struct waiter *waiter,
                                             struct denet_off_cpu_thread *thread) {
  denet_u64 since_ns = thread->off_since_ns, now_ns = read_clock(), sampled_ns = waiter->sampled_ns;
  denet_u64 off_ns = now_ns > since_ns ? now_ns - since_ns : 0;
  denet_u64 queued_ns = read_run_delay(task) - waiter->run_delay_ns + read_waiting(task);
  struct interval interval = make_interval(waiter->reason, off_ns, queued_ns);
  denet_u64 blocked_ns = interval.blocked_ns;
  add_interval(&thread->stats, &interval);
  if (!waiter->is_sampled || !has_registers(task) || blocked_ns < sampled_ns + period_ns ||
      (!sampled_ns && !may_list_stack()))
    return 0;
  thread->point.reason = interval.reason;
  thread->point.weight_ns = blocked_ns - sampled_ns;
  copy_registers((const struct pt_regs *)bpf_task_pt_regs(task), thread->point.registers);
  return blocked_ns;
}

/* Lists the exited threads of the task's process, once in a run and before its first thread: a
 * thread that exits after its own record is not in the sums too. Returns what was listed. */
static __always_inline struct exited_threads *list_exited(struct task_struct *task,
                                                          const struct bpf_iter_meta *meta) {
  struct process_key key = key_of(task);
  struct exited_threads *exited = bpf_map_lookup_elem(&exited_threads, &key);
  if (!exited && task->signal->nr_threads > 1)
    exited = make_exited_threads(&key);
  if (!exited || exited->session == meta->session_id)
    return 0;
  /* Together they are a struct denet_off_cpu_sums, for which the BPF stack has no room. */
  struct denet_bpf_head head = {DENET_OFF_CPU_EXITED, task->tgid, key.start_ns};
  denet_u64 is_sampled = 1;
  bpf_seq_write(meta->seq, &head, sizeof(head));
  bpf_seq_write(meta->seq, &exited->stats, sizeof(exited->stats));
  bpf_seq_write(meta->seq, &is_sampled, sizeof(is_sampled));
  return exited;
}

SEC("iter/task")
int list_waiters(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  struct waiter *waiter = find_waiter(task);
  denet_u8 is_followed = *find_followed(task);
  if (!is_followed && waiter) {
    struct process_key key = key_of(task);
    bpf_map_delete_elem(&exited_threads, &key);
    bpf_task_storage_delete(&waiters, task);
  }
  if (!is_followed)
    return 0;
  if (!waiter)
    waiter = begin_to_follow(task);
  if (!waiter) /* it exits; its process is listed with the next thread */
    return 0;
  struct exited_threads *exited = is_followed == DENET_FOLLOWED ? list_exited(task, ctx->meta) : 0;
  waiter->is_sampled = is_followed == DENET_FOLLOWED;
  struct denet_off_cpu_thread thread = {.head = make_head(task, DENET_OFF_CPU_THREAD),
                                        .off_since_ns = waiter->off_since_ns};
  barrier();
  thread.stats = waiter->stats;
  barrier();
  if (thread.off_since_ns != waiter->off_since_ns || is_on_cpu(task))
    thread.off_since_ns = 0;
  fill_point(task, waiter->reason, 0, &thread.point);
  denet_u64 blocked_ns = thread.off_since_ns ? add_current(task, waiter, &thread) : 0;
  if (bpf_seq_write(ctx->meta->seq, &thread, sizeof(thread)))
    return 0;
  /* Only now: for a task whose records did not fit the kernel runs the program again
   * (bpf_seq_read, kernel/bpf/bpf_iter.c). */
  if (blocked_ns)
    waiter->sampled_ns = blocked_ns;
  if (exited)
    exited->session = ctx->meta->session_id;
  return 0;
}
