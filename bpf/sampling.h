/* Stacks: sampling by off-CPU time. */
#pragma once

#include "waiter.h"

#define PAGE_BYTES 4096
#define STACK_PAGES (DENET_OFF_CPU_STACK_MOST / PAGE_BYTES + 1)
#define STACK_POINTER 7 /* index in the registers of a sample point */
#define GROWTH_MOST 4
#define SECOND_NS 1000000000ull
#define QUIET_NS 2000000000ull /* without a thread that came back: the period is as it was set */
#define STRETCHED_MOST_NS 10000000000ull

/* Set before loading. */
const volatile denet_u64 period_ns = 1000000; /* off-CPU time of a thread between two stacks */
const volatile denet_u64 window_ns = 250000000;
const volatile denet_u32 window_stacks = 25;       /* of all threads in a window, at most */
const volatile denet_u64 stack_bytes = 8192;       /* of each stack, at most */
const volatile denet_u64 listed_gap_ns = 10000000; /* between two stacks of blocked threads */

/* Where more stacks are due than window_stacks the period grows, for all threads alike. */
denet_u64 window_began_ns = 0;
denet_u32 window_wanted = 0;       /* stacks that were due in this window */
denet_u32 window_taken = 0;        /* those of them that were taken */
denet_u64 stretched_period_ns = 0; /* 0: the period is as it was set */

denet_u64 listed_due_ns = 0; /* when the next stack of a blocked thread may be asked for */

/* Stacks and ends. */
RING(samples, DENET_OFF_CPU_RING_BYTES);

struct stack_buffer {
  struct denet_off_cpu_stack stack;
  char bytes[STACK_PAGES * PAGE_BYTES];
};

CPU_BUFFER(stack_buffers, struct stack_buffer);

static __always_inline denet_u64 current_period(void) {
  return stretched_period_ns > period_ns ? stretched_period_ns : period_ns;
}

/* Begins a window. Its period is the one with which window_stacks stacks would have been due in the
 * window before; after a window with few stacks it is nearer to the period that was set. */
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

/* Returns whether a stack is due for a thread with this much time without a sample. The length of
 * each period is drawn anew, from a half to one and a half, since a thread that does several things
 * in turn would meet an even period always in the same turn. CPUs may run this at the same time;
 * then the number of stacks is a little off. */
static __always_inline bool may_take_stack(struct waiter *waiter, denet_u64 unsampled_ns,
                                           denet_u64 now_ns) {
  denet_u64 jitter = waiter->jitter ? waiter->jitter : 256;
  if (now_ns - window_began_ns > window_ns)
    begin_window(now_ns);
  if (unsampled_ns < current_period() / 256 * jitter)
    return false;
  window_wanted++;
  if (window_taken >= window_stacks)
    return false;
  window_taken++;
  waiter->jitter = 128 + (bpf_get_prandom_u32() & 255);
  return true;
}

/* Returns whether user space may be asked to read one more stack of a blocked thread. After a
 * second without any as many as in a second may be read at once. */
static __always_inline bool may_list_stack(void) {
  denet_u64 now_ns = bpf_ktime_get_ns();
  if (listed_due_ns + SECOND_NS < now_ns)
    listed_due_ns = now_ns - SECOND_NS;
  if (listed_due_ns > now_ns)
    return false;
  listed_due_ns += listed_gap_ns;
  return true;
}

/* Returns whether the thread has 64-bit user registers. */
static __always_inline bool has_registers(struct task_struct *task) {
  return !(task->flags & PF_KTHREAD) && !is_compat(task);
}

/* Fills all of the point except the registers. */
static __always_inline void fill_point(struct task_struct *task, denet_u32 reason,
                                       denet_u64 weight_ns, struct denet_sample_point *point) {
  point->exec_id = task->self_exec_id;
  point->tid = task->pid;
  point->reason = reason;
  point->weight_ns = weight_ns;
  bpf_probe_read_kernel(point->name, sizeof(point->name), task->comm);
}

/* Reads the current task's stack page by page, up to the first page that is not in memory. Returns
 * how many bytes were read. */
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

/* Sends the current task's stack. Returns whether there was room for it. */
static __always_inline bool send_stack(struct task_struct *task, denet_u32 reason,
                                       denet_u64 weight_ns) {
  denet_u32 zero = 0;
  struct stack_buffer *buffer = bpf_map_lookup_elem(&stack_buffers, &zero);
  if (!buffer)
    return false;
  struct denet_off_cpu_stack *stack = &buffer->stack;
  stack->head = make_head(task, DENET_OFF_CPU_STACK);
  fill_point(task, reason, weight_ns, &stack->point);
  copy_registers((const struct pt_regs *)bpf_task_pt_regs(task), stack->point.registers);
  stack->stack_bytes = read_stack(stack->point.registers[STACK_POINTER], buffer->bytes);
  denet_u64 size = sizeof(*stack) + stack->stack_bytes;
  if (size > sizeof(*buffer) || bpf_ringbuf_output(&samples, stack, size, BPF_RB_NO_WAKEUP)) {
    count(&lost_stacks);
    return false;
  }
  return true;
}

/* Takes a stack of the task if one is due for this reason. last_ns: time of the last interval. A
 * part of it, by chance, belongs to the next period: a period ends somewhere within an interval. */
static __always_inline void sample(struct task_struct *task, struct waiter *waiter,
                                   denet_u64 reason, denet_u64 last_ns, denet_u64 now_ns) {
  barrier_var(reason); /* the value that is compared must be the one that is used */
  if (reason >= DENET_REASONS || !waiter->is_sampled || !has_registers(task))
    return;
  denet_u64 *unsampled_ns = &waiter->unsampled_ns[reason], period = current_period();
  denet_u64 rest_ns = ((last_ns < period ? last_ns : period) >> 8) * (bpf_get_prandom_u32() & 255);
  if (may_take_stack(waiter, *unsampled_ns, now_ns) &&
      send_stack(task, reason, *unsampled_ns - rest_ns))
    *unsampled_ns = rest_ns;
}
