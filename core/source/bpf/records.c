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
