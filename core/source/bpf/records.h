/* What an iterator in the kernel has written, one record behind the other, each with a head. Pure.
 */
#pragma once

#include "bpf/process_records.h"
#include "core/util/buffer.h"

#include <stddef.h>

/* The record at *offset, which moves behind it; NULL at the end and where records make no sense.
 * size_of() gives the size of a kind of record; 0: there is no such one. */
const struct denet_bpf_head *denet_records_next(const struct denet_buffer *records,
                                                size_t (*size_of)(denet_u32 kind), size_t *offset);
