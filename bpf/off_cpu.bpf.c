/* Follows threads that leave their CPUs and come back: how long they were off, why, and with which
 * user stack. Only threads with a waiter are followed; of others next to nothing is looked at. */
#include "reasons.h"

#include "tasks.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define PAGE_BYTES 4096
#define STACK_PAGES (DENET_OFF_CPU_STACK_MOST / PAGE_BYTES + 1)
#define WINDOW_NS 250000000

/* Set before loading. */
const volatile bool has_state = false;  /* sched_switch tells the state of the one that leaves */
const volatile bool has_return = false; /* there is a sched_exit_tp */
const volatile denet_u64 period_ns = 1000000; /* off-CPU time of a thread between two stacks */
const volatile denet_u32 window_stacks = 50;  /* of all threads in WINDOW_NS, at most */
const volatile denet_u64 stack_bytes = 8192;  /* of each, at most */

/* By pid, enum denet_followed: set by user space, and here when a process begins or ends. */
denet_u8 followed[DENET_BPF_PIDS];

/* What could not be told. */
denet_u64 lost_threads = 0;   /* there was no memory to follow them */
denet_u64 lost_processes = 0; /* there was no room for the sums of their exited threads */
denet_u64 lost_stacks = 0;    /* there was no room in the ring */
denet_u64 lost_ends = 0;      /* likewise */

/* Where more stacks are wanted than there may be, the period grows for all threads alike: none is
 * served better for coming first. */
denet_u64 window_began_ns = 0;
denet_u32 window_wanted = 0;       /* stacks in it, also those that were not taken */
denet_u32 window_taken = 0;        /* those that were */
denet_u64 stretched_period_ns = 0; /* 0: it is as it was set */

struct waiter {
  struct denet_waits waits;
  denet_u64 left_ns;      /* when it left its CPU; 0: it is on one, or nobody knows since when */
  denet_u64 run_delay_ns; /* that it had then */
  denet_u64 untold_ns[DENET_REASONS]; /* of absences that are over, no stack told yet */
  denet_u64 told_ns;                  /* of the one since left_ns, what a stack was taken for */
  denet_u64 shown_ns; /* the left_ns for which user space has been shown the registers */
  denet_u32 reason;
  denet_u32 is_sampled; /* its stacks are wanted too */
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct waiter);
} waiters SEC(".maps");

/* Of a process with several threads: the sums of those that have exited. */
struct exited_threads {
  struct denet_waits waits;
  denet_u64
      untold_ns[DENET_REASONS]; /* without a stack: the next thread's first ones stand for it */
  denet_u64 session;            /* of the iterator that told them last */
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, DENET_OFF_CPU_EXITED_MOST);
  __type(key, struct process_key);
  __type(value, struct exited_threads);
} exited_threads SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_OFF_CPU_RING_BYTES);
} happenings SEC(".maps");

/* For the thread that reads mappings, which cannot wait for a tick. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_OFF_CPU_BEGINNINGS_BYTES);
} beginnings SEC(".maps");

struct stack_room {
  struct denet_off_cpu_stack stack;
  char bytes[STACK_PAGES * PAGE_BYTES];
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, denet_u32);
  __type(value, struct stack_room);
} stack_rooms SEC(".maps");

static __always_inline void count(denet_u64 *what) { __sync_fetch_and_add(what, 1); }

/* Most tasks have no storage at all, which one look tells. */
static __always_inline struct waiter *find_waiter(struct task_struct *task) {
  if (bpf_core_field_exists(task->bpf_storage) && !task->bpf_storage)
    return 0;
  return bpf_task_storage_get(&waiters, task, 0, 0);
}

static __always_inline struct waiter *make_waiter(struct task_struct *task) {
  struct waiter *waiter = bpf_task_storage_get(&waiters, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!waiter)
    count(&lost_threads);
  return waiter;
}

static __always_inline void add_waits(struct denet_waits *sum, const struct denet_waits *part) {
  for (int i = 0; i < DENET_REASONS; i++)
    __sync_fetch_and_add(&sum->time_ns[i], part->time_ns[i]);
  if (part->longest_ns > sum->longest_ns)
    sum->longest_ns = part->longest_ns;
  if (part->count && (!sum->count || part->shortest_ns < sum->shortest_ns))
    sum->shortest_ns = part->shortest_ns;
  __sync_fetch_and_add(&sum->count, part->count);
}

/* An absence that is over, or goes on. */
struct absence {
  denet_u64 off_ns;
  denet_u64 queued_ns;  /* of it, in the run queue */
  denet_u64 blocked_ns; /* the rest: of its reason; all of it if that is the run queue */
};

static __always_inline struct absence make_absence(enum denet_reason reason, denet_u64 off_ns,
                                                   denet_u64 queued_ns) {
  struct absence absence = {.off_ns = off_ns};
  if (reason != DENET_REASON_RUNQUEUE)
    absence.queued_ns = queued_ns < off_ns ? queued_ns : off_ns;
  absence.blocked_ns = off_ns - absence.queued_ns;
  return absence;
}

/* It has been counted as it began. */
static __always_inline void add_absence(struct denet_waits *waits, denet_u32 reason,
                                        const struct absence *absence) {
  denet_u64 off_ns = absence->off_ns;
  waits->time_ns[DENET_REASON_RUNQUEUE] += absence->queued_ns;
  if (reason < DENET_REASONS)
    waits->time_ns[reason] += absence->blocked_ns;
  if (off_ns > waits->longest_ns)
    waits->longest_ns = off_ns;
  if (off_ns < waits->shortest_ns || !waits->shortest_ns)
    waits->shortest_ns = off_ns;
}

/* --- Stacks --- */

static __always_inline denet_u64 current_period(void) {
  return stretched_period_ns > period_ns ? stretched_period_ns : period_ns;
}

/* The next window's period is the one with which as many stacks as there may be would have been
 * wanted in this one; if they were few, nearer to what was set. */
static __always_inline void begin_window(denet_u64 now_ns) {
  denet_u64 period = current_period(), wanted = window_wanted;
  if (wanted > window_stacks)
    stretched_period_ns = period + period * (wanted - window_stacks) / window_stacks;
  else if (wanted < window_stacks / 2)
    stretched_period_ns = period - period / 4;
  window_wanted = window_taken = 0;
  window_began_ns = now_ns;
}

/* CPUs may do this at the same time: then some stacks more are taken, or less. */
static __always_inline bool may_take_stack(denet_u64 untold_ns, denet_u64 now_ns) {
  if (untold_ns < current_period())
    return false;
  if (now_ns - window_began_ns > WINDOW_NS)
    begin_window(now_ns);
  window_wanted++;
  if (window_taken >= window_stacks)
    return false;
  window_taken++;
  return true;
}

/* By DWARF's numbers (System V ABI, AMD64 supplement, figure 3.36). */
static __always_inline void read_registers(const struct pt_regs *from, denet_u64 *to) {
  to[0] = from->ax, to[1] = from->dx, to[2] = from->cx, to[3] = from->bx;
  to[4] = from->si, to[5] = from->di, to[6] = from->bp, to[7] = from->sp;
  to[8] = from->r8, to[9] = from->r9, to[10] = from->r10, to[11] = from->r11;
  to[12] = from->r12, to[13] = from->r13, to[14] = from->r14, to[15] = from->r15;
  to[16] = from->ip;
}

/* A thread that has 64-bit user registers. */
static __always_inline bool has_registers(struct task_struct *task) {
  return !(task->flags & PF_KTHREAD) && !(task->thread_info.status & TS_COMPAT);
}

static __always_inline void read_place(struct task_struct *task, denet_u32 reason,
                                       denet_u64 weight_ns, struct denet_off_cpu_place *place) {
  place->exec_id = task->self_exec_id;
  place->tid = task->pid;
  place->reason = reason;
  place->weight_ns = weight_ns;
  bpf_probe_read_kernel(place->name, sizeof(place->name), task->comm);
}

/* Page by page, as far as they are in memory. */
static __always_inline denet_u64 read_stack(denet_u64 from, char *to) {
  denet_u64 used = 0;
  for (int i = 0; i < STACK_PAGES && used < stack_bytes; i++) {
    denet_u64 part = PAGE_BYTES - ((from + used) & (PAGE_BYTES - 1));
    if (part > stack_bytes - used)
      part = stack_bytes - used;
    if (used > DENET_OFF_CPU_STACK_MOST || part > PAGE_BYTES)
      break;
    if (bpf_probe_read_user(to + used, part, (const void *)(from + used)))
      break;
    used += part;
  }
  return used;
}

/* Of the current task. */
static __always_inline bool send_stack(struct task_struct *task, denet_u32 reason,
                                       denet_u64 weight_ns) {
  denet_u32 zero = 0;
  struct stack_room *room = bpf_map_lookup_elem(&stack_rooms, &zero);
  if (!room)
    return false;
  struct denet_off_cpu_stack *stack = &room->stack;
  const struct pt_regs *registers = (const struct pt_regs *)bpf_task_pt_regs(task);
  stack->head.kind = DENET_OFF_CPU_STACK;
  stack->head.pid = task->tgid;
  stack->head.start_ns = task->group_leader->start_boottime;
  read_place(task, reason, weight_ns, &stack->place);
  read_registers(registers, stack->place.registers);
  stack->stack_bytes = read_stack(stack->place.registers[7], room->bytes);
  denet_u64 size = sizeof(*stack) + stack->stack_bytes;
  if (size > sizeof(*room) || bpf_ringbuf_output(&happenings, stack, size, BPF_RB_NO_WAKEUP)) {
    count(&lost_stacks);
    return false;
  }
  return true;
}

/* Takes a stack if it is time for one of this reason: sampling by off-CPU time. */
static __always_inline void sample(struct task_struct *task, struct waiter *waiter,
                                   denet_u64 reason, denet_u64 now_ns) {
  barrier_var(reason); /* what is compared is to be what is used */
  if (reason >= DENET_REASONS || !waiter->is_sampled || !has_registers(task))
    return;
  denet_u64 *untold_ns = &waiter->untold_ns[reason];
  if (may_take_stack(*untold_ns, now_ns) && send_stack(task, reason, *untold_ns))
    *untold_ns = 0;
}

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
