/* The records and events of the programs that follow threads off their CPUs
 * (bpf/off_cpu_records.h), as structs. Pure. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"

#include <stddef.h>

/* The record or event behind head, which is size bytes long, if it is of the kind and whole; else
 * NULL. For a stack: with its bytes. */
const struct denet_off_cpu_thread *denet_trace_records_as_thread(const struct denet_bpf_head *head,
                                                                 size_t size);
const struct denet_off_cpu_sums *denet_trace_records_as_sums(const struct denet_bpf_head *head,
                                                             size_t size);
const struct denet_off_cpu_stack *denet_trace_records_as_stack(const struct denet_bpf_head *head,
                                                               size_t size);

/* The record at *offset, which moves behind it; NULL at the end and where records make no sense. */
const struct denet_bpf_head *denet_trace_records_next(const struct denet_buffer *records,
                                                      size_t *offset, size_t *out_size);
