/* Stacks: sampling by off-CPU time. */
#pragma once

#include "waiter.h"

#define PAGE_BYTES 4096
#define STACK_PAGES (DENET_OFF_CPU_STACK_MOST / PAGE_BYTES + 1)
#define GROWTH_MOST 4
#define QUIET_NS 2000000000ull /* nobody came back in that time: the period begins anew */
#define STRETCHED_MOST_NS 10000000000ull

/* Set before loading. */
const volatile denet_u64 period_ns = 1000000; /* off-CPU time of a thread between two stacks */
const volatile denet_u64 window_ns = 250000000;
const volatile denet_u32 window_stacks = 25; /* of all threads in a window, at most */
const volatile denet_u64 stack_bytes = 8192; /* of each, at most */

/* Where more stacks are wanted than there may be, the period grows for all threads alike: none is
 * served better for coming first. */
denet_u64 window_began_ns = 0;
denet_u32 window_wanted = 0;       /* stacks in it, also those that were not taken */
denet_u32 window_taken = 0;        /* those that were */
denet_u64 stretched_period_ns = 0; /* 0: it is as it was set */

/* Stacks and ends. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_OFF_CPU_RING_BYTES);
} happenings SEC(".maps");

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

static __always_inline denet_u64 current_period(void) {
  return stretched_period_ns > period_ns ? stretched_period_ns : period_ns;
}

/* The next window's period is the one with which as many stacks as there may be would have been
 * wanted in this one; if they were few, nearer to what was set. */
static __always_inline void begin_window(denet_u64 now_ns) {
  denet_u64 period = current_period(), wanted = window_wanted;
  if (now_ns - window_began_ns > QUIET_NS)
    period = 0;
  else if (wanted > window_stacks * GROWTH_MOST) /* some were refused again and again */
    period *= GROWTH_MOST;
  else if (wanted > window_stacks)
    period += period * (wanted - window_stacks) / window_stacks;
  else if (wanted <= window_stacks / 2)
    period -= period / 4;
  stretched_period_ns = period < STRETCHED_MOST_NS ? period : STRETCHED_MOST_NS;
  window_wanted = window_taken = 0;
  window_began_ns = now_ns;
}

/* Whether it is time for a stack of a thread with so much untold. What it does in turns would meet
 * an even period always at the same turn: so that is drawn anew each time, from a half to one and a
 * half. CPUs may do this at the same time: then some stacks more are taken, or less. */
static __always_inline bool may_take_stack(struct waiter *waiter, denet_u64 untold_ns,
                                           denet_u64 now_ns) {
  denet_u64 jitter = waiter->jitter ? waiter->jitter : 256;
  if (now_ns - window_began_ns > window_ns)
    begin_window(now_ns);
  if (untold_ns < current_period() / 256 * jitter)
    return false;
  window_wanted++;
  if (window_taken >= window_stacks)
    return false;
  window_taken++;
  waiter->jitter = 128 + (bpf_get_prandom_u32() & 255);
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

/* A period ends somewhere in the absence that completes it, and what is behind that point is of the
 * next one. */
static __always_inline denet_u64 draw_rest(denet_u64 last_ns) {
  denet_u64 period = current_period(), most_ns = last_ns < period ? last_ns : period;
  return (most_ns >> 8) * (bpf_get_prandom_u32() & 255);
}

/* Takes a stack if it is time for one of this reason, for which the thread has been away for
 * last_ns: sampling by off-CPU time. */
static __always_inline void sample(struct task_struct *task, struct waiter *waiter,
                                   denet_u64 reason, denet_u64 last_ns, denet_u64 now_ns) {
  barrier_var(reason); /* what is compared is to be what is used */
  if (reason >= DENET_REASONS || !waiter->is_sampled || !has_registers(task))
    return;
  denet_u64 *untold_ns = &waiter->untold_ns[reason], rest_ns = draw_rest(last_ns);
  if (may_take_stack(waiter, *untold_ns, now_ns) && send_stack(task, reason, *untold_ns - rest_ns))
    *untold_ns = rest_ns;
}
