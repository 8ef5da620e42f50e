/* Decides which trees each process belongs to: rules for those that are new or have changed,
 * descent for the rest. */
#pragma once

#include "core/groups/tree.h"
#include "core/match/attributes.h"

struct denet_matcher {
  struct denet_active_rule *active_rules; /* borrowed, as all of these */
  size_t active_rule_count;
  struct denet_source *source;
  const struct denet_env *env;
  struct denet_process_table *table;
  struct denet_groups *groups;
  struct denet_trees *trees;
  bool wants_metadata; /* trees are to have files */

  unsigned fields; /* what the rules look at, as in struct denet_rule */
  struct denet_attributes_reader reader;
  struct denet_buffer instance;
  struct denet_buffer arguments, executable; /* for the metadata of a tree to come, as are */
  bool has_uid, lacks_texts;
  uid_t uid;
  uint64_t pass;                /* number of the pass over the table, from 1 */
  uint64_t now_ns;              /* boot clock, this tick, and */
  uint64_t ticked_ns;           /* the one before; 0: there was none */
  uint64_t began_ns;            /* the first tick: what was born before was there before denet */
  enum denet_baseline baseline; /* of processes that were there before */
  uint64_t deadline_ns;         /* until when this tick may match */
  uint64_t missed;      /* processes that ended before they could be matched, or were matched late
                           because a text stalled */
  unsigned depth;       /* of parents that are being settled first */
  bool has_grown;       /* a process that is not young got into a tree: its children may follow */
  bool text_stalled;    /* a text of the process that is being settled is not known yet */
  size_t cursor;        /* where the next pass begins */
  int failure;          /* of this tick: why some process could not be settled; 0: all could */
  size_t waiting_bytes; /* arguments that no metadata line has been made of yet */
};

/* Fills fields from the rules. */
void denet_matcher_init(struct denet_matcher *matcher);
void denet_matcher_done(struct denet_matcher *matcher);

/* Begins the tick at now_ns (boot clock), after a scan. */
void denet_matcher_begin(struct denet_matcher *matcher, uint64_t now_ns);

/* Settles what has ended since the last tick and has not been looked at as it was at its end, and
 * what it has left behind: before the dead leave their trees. Which of the ended could not be
 * settled is counted in missed. */
void denet_matcher_resolve_ended(struct denet_matcher *matcher);

/* Whether some rule that writes files wants a process that has just begun a program: its first
 * second is to be sampled closely. It is no member of anything yet and need not be in the table.
 */
bool denet_matcher_wants(struct denet_matcher *matcher, struct denet_process *process);

/* Reads the pid files of the rules; has the rules look again at the processes that they named and
 * name now. After a scan. */
void denet_matcher_read_pid_files(struct denet_matcher *matcher);

/* Settles the processes of the table. What cannot be settled in half a second waits for the next
 * tick: somebody may be starting processes with command lines that are slow to match. 0, or -errno
 * when something of a process could not be read for the moment (denet_source_is_passing()): that
 * one, and what it has forked, waits likewise. */
int denet_matcher_resolve(struct denet_matcher *matcher);
