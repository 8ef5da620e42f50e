/* Every process of the host that is known, sorted by pid. A source shows it each pid once a pass,
 * in ascending order; what it was not shown is gone. No hash and no allocation in a quiet pass: it
 * is a merge of two sorted lists. */
#pragma once

#include "core/model/process.h"

#include <stddef.h>

struct denet_roster {
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

/* Zeroed is a fresh roster. Frees everything. */
void denet_roster_done(struct denet_roster *roster);

/* Starts a pass; frees the processes that were gone after the last one. 0 or -ENOMEM, then no pass
 * has begun. */
int denet_roster_begin(struct denet_roster *roster);

/* The process with this pid, as far as is known: a new one is zero but for pid and is_new. pids
 * must ascend within a pass. The pointer stays good until the process is freed. 0 or -ENOMEM. */
int denet_roster_see(struct denet_roster *roster, pid_t pid, struct denet_process **out_process);

/* The process that see() would return for the pid if it was there before, or NULL. It still has the
 * is_new of the last pass. Inside a pass. */
const struct denet_process *denet_roster_expect(const struct denet_roster *roster, pid_t pid);

/* The process returned by the last see() turned out to be another one with the same pid: the old
 * one is gone, a new one is in its place. 0 or -ENOMEM. */
int denet_roster_replace(struct denet_roster *roster, struct denet_process **out_process);

/* The process returned by the last see() vanished while it was looked at: as if it had not been
 * shown. */
void denet_roster_unsee(struct denet_roster *roster);

/* The next process that was there before and has not been shown, if its pid is below the limit; or
 * NULL. It can still be shown, or denet_roster_miss() gives it up. Inside a pass. */
struct denet_process *denet_roster_unseen(const struct denet_roster *roster, pid_t limit);
void denet_roster_miss(struct denet_roster *roster);

/* A process that was never seen is known to have lived: a new one that is gone at once. Inside a
 * pass. 0 or -ENOMEM. */
int denet_roster_add_gone(struct denet_roster *roster, pid_t pid,
                          struct denet_process **out_process);

/* Ends the pass, if one has begun. If it was complete, what was not shown is gone; after one that
 * was cut short by a failure it stays. */
void denet_roster_end(struct denet_roster *roster, bool complete);

/* The process with this pid, or NULL. Inside a pass: among those that were shown. */
struct denet_process *denet_roster_find(const struct denet_roster *roster, pid_t pid);

/* Of the processes that are gone the youngest with this pid that was born at born_ns (boot clock)
 * or before, or NULL. Between passes. */
struct denet_process *denet_roster_find_gone(const struct denet_roster *roster, pid_t pid,
                                             uint64_t born_ns);
