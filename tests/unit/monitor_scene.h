/* A made-up host whose clock only moves when it is told to, for ticks over it. */
#pragma once

#include "core/monitor/monitor.h"

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define PROCESSES 4
#define ALL_TEXTS (1u << DENET_TEXT_ARGUMENTS | 1u << DENET_TEXT_EXECUTABLE)

struct fake_process {
  pid_t pid, parent;
  const char *name; /* NULL: there is none; also its command line */
  uint64_t born_ns, exec_id, cpu_ns;
};

/* What became of one: the next scan tells of it, and then it is not there any more. */
struct fake_end {
  bool is_over;
  uint64_t ended_ns; /* 0: it is not known when */
  int exit_status;
  bool oom_killed;
};

/* The host, its source and what the monitor makes of it. One, as the clock is. */
extern struct scene {
  struct fake_process processes[PROCESSES]; /* by ascending pid; 0: its end has been told */
  struct fake_end ends[PROCESSES];          /* of the process with the same index */
  uint64_t now_ns, scan_ns, describe_ns;    /* the last two: what these cost */
  size_t argument_bytes;                    /* 0: a command line is the name */
  size_t metadata_bytes;                    /* of all the lines */
  unsigned held;                            /* bit k: texts of that kind are not to be had yet */
  bool is_lost;                             /* nor will they be */
  pid_t zombie;                             /* that process is one, and stays */
  struct denet_monitor *monitor;
  int refusals[4];            /* by the kind of a line: what the writer says, 0: takes it */
  unsigned members, lines[4]; /* by kind: taken */
  uint64_t group_cpu_ns, starts, exits, lost;
  double cpu_percent_max;
  char last_line[2048], last_metadata[2048];
} scene;

/* A rule with one condition, whose groups are named "x", or by another template. */
struct denet_rule scene_rule(const char *name, const char *key, const char *value);
struct denet_rule scene_rule_for(const char *name, const char *key, const char *value,
                                 const char *instance_template);

/* At 1000 s, without processes; a monitor at BaseInterval 0.1 and MaxInterval 1, or at another
 * interval. The rules are taken over. */
void scene_begin(struct denet_rule *rules, size_t count);
void scene_begin_at(struct denet_interval interval, struct denet_rule *rules, size_t count);

/* A tick of everything, after which so much time goes by. */
void scene_tick(uint64_t then_ns);

/* Has the monitor report into scene. */
void scene_report(void);

/* One more tick and a report; the monitor's end. */
void scene_end(void);

void scene_expect_lines(unsigned metadata, unsigned samples, unsigned last);
void scene_expect_counts(uint64_t starts, uint64_t exits, unsigned members);
void scene_expect_in_last_line(const char *text);
