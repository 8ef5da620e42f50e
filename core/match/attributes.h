/* Reads the attributes of a process that rules and metadata lines need, each at most once. */
#pragma once

#include "core/rules/rule.h"
#include "core/source/source.h"

/* A cached user name: a look-up may ask a directory service, and wait for it. */
struct denet_user {
  uid_t uid;
  int outcome;         /* of the look-up: 0 or -errno */
  uint64_t expires_ns; /* boot clock; 0: the entry is empty */
  char name[64];
};

#define DENET_USERS 64
#define DENET_USER_NS UINT64_C(60000000000)
/* A failure expires soon: the directory service may be starting. */
#define DENET_USER_RETRY_NS UINT64_C(900000000)

/* The texts of one process at a time; the memory is used again for the next. Set source and
 * env; the rest begins zeroed. */
struct denet_attributes_reader {
  struct denet_source *source; /* borrowed */
  const struct denet_env *env; /* borrowed */
  bool takes_numbers; /* a user whose name cannot be looked up at the moment is its number */
  struct denet_buffer texts[DENET_TEXT_CGROUP + 1]; /* by enum denet_text_kind */
  struct denet_buffer names[DENET_CGROUP_NAMES];    /* of the last cgroup */
  struct denet_user users[DENET_USERS];             /* at uid % DENET_USERS */
};

void denet_attributes_reader_done(struct denet_attributes_reader *reader);

/* Fills out_attributes with the fields (bit f: enum denet_field f). A field that is not permitted
 * is absent. The texts are borrowed from the reader and the process until the next call. 0;
 * DENET_GONE if the process exits or has exited, and the source has not noticed; a transient error
 * (denet_error_is_transient()). */
int denet_attributes_read(struct denet_attributes_reader *reader, struct denet_process *process,
                          unsigned fields, struct denet_attributes *out_attributes);
