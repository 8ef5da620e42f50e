/* What a record of the kernel says that a process costs, as values: metrics.def has their places.
 * Pure. */
#pragma once

#include "bpf/process_records.h"
#include "core/model/process.h"

/* Takes the values of the record, which has the usage of all threads, into process->usage. A
 * counter never falls. Memory of a process that has none any more stays as it was last. A process
 * that has ended was measured at its end, which moves to where the CPU time that it used since its
 * last measurement fits in. unavailable: denet_unavailable bits, what this kernel does not count.
 */
void denet_record_values_take(struct denet_process *process, const struct denet_bpf_process *record,
                              uint64_t page_bytes, unsigned unavailable);
