/* A match rule: conditions, and what denet does with the processes that meet them. It reads nothing
 * itself: the caller gives the attributes of a process, and the pid in a pid file. */
#pragma once

#include "core/rules/option.h"
#include "core/rules/pattern.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The attribute of a process that a condition compares. */
enum denet_field {
  DENET_FIELD_COMM,
  DENET_FIELD_COMMAND_LINE,
  DENET_FIELD_EXECUTABLE,
  DENET_FIELD_USER,
  DENET_FIELD_UNIT,
  DENET_FIELD_CGROUP,
  DENET_FIELD_PID_FILE,
  DENET_FIELDS
};

/* What else a template may use, as further bits. */
enum denet_template_use {
  DENET_USES_PID = 1 << DENET_FIELDS,
  DENET_USES_SLOT = 2 << DENET_FIELDS,
  DENET_USES_CAPTURE = 4 << DENET_FIELDS,
};

struct denet_condition {
  enum denet_field field;
  bool negated;
  struct denet_pattern *pattern; /* owned; NULL for a pid file */
  char *pid_file;                /* its path, owned; NULL for other fields */
  pid_t pid; /* in the pid file, set by the caller; 0: no usable one, no process meets it */
  size_t first_capture; /* index of the first group of its regex among the rule's captures */
};

/* How the time that processes spend off their CPUs is reported. */
enum denet_off_cpu_mode {
  DENET_OFF_CPU_NONE,
  DENET_OFF_CPU_TIMES,
  DENET_OFF_CPU_STACKS,
  DENET_OFF_CPU_INHERITED, /* the rule has no mode of its own */
};

extern const char *const denet_off_cpu_modes[]; /* the words for the first three, then NULL */

struct denet_rule {
  char *name;     /* owned */
  char *instance; /* owned; a template, see template.h */
  unsigned uses;  /* of the template: bit f: denet_field f; enum denet_template_use */
  struct denet_condition *conditions; /* owned */
  size_t condition_count;
  size_t groups; /* regex groups of all conditions that are not negated */
  bool children;
  bool records;
  bool skip_kernel_threads;
  bool report_given; /* report holds the words of Report lines, not the default */
  unsigned max_instances;
  unsigned off_cpu;    /* enum denet_off_cpu_mode */
  bool forgoes_stacks; /* stacks were asked for and are not available */
  unsigned report;     /* denet_report bits */
  unsigned fields;     /* bit f: a condition or the template needs denet_field f */
};

/* Gives a rule without a mode the inherited one, and adapts its report to the mode. */
void denet_rule_inherit_off_cpu(struct denet_rule *rule, enum denet_off_cpu_mode inherited);

/* Replaces stacks by times. */
void denet_rule_forgo_stacks(struct denet_rule *rule);

/* The attributes of a process. A text that could not be read is absent: it meets no condition, not
 * even a negated one; a user without a name is compared by the digits of uid. Only the fields in
 * rule->fields need be filled. Everything is borrowed and NUL-terminated. The command line has
 * spaces between the arguments; without arguments it is "[comm]", as in collectd's processes
 * plugin. */
struct denet_attributes {
  pid_t pid;
  bool kernel_thread;
  struct denet_text field[DENET_FIELDS]; /* PID_FILE is unused; EXECUTABLE is the path */
  uint64_t uid;                          /* UINT64_MAX: could not be read */
  unsigned stalled;                      /* bit f: field f is not known yet (DENET_LATER) */
  unsigned gone;                         /* bit f: field f cannot be read any more */
};

/* Starts a rule with the defaults (Children true, Records true, MaxInstances 100, Report "all",
 * Instance "%{rule}"). 0, -EINVAL (empty name) or -ENOMEM, with a sentence. done() may follow in
 * any case. */
int denet_rule_init(struct denet_rule *rule, const char *name, struct denet_error *error);
void denet_rule_done(struct denet_rule *rule);

/* Takes one line of a <Rule> block: a condition or an option. A condition's value may start with
 * '!' (negated), and Comm's then with '~' (a regex). Returns as denet_option_set() does; error
 * names the option and the position, not the rule, and may hold a warning though the result is 0.
 * Report takes several words in one setting ("cpu memory") or in several settings; the first one
 * replaces "all". */
int denet_rule_set(struct denet_rule *rule, const struct denet_setting *setting,
                   struct denet_error *error);

/* The two forms of collectd's processes plugin: ProcessMatch, or Process if regex is NULL. Starts a
 * rule with Children false and one condition; more lines may follow. A process name is compared as
 * the kernel keeps it, cut at 15 bytes: then error holds a warning though the result is 0. */
int denet_rule_init_process(struct denet_rule *rule, const char *name, const char *regex,
                            struct denet_error *error);

/* The rule of a configuration without rules: every process except kernel threads, by "%{exe}", at
 * most 50 instances, no records, no children. */
int denet_rule_init_default(struct denet_rule *rule, struct denet_error *error);

/* Checks the whole rule once all its lines are in, and fills uses and fields. 0, or -EINVAL with a
 * sentence: no condition (every process would match), a bad Instance. */
int denet_rule_finish(struct denet_rule *rule, struct denet_error *error);

/* Returns whether the process meets the rule: for each field, one of its conditions holds, and all
 * of its negated conditions hold. Fills out_captures on a match. */
bool denet_rule_matches(const struct denet_rule *rule, const struct denet_attributes *attributes,
                        struct denet_captures *out_captures);

/* Returns the systemd unit of a cgroup path: its innermost component that ends in .service, .scope,
 * .socket, .mount or .swap (systemd.unit(5)), without the '_' that systemd puts before a name that
 * is also the name of a kernel file. Absent if there is none. A view into path, without a NUL. */
struct denet_text denet_rule_unit(struct denet_text cgroup_path);
