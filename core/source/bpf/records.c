#include "core/source/bpf/records.h"

struct denet_bpf_head *denet_records_next_task(struct denet_buffer *records, size_t *offset) {
  struct denet_bpf_head *head = (void *)(records->bytes + *offset);
  size_t left = records->length - *offset;
  if (left < sizeof(*head))
    return NULL;
  size_t size = head->kind == DENET_BPF_COMPACT   ? sizeof(struct denet_bpf_compact)
                : head->kind == DENET_BPF_PROCESS ? sizeof(struct denet_bpf_process)
                : head->kind == DENET_BPF_THREAD  ? sizeof(struct denet_bpf_thread)
                                                  : SIZE_MAX;
  if (left < size)
    return NULL;
  *offset += size;
  return head;
}
