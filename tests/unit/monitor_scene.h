/* An invented host for ticks over it: its clock moves only when a test says so. */
#pragma once

#include "core/monitor/monitor.h"

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define PROCESSES 4
#define ALL_TEXTS (1u << DENET_TEXT_ARGUMENTS | 1u << DENET_TEXT_EXECUTABLE)

struct fake_process {
  pid_t pid, parent;
  const char *name; /* also its command line; NULL: there is no such process */
  uint64_t born_ns, exec_id, cpu_ns;
};

/* How a process ends. The next scan reports it, and then the process is gone. */
struct fake_end {
  bool is_over;
  uint64_t ended_ns; /* 0: not known */
  int exit_status;
  bool oom_killed;
};

/* The host, its source and what the monitor makes of it. */
extern struct scene {
  struct fake_process processes[PROCESSES]; /* by ascending pid; 0: its end has been reported */
  struct fake_end ends[PROCESSES];          /* of the process with the same index */
  uint64_t now_ns, scan_ns, read_ns;        /* the last two: the time that a scan, a read takes */
  uint64_t calendar_ms;                     /* Unix ms at the boot */
  size_t argument_bytes;                    /* 0: a command line is the name */
  size_t metadata_bytes;                    /* of all lines */
  unsigned stalled;                         /* bit k: texts of kind k are not available yet */
  bool are_gone;                            /* nor will they be */
  bool are_forks;                           /* no process has exec'd */
  pid_t zombie;                             /* this process is one, and stays */
  struct denet_monitor *monitor;
  unsigned members, lines[4]; /* by kind: lines that the sink has taken */
  uint64_t group_cpu_ns, starts, exits, lost;
  double cpu_percent_max;
  char last_line[2048], last_metadata[2048], last_sentence[512];
  unsigned sentences; /* in the log */
} scene;

/* The environment of that host, without a /proc. The name of user 7 is user7. */
extern const struct denet_env scene_env;

/* Returns a rule with one condition whose groups are named "x", or by another template. */
struct denet_rule scene_rule(const char *name, const char *key, const char *value);
struct denet_rule scene_rule_for(const char *name, const char *key, const char *value,
                                 const char *instance_template);

/* Starts at 1000 s, without processes, a monitor with BaseInterval 0.1 and MaxInterval 1, or with
 * another interval, and takes the rules over. */
void scene_begin(struct denet_rule *rules, size_t count);
void scene_begin_at(struct denet_interval interval, struct denet_rule *rules, size_t count);

/* Likewise, with one rule that matches "app" by the condition key. */
void scene_begin_with(const char *key);

/* Runs a tick of everything, after which then_ns pass. */
void scene_tick(uint64_t then_ns);

/* Takes a report into scene. */
void scene_report(void);

/* Runs one more tick, takes a report and frees the monitor. */
void scene_end(void);

void scene_expect_lines(unsigned metadata, unsigned samples, unsigned last);
void scene_expect_counts(uint64_t starts, uint64_t exits, unsigned members);
void scene_expect_in_last_line(const char *text);
