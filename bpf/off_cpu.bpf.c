/* Follows threads that leave their CPUs and come back: how long they were off, why, and with which
 * user stack. Only threads with a waiter are followed; of others next to nothing is looked at. */
#include "stacks.h"

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

static __always_inline void leave(struct task_struct *task, struct waiter *waiter, bool is_runnable,
                                  denet_u64 now_ns) {
  waiter->reason = is_runnable ? DENET_REASON_RUNQUEUE : find_reason(task, waiter->reason);
  waiter->run_delay_ns = read_run_delay(task);
  waiter->told_ns = 0;
  waiter->waits.count++;
  waiter->left_ns = now_ns;
}

/* left_ns goes first: who reads the sums on another CPU takes an absence twice in no case. */
static __always_inline void come_back(struct waiter *waiter, denet_u64 now_ns,
                                      denet_u64 queued_ns) {
  denet_u32 reason = waiter->reason;
  denet_u64 left_ns = waiter->left_ns; /* on another CPU, maybe, whose clock is a little ahead */
  struct absence absence = make_absence(reason, now_ns > left_ns ? now_ns - left_ns : 0, queued_ns);
  waiter->left_ns = 0;
  barrier();
  add_absence(&waiter->waits, reason, &absence);
  waiter->untold_ns[DENET_REASON_RUNQUEUE] += absence.queued_ns;
  if (reason < DENET_REASONS && absence.blocked_ns > waiter->told_ns)
    waiter->untold_ns[reason] += absence.blocked_ns - waiter->told_ns;
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
      leave(previous, waiter, preempt || !state, now_ns);
      if (!has_return)
        sample(previous, waiter, waiter->reason, now_ns);
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
  come_back(waiter, now_ns, read_run_delay(task) - waiter->run_delay_ns);
  sample(task, waiter, waiter->reason, now_ns);
  if (waiter->reason != DENET_REASON_RUNQUEUE)
    sample(task, waiter, DENET_REASON_RUNQUEUE, now_ns);
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

/* Threads that are too short for a stack of their own leave what they have to those that come
 * later. */
static __always_inline void bequeath(struct waiter *waiter, struct exited_threads *exited) {
  for (int i = 0; i < DENET_REASONS; i++)
    __sync_fetch_and_add(&exited->untold_ns[i], waiter->untold_ns[i]);
}

static __always_inline void inherit(struct exited_threads *exited, struct waiter *waiter) {
  for (int i = 0; i < DENET_REASONS; i++) {
    denet_u64 untold_ns = exited->untold_ns[i];
    __sync_fetch_and_add(&exited->untold_ns[i], -untold_ns);
    waiter->untold_ns[i] = untold_ns;
  }
}

static __always_inline void inherit_of_process(struct task_struct *task, struct waiter *waiter) {
  struct process_key key = key_of(task);
  struct exited_threads *exited = bpf_map_lookup_elem(&exited_threads, &key);
  if (exited)
    inherit(exited, waiter);
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
  if (child->pid != child->tgid)
    inherit_of_process(child, waiter);
  else if (waiter->is_sampled)
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
  *find_followed(task) = DENET_FOLLOWED_AT_FIRST;
  make_waiter(task);
  return 0;
}

static __always_inline struct exited_threads *find_exited_threads(const struct process_key *key) {
  struct exited_threads none = {};
  bpf_map_update_elem(&exited_threads, key, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&exited_threads, key);
}

static __always_inline void send_waits(const struct process_key *key,
                                       const struct denet_waits *last) {
  struct denet_off_cpu_process *event = bpf_ringbuf_reserve(&happenings, sizeof(*event), 0);
  if (!event) {
    count(&lost_ends);
    return;
  }
  event->head.kind = DENET_OFF_CPU_END;
  event->head.pid = key->pid;
  event->head.start_ns = key->start_ns;
  event->waits = *last;
  const struct exited_threads *others = bpf_map_lookup_elem(&exited_threads, key);
  if (others)
    add_waits(&event->waits, &others->waits);
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit, struct task_struct *task) {
  struct waiter *waiter = find_waiter(task);
  if (!waiter)
    return 0;
  struct process_key key = key_of(task);
  if (task->signal->live.counter) {
    struct exited_threads *sum = find_exited_threads(&key);
    if (sum) {
      add_waits(&sum->waits, &waiter->waits);
      bequeath(waiter, sum);
    } else {
      count(&lost_processes);
    }
  } else {
    send_waits(&key, &waiter->waits);
    bpf_map_delete_elem(&exited_threads, &key);
    *find_followed(task) = DENET_FOLLOWED_NOT;
  }
  bpf_task_storage_delete(&waiters, task);
  return 0;
}

/* --- The task iterator --- */

/* A thread that is off its CPU is so since now, as far as we know. */
static __always_inline struct waiter *begin_to_follow(struct task_struct *task) {
  struct waiter *waiter = task->flags & PF_EXITING ? 0 : make_waiter(task);
  if (!waiter || is_on_cpu(task) || waiter->left_ns)
    return waiter;
  denet_u64 state = read_state(task);
  leave(task, waiter, !state, read_clock());
  return waiter;
}

/* Adds the absence that goes on, and tells its place if it is time for a stack: the registers once,
 * from then on only that it goes on. */
static __always_inline void add_current(struct task_struct *task, struct waiter *waiter,
                                        struct denet_off_cpu_thread *thread) {
  denet_u64 left_ns = thread->left_ns, now_ns = read_clock();
  denet_u32 reason = waiter->reason;
  denet_u64 queued_ns = read_run_delay(task) - waiter->run_delay_ns + read_waiting(task);
  struct absence absence = make_absence(reason, now_ns > left_ns ? now_ns - left_ns : 0, queued_ns);
  add_absence(&thread->waits, reason, &absence);
  if (reason >= DENET_REASONS || !waiter->is_sampled || !has_registers(task))
    return;
  denet_u64 blocked_ns = absence.blocked_ns, told_ns = waiter->told_ns;
  denet_u64 weight_ns =
      waiter->untold_ns[reason] + (blocked_ns > told_ns ? blocked_ns - told_ns : 0);
  bool is_shown = waiter->shown_ns == left_ns;
  if (is_shown ? weight_ns < period_ns : !may_take_stack(weight_ns, now_ns))
    return;
  waiter->untold_ns[reason] = 0;
  waiter->told_ns = blocked_ns;
  waiter->shown_ns = left_ns;
  thread->place.reason = reason;
  thread->place.weight_ns = weight_ns;
  thread->has_registers = !is_shown;
  if (!is_shown)
    read_registers((const struct pt_regs *)bpf_task_pt_regs(task), thread->place.registers);
}

/* Before the first of the process's threads: one that exits after it was listed is in what has been
 * told of it alone, not in the sums too. */
static __always_inline void list_exited(struct task_struct *task,
                                        const struct bpf_iter_meta *meta) {
  struct process_key key = key_of(task);
  struct exited_threads *exited = bpf_map_lookup_elem(&exited_threads, &key);
  if (!exited && task->signal->nr_threads > 1)
    exited = find_exited_threads(&key);
  if (!exited || exited->session == meta->session_id)
    return;
  exited->session = meta->session_id;
  struct denet_off_cpu_process process = {.head = {DENET_OFF_CPU_EXITED, task->tgid, key.start_ns}};
  process.waits = exited->waits;
  bpf_seq_write(meta->seq, &process, sizeof(process));
}

SEC("iter/task")
int list_waiters(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  struct waiter *waiter = find_waiter(task);
  denet_u8 is_followed = *find_followed(task);
  if (!is_followed) {
    if (waiter)
      bpf_task_storage_delete(&waiters, task);
    return 0;
  }
  list_exited(task, ctx->meta);
  if (!waiter)
    waiter = begin_to_follow(task);
  if (!waiter)
    return 0;
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
  if (thread.left_ns)
    add_current(task, waiter, &thread);
  bpf_seq_write(ctx->meta->seq, &thread, sizeof(thread));
  return 0;
}
