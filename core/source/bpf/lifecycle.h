/* What the kernel's events say of processes: one entry for each, kept until the source has used it.
 * No I/O: the caller passes events (bpf/process_records.h). */
#pragma once

#include "bpf/process_records.h"
#include "core/source/source.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_lifecycle_entry {
  pid_t pid;
  uint64_t start_ns;  /* boot clock; with the pid: the key */
  uint64_t listed_ns; /* start of the first pass that looked at it, boot clock; 0: none has */
  bool is_applied;    /* the process of the table has its final usage, or that is dropped */
  bool is_checked;    /* the rules have seen the texts */
  bool was_given_up;  /* the table does not wait for the final usage any more */
  bool was_forked, has_exited, was_freed; /* which events have come */
  pid_t parent_pid;                       /* if was_forked */
  struct denet_bpf_texts *texts;          /* the newest, its bytes behind it; NULL: none. Owned */
  struct denet_bpf_texts *inherited;      /* those of its parent at the fork, likewise */
  struct denet_bpf_exit exit;             /* if has_exited */
  struct denet_bpf_process final;         /* if was_freed */
};

struct denet_lifecycle {
  struct denet_lifecycle_entry **entries; /* by pid and start; owned */
  size_t count, capacity;
};

/* A zeroed struct is an empty lifecycle. Frees everything in it. */
void denet_lifecycle_done(struct denet_lifecycle *lifecycle);

/* Returns the entry of the process, a new one if there is none; NULL: no memory. */
struct denet_lifecycle_entry *denet_lifecycle_add(struct denet_lifecycle *lifecycle, pid_t pid,
                                                  uint64_t start_ns);

/* Adds an event, aligned to 8 bytes as in a ring buffer, to the entry of its process. Returns 0,
 * -EINVAL if the bytes are no event, or -ENOMEM. */
int denet_lifecycle_note(struct denet_lifecycle *lifecycle, const void *event, size_t size);

/* Returns the entry of the process, valid until it is removed; NULL: there is none. */
struct denet_lifecycle_entry *denet_lifecycle_find(const struct denet_lifecycle *lifecycle,
                                                   pid_t pid, uint64_t start_ns);

/* Likewise: the entry of the last process with this pid that started at start_ns or before. */
struct denet_lifecycle_entry *denet_lifecycle_find_last(const struct denet_lifecycle *lifecycle,
                                                        pid_t pid, uint64_t start_ns);

/* Removes and frees the entry with this index. */
void denet_lifecycle_remove(struct denet_lifecycle *lifecycle, size_t index);

/* Appends a text of the program that the process ran. Returns 0, -ENOENT if the entry does not have
 * it, or -ENOMEM. */
int denet_lifecycle_entry_text(const struct denet_lifecycle_entry *entry, enum denet_text_kind kind,
                               struct denet_buffer *out);

/* Fills a record from the final usage, as the task iterator would have listed the process at its
 * end. If the exit event has no memory, RSS is the highest one and virtual memory is 0. seen_ns is
 * the time of the exit, 0 if that is not known; identity.threads is 0. */
void denet_lifecycle_entry_record(const struct denet_lifecycle_entry *entry,
                                  struct denet_bpf_process *out_record);
