#include "core/source/bpf/records.h"

const struct denet_bpf_head *denet_records_next(const struct denet_buffer *records,
                                                size_t (*size_of)(denet_u32 kind), size_t *offset) {
  const struct denet_bpf_head *head = (const void *)(records->bytes + *offset);
  if (records->length - *offset < sizeof(*head))
    return NULL;
  size_t size = size_of(head->kind);
  if (!size || records->length - *offset < size)
    return NULL;
  *offset += size;
  return head;
}

static size_t size_of_task(denet_u32 kind) {
  return kind == DENET_BPF_COMPACT   ? sizeof(struct denet_bpf_compact)
         : kind == DENET_BPF_PROCESS ? sizeof(struct denet_bpf_process)
         : kind == DENET_BPF_THREAD  ? sizeof(struct denet_bpf_thread)
                                     : 0;
}

struct denet_bpf_head *denet_records_next_task(struct denet_buffer *records, size_t *offset) {
  return (struct denet_bpf_head *)denet_records_next(records, size_of_task, offset);
}
