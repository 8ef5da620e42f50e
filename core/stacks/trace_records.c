#include "core/stacks/trace_records.h"

#include "core/source/bpf/records.h"

bool denet_trace_records_is_whole(const struct denet_bpf_head *head, size_t size) {
  const struct denet_off_cpu_stack *stack = (const void *)head;
  switch (size < sizeof(*head) ? 0 : head->kind) {
  case DENET_OFF_CPU_THREAD:
    return size >= sizeof(struct denet_off_cpu_thread) &&
           ((const struct denet_off_cpu_thread *)head)->point.reason < DENET_REASONS;
  case DENET_OFF_CPU_EXITED:
  case DENET_OFF_CPU_END:
    return size >= sizeof(struct denet_off_cpu_sums);
  case DENET_OFF_CPU_STACK:
    return size >= sizeof(*stack) && stack->stack_bytes <= size - sizeof(*stack) &&
           stack->point.reason < DENET_REASONS;
  default:
    return false;
  }
}

static size_t size_of(denet_u32 kind) {
  return kind == DENET_OFF_CPU_THREAD   ? sizeof(struct denet_off_cpu_thread)
         : kind == DENET_OFF_CPU_EXITED ? sizeof(struct denet_off_cpu_sums)
                                        : 0;
}

const struct denet_bpf_head *denet_trace_records_next(const struct denet_buffer *records,
                                                      size_t *offset) {
  size_t before = *offset;
  const struct denet_bpf_head *head = denet_records_next(records, size_of, offset);
  if (head && denet_trace_records_is_whole(head, *offset - before))
    return head;
  *offset = before;
  return NULL;
}
