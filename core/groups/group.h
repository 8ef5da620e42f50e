/* A group: all processes of one instance name. Its counters only rise, whatever its members do. */
#pragma once

#include "core/model/process.h"
#include "core/rules/rule.h"
#include "core/util/name.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_group {
  denet_name name; /* safe; unlike every other group's, '.' and '_' taken for the same */
  char *raw;       /* what the template gave; owned */
  uint64_t raw_hash;
  const struct denet_rule *rule; /* that made it; borrowed */
  unsigned report;               /* denet_report bits */
  bool is_fixed;    /* stays while it has no members: its name does not depend on a process */
  bool is_overflow; /* "<rule>-_other" */
  unsigned members;
  uint64_t empty_since_ns;

  struct denet_metric_set had; /* metrics that some member had */
  struct denet_values values;  /* counters: sums of all increases; gauges: of the members */
  uint64_t starts, exits;      /* members that came after the first pass; that went */

  double ended_cores;   /* of members that ended, over the time since they were sampled last */
  double cpu_cores;     /* of the members at their last samples; highest: */
  double cpu_cores_max; /* since the last report */
  uint64_t
      peak[DENET_DERIVEDS]; /* highest samples since the last report, of the rows that are peaks */

  uint64_t reported_ns; /* when it was reported last, 0 if never; and then: */
  uint64_t reported_cpu_ns, reported_run_delay_ns;
};

/* What a group tells collectd; see metrics.def for what the derived values are. */
struct denet_group_report {
  const struct denet_group *group;
  unsigned derived_present; /* bit d: derived[d] is known */
  double derived[DENET_DERIVEDS];
};

struct denet_groups {
  struct denet_group **groups; /* owned */
  size_t count, capacity;
};

void denet_groups_done(struct denet_groups *groups);

/* The group that raw names, made if need be. A rule that has its MaxInstances gets an empty group's
 * place, the longest empty first, or else "<rule>-_other". 0 or -ENOMEM. */
int denet_groups_get(struct denet_groups *groups, const struct denet_rule *rule,
                     struct denet_text raw, struct denet_group **out_group);

/* Whether the rule has one group whatever it matches: its template names nothing of a process. */
bool denet_group_is_fixed(const struct denet_rule *rule);

/* Ends the groups that have had no member for DENET_GROUP_LINGER_NS (at once, those named by a pid,
 * which never comes back) and were reported since. */
void denet_groups_expire(struct denet_groups *groups, uint64_t now_ns);

/* A cron job of every minute, or of every five, keeps its series. */
#define DENET_GROUP_LINGER_NS UINT64_C(330000000000)

/* A process becomes a member or stops being one. is_start: it came after the first pass. */
void denet_group_join(struct denet_group *group, bool is_start);
void denet_group_leave(struct denet_group *group, uint64_t now_ns);

/* Adds what the counters of a member gained. */
void denet_group_add(struct denet_group *group, const struct denet_values *delta);

/* Gauges are made anew from all members: begin, show each, end. */
void denet_group_gauges_begin(struct denet_group *group);
void denet_group_gauges_show(struct denet_group *group, const struct denet_process *process);
void denet_group_gauges_end(struct denet_group *group);

/* Fills report for the time since the last one, and starts the next. The rates are absent the first
 * time. */
void denet_group_take_report(struct denet_group *group, uint64_t now_ns,
                             struct denet_group_report *out_report);
