/* A tree: what one file is about. The topmost process that a rule matched and, with Children, all
 * that descend from it, also after their parents are gone. */
#pragma once

#include "core/groups/group.h"
#include "core/groups/slots.h"
#include "core/model/process.h"
#include "core/model/stack_counts.h"
#include "core/model/wait_stats.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_tree;

/* A rule with what it owns while it runs. */
struct denet_active_rule {
  struct denet_rule rule;
  struct denet_slots slots;
  struct denet_metric_set wanted;            /* what is needed of its processes */
  const struct denet_off_cpu_losses *losses; /* of the whole host; borrowed, NULL: not known */
};

/* One process in one tree. */
struct denet_member {
  struct denet_process *process;
  struct denet_tree *tree;
  struct denet_member *next_of_process;
  struct denet_member *previous, *next; /* in the tree, in the order they came */
  bool counts;          /* for the group: a process in two trees of a group counts once */
  bool skips_sample;    /* joined after its process was sampled: the next increase began before */
  bool leaves;          /* its process does not meet the rule any more */
  uint64_t line_ns;     /* when it was in a line last, */
  uint64_t line_cpu_ns; /* and its CPU time (of sum) then */
  double line_usage;    /* the CPU use that it had there */
};

struct denet_tree {
  struct denet_active_rule *active_rule; /* borrowed */
  struct denet_group *group;             /* borrowed; outlives the tree's membership */
  struct denet_tree *previous, *next;    /* in the trees */
  struct denet_member *first, *last;
  struct denet_member *root; /* NULL once it is gone */
  bool has_slot;
  unsigned slot;

  /* Its file. */
  pid_t pid; /* of the root */
  pid_t parent_pid;
  uint64_t born_ns, t0_ms;
  uint64_t young_since_ns; /* what its interval is counted from */
  bool is_silent;      /* its root heads another tree of the group, and they would share one file */
  bool wants_metadata; /* the next line is headed by a metadata line */
  bool is_over;        /* all its processes are ending: the next line is the last */
  struct denet_open_file *file;              /* owned; NULL: the writer cannot have one */
  struct denet_buffer arguments, executable; /* of the root, until the metadata is written */
  uint64_t lacks_texts_ns; /* since when one is not known yet (DENET_LATER); 0: both are */
  bool has_uid;
  uid_t uid;
  bool has_exit_status, oom_killed;
  int exit_status;
  uint64_t ts_ms; /* of its last line */

  /* Its lines. */
  /* Sums of the members that are gone. For a counter that is combined by its maximum, what the
   * maximum of those that are there lacks (mod 2^64), so that no coming or going makes it jump. */
  struct denet_values ended;
  struct denet_wait_stats extremes; /* of members that are gone: longest and shortest */
  struct denet_stack_counts stacks; /* since its last line */
  uint64_t due_ns;                  /* when it is to be sampled next */
  bool is_due;
  uint64_t line_ns, line_cpu_ns; /* at the last line, of all members together */
  double line_usage;
};

/* A file that the writer keeps open until it hears that it is finished, by its key (line.h). */
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

/* Starts a tree of process and makes it the root. The tree is owned by the trees. 0 or -ENOMEM. */
int denet_tree_create(struct denet_trees *trees, struct denet_active_rule *active_rule,
                      struct denet_group *group, struct denet_process *process, bool is_start,
                      struct denet_tree **out_tree);

/* The tree of this rule and group that the process headed before and has left since, while others
 * live on in it; or NULL. */
struct denet_tree *denet_tree_find_headed(const struct denet_trees *trees,
                                          const struct denet_active_rule *active_rule,
                                          const struct denet_group *group,
                                          const struct denet_process *process);

/* Adds a process. 0 or -ENOMEM. */
int denet_tree_join(struct denet_trees *trees, struct denet_tree *tree,
                    struct denet_process *process, bool is_start);

/* Adds a process that had left the tree; its sums go on where they were. 0 or -ENOMEM. */
int denet_tree_rejoin(struct denet_trees *trees, struct denet_tree *tree,
                      struct denet_process *process, bool is_start);

/* Whether the member's part in the tree is over: it ended or leaves. */
bool denet_tree_is_ending(const struct denet_member *member);

/* Whether that is so of all its members. */
bool denet_tree_is_over(const struct denet_tree *tree);

/* Removes the members that are ending, in one walk however many they are; what they had so far
 * stays in tree->ended. */
void denet_tree_remove_exited(struct denet_trees *trees, struct denet_tree *tree, uint64_t now_ns);

/* Ends a tree without members and frees it. */
void denet_tree_destroy(struct denet_trees *trees, struct denet_tree *tree);

/* Ends all of them. */
void denet_trees_done(struct denet_trees *trees);

/* The process's place in a tree of this rule, or NULL. */
struct denet_member *denet_tree_find(const struct denet_process *process,
                                     const struct denet_active_rule *active_rule);

/* The sums over what lives and what has ended: counters from where each one's sum begins (enum
 * denet_baseline), gauges of what lives. */
void denet_tree_totals(const struct denet_tree *tree, struct denet_values *out_totals);
