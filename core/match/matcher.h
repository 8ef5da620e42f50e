/* Decides which trees each process belongs to: by the rules if it is new or has changed, by descent
 * otherwise. */
#pragma once

#include "core/groups/tree.h"
#include "core/match/attributes.h"
#include "core/util/log.h"

/* Set the first block and call init; the matcher fills the rest. */
struct denet_matcher {
  struct denet_active_rule *active_rules; /* borrowed, as are all these */
  size_t active_rule_count;
  struct denet_source *source;
  const struct denet_env *env;
  const struct denet_log *log;
  struct denet_process_table *table;
  struct denet_groups *groups;
  struct denet_trees *trees;
  bool wants_metadata;          /* trees get files */
  enum denet_baseline baseline; /* of a process that was born before denet or is matched late */

  unsigned fields; /* that the rules need, as in struct denet_rule */
  struct denet_attributes_reader reader;
  struct denet_attributes_reader metadata_reader; /* its texts do not replace those of reader */
  uint64_t first_ns;    /* the first tick, boot clock: processes born before it ran before denet */
  uint64_t now_ns;      /* this tick */
  uint64_t last_ns;     /* the tick before; 0: there was none */
  uint64_t deadline_ns; /* for the matching of this tick */
  uint64_t pass;        /* number of the pass over the table, from 1 */
  size_t cursor;        /* where the next pass begins */
  bool has_grown;  /* an old process got into a tree: its children, resolved before, may follow */
  int failure;     /* of this tick: why some process could not be resolved; 0: all could */
  uint64_t missed; /* processes that ended before they could be matched, or were matched late
                      because a text stalled */

  /* Of the process that is being resolved. */
  unsigned depth;                 /* of its descendants that wait for it */
  bool text_stalled;              /* a text of it is not known yet */
  struct denet_buffer instance;   /* the expanded template */
  struct denet_metadata metadata; /* for its tree */
  bool metadata_stalled;          /* some of these texts is not known yet */
};

/* Fills fields from the rules. */
void denet_matcher_init(struct denet_matcher *matcher);
void denet_matcher_done(struct denet_matcher *matcher);

/* Begins the tick at now_ns (boot clock), after a scan. */
void denet_matcher_begin(struct denet_matcher *matcher, uint64_t now_ns);

/* Resolves processes that have ended since the last tick and were not matched as they were at their
 * end, and their children: before they leave their trees. missed counts those that could not be
 * resolved. */
void denet_matcher_resolve_ended(struct denet_matcher *matcher);

/* Returns whether a rule with records matches a process that has just exec'd, so that its first
 * second is to be sampled closely. The process need not be in the table, and joins no tree yet. */
bool denet_matcher_wants(struct denet_matcher *matcher, struct denet_process *process);

/* Reads the pid files of the rules, and has the rules match the processes that they name, or named
 * before, again. After a scan. A pid file that names no process is logged when it has been so for a
 * second, once until the reason changes; a missing one only in the first tick. */
void denet_matcher_read_pid_files(struct denet_matcher *matcher);

/* Resolves the processes of the table for at most half a second: command lines that are slow to
 * match must not stop the sampling. The rest waits for the next tick. 0, or a transient error
 * (denet_error_is_transient()) of some process: it and its descendants wait likewise. */
int denet_matcher_resolve(struct denet_matcher *matcher);
