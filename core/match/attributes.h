/* Gathers what rules and files want to know of a process, each text read at most once. */
#pragma once

#include "core/rules/rule.h"
#include "core/source/source.h"

/* A user's name as it was told last; asking may take a directory service's time. */
struct denet_user {
  uid_t uid;
  int outcome;           /* of asking: 0, or -ENOENT and the like */
  uint64_t forgotten_ns; /* boot clock, when it is asked for again; 0: empty */
  char name[64];
};

#define DENET_USERS 64
#define DENET_USER_NS UINT64_C(60000000000)
/* A failure is soon asked for again: the directory service may just be starting. */
#define DENET_USER_RETRY_NS UINT64_C(900000000)

/* Texts of one process at a time; the memory is used again for the next. Zeroed is fresh. */
struct denet_attributes_reader {
  struct denet_buffer arguments, command_line, executable, cgroup, unit;
  struct denet_user users[DENET_USERS]; /* at uid % DENET_USERS */
};

void denet_attributes_reader_done(struct denet_attributes_reader *reader);

/* Fills out_attributes with the fields (bit s: field s). What may not be read is absent. Borrowed
 * from the reader and the process until the next call. 0; DENET_GONE: it is not there any more, or
 * about to be, though it was not seen to end; -errno when something cannot be read for the moment
 * (denet_source_is_passing()). */
int denet_attributes_read(struct denet_attributes_reader *reader, struct denet_source *source,
                          const struct denet_env *env, struct denet_process *process,
                          unsigned fields, struct denet_attributes *out_attributes);
