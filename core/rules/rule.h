/* A match rule: conditions and what to do with the processes that meet them. Pure: it is given the
 * attributes of a process and reads nothing itself (but see denet_rule_pid_file). */
#pragma once

#include "core/rules/option.h"
#include "core/rules/pattern.h"
#include "core/rules/template.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a condition looks at. */
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

struct denet_condition {
  enum denet_field field;
  bool negated;
  struct denet_pattern *pattern; /* owned; NULL for a pid file */
  char *pid_file;                /* owned; NULL for the others */
  pid_t pid; /* what the pid file said last, set by the caller; 0: nothing usable, meets nothing */
  size_t first_capture; /* index of its regex's first group among the rule's captures */
};

/* How much is told of the time that its processes are off their CPUs. */
enum denet_off_cpu_mode {
  DENET_OFF_CPU_NONE,
  DENET_OFF_CPU_TIMES,
  DENET_OFF_CPU_STACKS,
  DENET_OFF_CPU_INHERITED, /* the rule does not say */
};

extern const char *const denet_off_cpu_modes[]; /* the words for the first three, then NULL */

struct denet_rule {
  char *name;     /* owned */
  char *instance; /* owned; template, see instance.h */
  struct denet_template_uses uses;
  struct denet_condition *conditions; /* owned */
  size_t condition_count;
  size_t groups; /* of all its regexes together */
  bool children;
  bool records;
  bool skip_kernel_threads;
  bool report_given; /* report holds the words of Report lines, not the default */
  unsigned max_instances;
  unsigned off_cpu;    /* enum denet_off_cpu_mode */
  bool forgoes_stacks; /* it asked for them, and they cannot be had */
  unsigned report;     /* denet_report bits */
  unsigned fields;     /* bit s: a condition or the template looks at denet_field s */
};

/* Gives a rule that does not say its mode, and makes its report agree with it. */
void denet_rule_inherit_off_cpu(struct denet_rule *rule, enum denet_off_cpu_mode inherited);

/* Has a rule that asks for stacks do with times. */
void denet_rule_forgo_stacks(struct denet_rule *rule);

/* What is known of a process. Text that could not be read is absent: it meets no condition, not
 * even a negated one; but a user without a name is still compared by the digits of uid. Only the
 * fields in rule->fields need be filled. Everything is borrowed and NUL-terminated.
 * command_line has spaces between the arguments; for a process without arguments it is "[comm]", as
 * in collectd's processes plugin. */
struct denet_attributes {
  pid_t pid;
  bool kernel_thread;
  struct denet_text field[DENET_FIELDS]; /* PID_FILE is unused; EXECUTABLE is the path */
  uint64_t uid;                          /* UINT64_MAX: could not be read */
  unsigned stalled; /* bit f: field f is not known yet (DENET_LATER) */
  unsigned gone;    /* bit f: field f cannot be read any more */
};

/* Starts a rule with the defaults of design.md (Children true, Records true, MaxInstances 100,
 * Report all, Instance "%{rule}"). 0, -EINVAL (empty name) or -ENOMEM. done() may follow in any
 * case. */
int denet_rule_init(struct denet_rule *rule, const char *name, struct denet_error *error);
void denet_rule_done(struct denet_rule *rule);

/* Takes one line of a <Rule> block: a condition or an option. A condition's value may start with
 * '!' (negated); Comm's may then have '~' (a regex). Returns as denet_option_set() does. The
 * sentences name the option and the position, not the rule. Report may be given with a list of
 * words in one setting ("cpu memory") or in several; the first one replaces "all". */
int denet_rule_set(struct denet_rule *rule, const struct denet_setting *setting,
                   struct denet_error *error);

/* Whether a line of a <Rule> block may have this key. */
bool denet_rule_knows(const char *key);

/* The two forms of collectd's processes plugin; they leave a rule that is ready to be finished,
 * with Children false. A process name is compared as the kernel keeps it, cut at 15 bytes. */
int denet_rule_init_process(struct denet_rule *rule, const char *name, struct denet_error *error);
int denet_rule_init_process_match(struct denet_rule *rule, const char *name, const char *regex,
                                  struct denet_error *error);

/* The rule that "LoadPlugin denet" alone stands for: every process but kernel threads by "%{exe}",
 * at most 50 instances, no records, no children. */
int denet_rule_init_default(struct denet_rule *rule, struct denet_error *error);

/* Checks the whole rule once all its lines are in, and fills uses and fields. 0, or -EINVAL: no
 * condition (every process would match), a bad Instance. */
int denet_rule_finish(struct denet_rule *rule, struct denet_error *error);

/* Whether the process meets the rule: of the conditions on one field that are not negated at
 * least one holds, every negated one holds, for every field. Fills out_captures on a match. */
bool denet_rule_matches(const struct denet_rule *rule, const struct denet_attributes *attributes,
                        struct denet_captures *out_captures);

/* The number in the first line of a pid file's text, white space around it allowed; what follows in
 * further lines is passed over (PostgreSQL's postmaster.pid has some). 0 when there is none or it
 * is out of range. */
pid_t denet_rule_parse_pid(struct denet_text text);

/* The systemd unit of a cgroup path: its innermost component that ends in .service, .scope,
 * .socket, .mount or .swap (systemd.unit(5)), without the '_' that systemd puts before a name that
 * would clash with a kernel file; absent when there is none. A view into path, but not
 * NUL-terminated. */
struct denet_text denet_rule_unit(struct denet_text cgroup_path);
