/* Turns a record of the kernel into the values of a process. metrics.def has the field of each
 * metric. Pure. */
#pragma once

#include "bpf/process_records.h"
#include "core/model/process.h"

/* Takes the values of a record with the usage of all threads into process->usage. A counter never
 * falls. A process without memory keeps its last values of it. A process that has ended was
 * measured at its end. If it used more CPU time since its last measurement than fits in before its
 * end, the end is moved. unavailable: denet_unavailable bits, metrics that this kernel does not
 * count. */
void denet_record_values_take(struct denet_process *process, const struct denet_bpf_process *record,
                              uint64_t page_bytes, unsigned unavailable);
