/* The lifecycle: what the kernel's events tell of processes, kept until the table has them or they
 * are over. Pure: knows the events' layout (bpf/record.h), not where they come from. */
#pragma once

#include "bpf/process_records.h"
#include "core/source/source.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What has been heard of one process. */
struct denet_lifecycle_entry {
  pid_t pid;
  uint64_t start_ns; /* boot clock; with the pid: the key */
  uint64_t met_ns;   /* the first pass that listed it: when it began, boot clock; 0: none has */
  bool is_taken;     /* its end is in the table's process */
  bool is_heard;     /* somebody has looked at its texts */
  bool was_given_up; /* nobody waits for its end any more */
  bool was_forked, has_exited, is_over;
  pid_t parent_pid;              /* if it was forked: by this one */
  struct denet_bpf_texts *texts; /* NULL: none; the bytes follow it. Owned */
  struct denet_bpf_exit exit;    /* if it has exited */
  struct denet_bpf_free end;     /* if it is over */
};

struct denet_lifecycle {
  void *tree;                           /* of struct denet_lifecycle_entry, tsearch(3); owned */
  struct denet_lifecycle_entry **lives; /* by ascending pid and start, as of the last list; owned */
  size_t count, capacity;               /* of lives */
  size_t size;                          /* of the tree */
};

/* Zeroed is a fresh lifecycle. */
void denet_lifecycle_done(struct denet_lifecycle *lifecycle);

/* The process's life, a new one if nothing has been heard of it; NULL: no memory. */
struct denet_lifecycle_entry *denet_lifecycle_add(struct denet_lifecycle *lifecycle, pid_t pid,
                                                  uint64_t start_ns);

/* Takes an event down. 0; -EINVAL for what is no event; -ENOMEM. */
int denet_lifecycle_note(struct denet_lifecycle *lifecycle, const void *event, size_t size);

/* The process's life, or NULL. Good until it is dropped. */
struct denet_lifecycle_entry *denet_lifecycle_find(const struct denet_lifecycle *lifecycle,
                                                   pid_t pid, uint64_t start_ns);

/* Brings lifecycle->lives up to date. 0 or -ENOMEM. */
int denet_lifecycle_list(struct denet_lifecycle *lifecycle);

/* Forgets and frees a life. It stays in lifecycle->lives as a dead pointer. */
void denet_lifecycle_drop(struct denet_lifecycle *lifecycle, struct denet_lifecycle_entry *life);

/* Appends a text of the program that the process ran. 0; -ENOENT if it is not known; -ENOMEM. */
int denet_lifecycle_entry_text(const struct denet_lifecycle_entry *life, enum denet_text_kind kind,
                               struct denet_buffer *out);

/* Fills a record of a process that is over, as the task iterator would have listed it at its end.
 * Its last RSS is its highest one where the kernel had taken the memory away by then; then virtual
 * memory is 0. seen_ns is when it exited, 0 if that is not known; identity.threads is 0. */
void denet_lifecycle_entry_record(const struct denet_lifecycle_entry *entry,
                                  struct denet_bpf_process *out_record);
