/* Walks the records that an iterator program has written. Each record starts with a head. Pure. */
#pragma once

#include "bpf/process_records.h"
#include "core/util/buffer.h"

#include <stddef.h>

/* Returns the record at *offset and moves *offset behind it; NULL at the end, and at a record that
 * is unknown or cut. size_of() returns the size of a kind of record, 0 for an unknown kind. */
const struct denet_bpf_head *denet_records_next(const struct denet_buffer *records,
                                                size_t (*size_of)(denet_u32 kind), size_t *offset);

/* The same for the records of bpf/process_records.h, which the caller may change. */
struct denet_bpf_head *denet_records_next_task(struct denet_buffer *records, size_t *offset);
