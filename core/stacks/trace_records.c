#include "core/stacks/trace_records.h"

bool denet_trace_records_is_whole(const struct denet_bpf_head *head, size_t size) {
  const struct denet_off_cpu_thread *thread = (const void *)head;
  const struct denet_off_cpu_stack *stack = (const void *)head;
  switch (size < sizeof(*head) ? 0 : head->kind) {
  case DENET_OFF_CPU_THREAD:
    return size >= sizeof(*thread) && thread->point.reason < DENET_REASONS;
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

const struct denet_bpf_head *denet_trace_records_next(const struct denet_buffer *records,
                                                      size_t *offset) {
  const struct denet_bpf_head *head = (const void *)(records->bytes + *offset);
  if (!denet_trace_records_is_whole(head, records->length - *offset) ||
      head->kind > DENET_OFF_CPU_EXITED)
    return NULL;
  *offset += head->kind == DENET_OFF_CPU_THREAD ? sizeof(struct denet_off_cpu_thread)
                                                : sizeof(struct denet_off_cpu_sums);
  return head;
}
