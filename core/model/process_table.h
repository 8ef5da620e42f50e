/* Every process of the host that is known, sorted by pid. A source shows it each pid once a pass,
 * in ascending order; what it was not shown is gone. No hash and no allocation in a quiet pass: it
 * is a merge of two sorted lists. */
#pragma once

#include "core/model/process.h"

#include <stddef.h>

struct denet_process_table {
  struct denet_process **processes; /* sorted by pid; owned, valid between end and begin */
  size_t count;
  struct denet_process **gone; /* processes that the last pass did not find, sorted by pid and
                                  birth; owned until begin */
  size_t gone_count;

  /* Inside a pass. */
  struct denet_process **before; /* the last pass's list */
  size_t before_count;
  size_t cursor; /* first of before that was not yet passed */
  size_t capacity, before_capacity, gone_capacity;
};

/* Zeroed is a fresh table. Frees everything. */
void denet_process_table_done(struct denet_process_table *table);

/* Starts a pass; frees the processes that were gone after the last one. 0 or -ENOMEM, then no pass
 * has begun. */
int denet_process_table_begin(struct denet_process_table *table);

/* The process with this pid, as far as is known: a new one is zero but for pid and is_new. pids
 * must ascend within a pass. The pointer stays good until the process is freed. 0 or -ENOMEM. */
int denet_process_table_upsert(struct denet_process_table *table, pid_t pid,
                               struct denet_process **out_process);

/* The process that see() would return for the pid if it was there before, or NULL. It still has the
 * is_new of the last pass. Inside a pass. */
const struct denet_process *denet_process_table_peek(const struct denet_process_table *table,
                                                     pid_t pid);

/* The process returned by the last see() turned out to be another one with the same pid: the old
 * one is gone, a new one is in its place. 0 or -ENOMEM. */
int denet_process_table_replace(struct denet_process_table *table,
                                struct denet_process **out_process);

/* The process returned by the last see() vanished while it was looked at: as if it had not been
 * shown. */
void denet_process_table_undo(struct denet_process_table *table);

/* The next process that was there before and has not been shown, if its pid is below the limit; or
 * NULL. It can still be shown, or denet_process_table_remove() gives it up. Inside a pass. */
struct denet_process *denet_process_table_next_unseen(const struct denet_process_table *table,
                                                      pid_t limit);
void denet_process_table_remove(struct denet_process_table *table);

/* A process that was never seen is known to have lived: a new one that is gone at once. Inside a
 * pass. 0 or -ENOMEM. */
int denet_process_table_add_gone(struct denet_process_table *table, pid_t pid,
                                 struct denet_process **out_process);

/* Ends the pass, if one has begun. If it was complete, what was not shown is gone; after one that
 * was cut short by a failure it stays. */
void denet_process_table_end(struct denet_process_table *table, bool complete);

/* The process with this pid, or NULL. Inside a pass: among those that were shown. */
struct denet_process *denet_process_table_find(const struct denet_process_table *table, pid_t pid);

/* The parent of the process, living or gone, or NULL. A younger process with the parent's pid is
 * not the parent. Between passes. */
struct denet_process *denet_process_table_find_parent(const struct denet_process_table *table,
                                                      const struct denet_process *process);

/* Of the processes that are gone the youngest with this pid that was born at born_ns (boot clock)
 * or before, or NULL. Between passes. */
struct denet_process *denet_process_table_find_gone(const struct denet_process_table *table,
                                                    pid_t pid, uint64_t born_ns);
