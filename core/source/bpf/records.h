/* Walks the records of bpf/process_records.h that the task iterator has written. Pure. */
#pragma once

#include "bpf/process_records.h"
#include "core/util/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* Returns the record at *offset, which the caller may change, and moves *offset behind it; NULL at
 * the end, and at a record that is unknown or cut. */
struct denet_bpf_head *denet_records_next_task(struct denet_buffer *records, size_t *offset);
