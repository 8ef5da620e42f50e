/* Gathers what rules and files want to know of a process, each text read at most once. */
#pragma once

#include "rule.h"
#include "source.h"

/* Texts of one process at a time; the memory is used again for the next. Zeroed is fresh. */
struct denet_facts_reader {
  struct denet_buffer arguments, command_line, executable, cgroup, unit;
  char user[64];
};

void denet_facts_reader_done(struct denet_facts_reader *reader);

/* Fills out_facts with the subjects (bit s: subject s). What cannot be read is absent. Borrowed
 * from the reader and the process until the next call. 0; DENET_GONE; -ENOMEM. */
int denet_facts_read(struct denet_facts_reader *reader, struct denet_source *source,
                     const struct denet_host *host, struct denet_process *process,
                     unsigned subjects, struct denet_facts *out_facts);
