/* All known processes of the host, sorted by pid. In a pass a source upserts each pid once, in
 * ascending order; a process that it does not upsert is gone. A pass merges two sorted lists: in a
 * quiet one nothing is hashed or allocated. */
#pragma once

#include "core/model/process.h"

#include <stddef.h>

struct denet_process_table {
  struct denet_process **processes; /* sorted by pid; owned, valid between end and begin */
  size_t count;
  struct denet_process **gone; /* those that the last pass did not find, by pid and birth; owned
                                  until begin */
  size_t gone_count;

  /* Inside a pass. */
  struct denet_process **before; /* the last pass's list */
  size_t before_count;
  size_t cursor; /* the first of before that the pass has not come to */
  size_t capacity, before_capacity, gone_capacity;
};

/* Frees everything. A zeroed table is empty; NULL is fine. */
void denet_process_table_done(struct denet_process_table *table);

/* Begins a pass; frees the processes that were gone after the last one. 0 or -ENOMEM: no pass. */
int denet_process_table_begin(struct denet_process_table *table);

/* Stores the known process with this pid, or a new one, zeroed except pid and is_new. pids ascend
 * within a pass. The pointer is valid until the process is freed. 0 or -ENOMEM. */
int denet_process_table_upsert(struct denet_process_table *table, pid_t pid,
                               struct denet_process **out_process);

/* Returns the known process that upsert() would store for the pid, or NULL. It still has the is_new
 * of the last pass. Inside a pass. */
const struct denet_process *denet_process_table_peek(const struct denet_process_table *table,
                                                     pid_t pid);

/* Replaces the process of the last upsert() by a new one; the old one is gone. 0 or -ENOMEM. */
int denet_process_table_replace(struct denet_process_table *table,
                                struct denet_process **out_process);

/* Takes the last upsert() back: the process vanished while it was read. */
void denet_process_table_undo(struct denet_process_table *table);

/* Returns the next process that the pass has not come to, if its pid is below the limit; or NULL.
 * It can still be upserted; denet_process_table_remove() makes it gone. Inside a pass. */
struct denet_process *denet_process_table_next_unseen(const struct denet_process_table *table,
                                                      pid_t limit);
void denet_process_table_remove(struct denet_process_table *table);

/* Adds a new process that is gone already. Inside a pass. 0 or -ENOMEM. */
int denet_process_table_add_gone(struct denet_process_table *table, pid_t pid,
                                 struct denet_process **out_process);

/* Ends the pass, if one has begun. If it was complete, processes that were not upserted are gone;
 * after a pass that failed halfway they stay. */
void denet_process_table_end(struct denet_process_table *table, bool complete);

/* Returns the process with this pid, or NULL. Inside a pass: among those upserted. */
struct denet_process *denet_process_table_find(const struct denet_process_table *table, pid_t pid);

/* Returns the parent of the process, living or gone, or NULL. A younger process with the parent's
 * pid is not the parent. Between passes. */
struct denet_process *denet_process_table_find_parent(const struct denet_process_table *table,
                                                      const struct denet_process *process);

/* Returns the youngest process among the gone ones with this pid that was born at born_ns (boot
 * clock) or before; or NULL. Between passes. */
struct denet_process *denet_process_table_find_gone(const struct denet_process_table *table,
                                                    pid_t pid, uint64_t born_ns);
