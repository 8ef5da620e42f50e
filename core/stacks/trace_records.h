/* The records and events of the programs that follow threads off their CPUs
 * (bpf/off_cpu_records.h): checks of their sizes. Pure. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Returns whether the size bytes from head are the whole struct of head->kind (a stack: with its
 * bytes), with a reason that there is. */
bool denet_trace_records_is_whole(const struct denet_bpf_head *head, size_t size);

/* Returns the record of a list at *offset, which moves behind it; NULL at the end and where the
 * bytes are no record. It is whole, and a DENET_OFF_CPU_THREAD or DENET_OFF_CPU_EXITED. */
const struct denet_bpf_head *denet_trace_records_next(const struct denet_buffer *records,
                                                      size_t *offset);
