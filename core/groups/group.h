/* A group: all processes of one instance name. Its counters never fall, whatever its members do. */
#pragma once

#include "core/model/process.h"
#include "core/rules/rule.h"
#include "core/util/name.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_group {
  denet_name name; /* safe; no other group has it, even if '.' and '_' are taken for the same */
  char *raw;       /* the expansion of the template; owned */
  uint64_t raw_hash;
  const struct denet_rule *rule; /* of its first member; borrowed */
  unsigned report;               /* denet_report bits */
  bool is_overflow;              /* "<rule>-_other" */
  unsigned members;
  uint64_t empty_since_ns;

  struct denet_metric_set had; /* counters that some member had */
  struct denet_values values;  /* counters: sums of all increases; gauges: of the present members */
  uint64_t starts, exits;      /* members that joined after the first pass; members that left */

  double cpu_cores;     /* CPU use of the members at their last samples */
  double ended_cores;   /* CPU use of members that ended since, from their last samples on */
  double cpu_cores_max; /* the highest sum of the two since the last report */
  uint64_t peak[DENET_DERIVEDS]; /* the highest sample since then, for each row that is a peak */

  uint64_t reported_ns; /* when it was reported last, boot clock; 0: never */
  uint64_t reported_cpu_ns, reported_run_delay_ns; /* its counters then */
};

/* The values of a group for a face. */
struct denet_group_report {
  const struct denet_group *group; /* borrowed; has the values of the metrics */
  unsigned derived_present;        /* bit d: derived[d] is known */
  double derived[DENET_DERIVEDS];
};

struct denet_groups {
  struct denet_group **groups; /* owned */
  size_t count, capacity;
};

void denet_groups_done(struct denet_groups *groups);

/* Stores the group that raw names, a new one if there is none. If the rule has its MaxInstances, an
 * empty group makes room, the longest empty first; without one *out_group is "<rule>-_other". 0 or
 * -ENOMEM. */
int denet_groups_get(struct denet_groups *groups, const struct denet_rule *rule,
                     struct denet_text raw, struct denet_group **out_group);

/* Returns whether raw is the name that it was made for. */
bool denet_group_is_named(const struct denet_group *group, struct denet_text raw);

/* Removes the groups that have had no member for DENET_GROUP_LINGER_NS and were reported since. A
 * group named by a pid does not linger: that pid never comes back. A group whose name holds nothing
 * of a process stays. */
void denet_groups_expire(struct denet_groups *groups, uint64_t now_ns);

/* The series of a cron job that runs every five minutes goes on. */
#define DENET_GROUP_LINGER_NS UINT64_C(330000000000)

/* Counts a process that becomes a member, or stops being one. is_start: it was seen after the first
 * pass. */
void denet_group_join(struct denet_group *group, bool is_start);
void denet_group_leave(struct denet_group *group, uint64_t now_ns);

/* Adds what the counters of a member gained to the group's. */
void denet_group_add(struct denet_group *group, const struct denet_values *delta);

/* Make the gauges anew from all members: begin, show each, end. */
void denet_group_gauges_begin(struct denet_group *group);
void denet_group_gauges_show(struct denet_group *group, const struct denet_process *process);
void denet_group_gauges_end(struct denet_group *group);

/* Fills a report for the time since the last one, and begins the next. The first report has no
 * rates. */
void denet_group_take_report(struct denet_group *group, uint64_t now_ns,
                             struct denet_group_report *out_report);
