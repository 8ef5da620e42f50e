#include "core/stacks/trace_records.h"

#include "core/source/bpf/records.h"

#include <stdbool.h>

const struct denet_off_cpu_thread *denet_trace_records_as_thread(const struct denet_bpf_head *head,
                                                                 size_t size) {
  bool is_one = size >= sizeof(struct denet_off_cpu_thread) && head->kind == DENET_OFF_CPU_THREAD;
  return is_one ? (const struct denet_off_cpu_thread *)head : NULL;
}

const struct denet_off_cpu_sums *denet_trace_records_as_sums(const struct denet_bpf_head *head,
                                                             size_t size) {
  bool is_one = size >= sizeof(struct denet_off_cpu_sums) &&
                (head->kind == DENET_OFF_CPU_EXITED || head->kind == DENET_OFF_CPU_END);
  return is_one ? (const struct denet_off_cpu_sums *)head : NULL;
}

const struct denet_off_cpu_stack *denet_trace_records_as_stack(const struct denet_bpf_head *head,
                                                               size_t size) {
  const struct denet_off_cpu_stack *stack = (const void *)head;
  bool is_one = size >= sizeof(*stack) && head->kind == DENET_OFF_CPU_STACK &&
                stack->stack_bytes <= size - sizeof(*stack);
  return is_one ? stack : NULL;
}

static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_OFF_CPU_THREAD:
    return sizeof(struct denet_off_cpu_thread);
  case DENET_OFF_CPU_EXITED:
    return sizeof(struct denet_off_cpu_sums);
  default:
    return 0;
  }
}

const struct denet_bpf_head *denet_trace_records_next(const struct denet_buffer *records,
                                                      size_t *offset, size_t *out_size) {
  const struct denet_bpf_head *head = denet_records_next(records, size_of, offset);
  if (head)
    *out_size = size_of(head->kind);
  return head;
}
