/* A tree: the processes of one file. Its root is the topmost process that a rule matched; with
 * Children all its descendants belong to it, also after their parents have exited. */
#pragma once

#include "core/groups/group.h"
#include "core/groups/slots.h"
#include "core/model/process.h"
#include "core/model/stack_counts.h"
#include "core/model/wait_stats.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_tree;

/* A rule with its state while denet runs. */
struct denet_active_rule {
  struct denet_rule rule;
  struct denet_slots slots;
  struct denet_metric_set wanted;            /* what its report and its files need */
  const struct denet_off_cpu_losses *losses; /* of the whole host; borrowed, NULL: not known */
};

/* One process in one tree. */
struct denet_member {
  struct denet_process *process;
  struct denet_tree *tree;
  struct denet_member *next_of_process;
  struct denet_member *previous, *next; /* in the tree, in the order they came */
  bool counts;          /* in the group: a process in two trees of a group counts in one of them */
  bool skips_sample;    /* its process was sampled before it joined: the next increase is not its */
  bool leaves;          /* its process does not meet the rule any more */
  uint64_t line_ns;     /* when its last line was sampled, boot clock; 0: it has no line yet */
  uint64_t line_cpu_ns; /* the total of its CPU time then */
  double line_usage;    /* its CPU use in that line, % of one core */
};

/* What a metadata line says of the root of a tree. A text that is not known is empty. */
struct denet_metadata {
  struct denet_buffer arguments, executable; /* owned, as the others */
  struct denet_buffer user, unit, cgroup;
  const char *no_executable; /* why it is empty; static */
  bool has_uid;
  uid_t uid;
};

/* Frees the texts. The metadata may be filled again. */
void denet_metadata_done(struct denet_metadata *metadata);

struct denet_tree {
  struct denet_active_rule *active_rule; /* borrowed */
  struct denet_group *group;             /* borrowed; outlives the tree's membership */
  struct denet_tree *previous, *next;    /* in the trees */
  struct denet_member *first, *last;
  struct denet_member *root; /* NULL once it has left */
  bool has_slot;
  unsigned slot;

  /* Its file. */
  pid_t pid; /* of the root */
  pid_t parent_pid;
  uint64_t born_ns, t0_ms;
  uint64_t young_since_ns; /* from when on the age for its interval counts */
  bool is_silent;      /* writes no lines: another tree of the group has the same root and file */
  bool wants_metadata; /* a metadata line comes before its next line */
  bool is_over;        /* all its members are ending: its next line is the last */
  struct denet_open_file *file;   /* owned; NULL: the writer cannot have one */
  struct denet_metadata metadata; /* until it is written */
  uint64_t lacks_texts_ns;        /* since when one is not known yet (DENET_LATER); 0: both are */
  bool has_exit_status, oom_killed;
  int exit_status;
  uint64_t ts_ms; /* of its last line */

  /* Its lines. */
  /* Of each counter what is to be added to that of the present members (mod 2^64): the part of
   * those that left. So no leaving makes a total jump, nor does the joining of a process to a
   * counter that is combined by maximum. */
  struct denet_values ended;
  struct denet_wait_stats extremes; /* the longest and shortest wait of members that left */
  struct denet_stack_counts stacks; /* since its last line */
  uint64_t due_ns;                  /* when its next sample is due, boot clock */
  bool is_due;
  uint64_t line_ns, line_cpu_ns; /* of its last line, all members together */
  double line_usage;
};

/* A file that the writer keeps open until a LAST or END line comes for its key (line.h). */
struct denet_open_file {
  struct denet_open_file *next;
  pid_t pid;
  uint64_t t0_ms;
  char instance[];
};

struct denet_trees {
  struct denet_tree *first;
  size_t member_count;
};

/* Makes a tree with the process as its root. It is owned by trees. 0 or -ENOMEM. */
int denet_tree_create(struct denet_trees *trees, struct denet_active_rule *active_rule,
                      struct denet_group *group, struct denet_process *process, bool is_start,
                      struct denet_tree **out_tree);

/* Returns the tree of this rule and group that the process was the root of and has left, if other
 * members are still in it; or NULL. */
struct denet_tree *denet_tree_find_headed(const struct denet_trees *trees,
                                          const struct denet_active_rule *active_rule,
                                          const struct denet_group *group,
                                          const struct denet_process *process);

/* Adds a process. is_back: it is the root, which had left the tree, and the totals go on from where
 * they were. 0 or -ENOMEM. */
int denet_tree_join(struct denet_trees *trees, struct denet_tree *tree,
                    struct denet_process *process, bool is_start, bool is_back);

/* Returns whether the member ended or leaves. */
bool denet_tree_is_ending(const struct denet_member *member);

/* Returns whether all members ended or leave. */
bool denet_tree_is_over(const struct denet_tree *tree);

/* Removes the members that ended or leave, all in one walk. Their totals stay in tree->ended. */
void denet_tree_remove_exited(struct denet_trees *trees, struct denet_tree *tree, uint64_t now_ns);

/* Frees a tree that has no members. */
void denet_tree_destroy(struct denet_trees *trees, struct denet_tree *tree);

/* Frees all trees and their members. */
void denet_trees_done(struct denet_trees *trees);

/* Returns the process's membership in a tree of this rule, or NULL. */
struct denet_member *denet_tree_find(const struct denet_process *process,
                                     const struct denet_active_rule *active_rule);

/* Stores the totals of all members: counters of those that left included, gauges of those present.
 */
void denet_tree_totals(const struct denet_tree *tree, struct denet_values *out_totals);
