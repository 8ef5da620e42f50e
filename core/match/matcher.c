#include "core/match/matcher.h"

#include "core/match/pid_file.h"
#include "core/rules/template.h"
#include "core/util/arguments.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>

#define RESOLVE_NS UINT64_C(500000000) /* of a tick, at most */

/* Ages at which the rules match a young process again: a daemon gives itself a new title or another
 * user shortly after its start, and the kernel reports neither. */
static const uint64_t rematch_ages_ns[] = {UINT64_C(1000000000), UINT64_C(10000000000)};
#define REMATCHES DENET_COUNT_OF(rematch_ages_ns)

/* The longest time between the fork of a process and its exec that counts as one start. */
#define LAUNCH_NS UINT64_C(2000000000)

/* A pid file that names no process is logged after so long: its program may be writing it, or be
 * about to remove it. */
#define PROBLEM_NS UINT64_C(1000000000)
/* A process that is younger than its pid file by more is not the one that wrote it. Start times and
 * times of files are exact to 10 ms. */
#define YOUNGER_MS 1000

#define PARENTS_MOST 1000 /* resolved by recursion, each before its child */

/* Fields that change without an event of the kernel. */
#define SILENT_FIELDS                                                                              \
  (1u << DENET_FIELD_COMMAND_LINE | 1u << DENET_FIELD_USER | DENET_CGROUP_FIELDS)

void denet_matcher_init(struct denet_matcher *matcher) {
  matcher->reader =
      (struct denet_attributes_reader){.source = matcher->source, .env = matcher->env};
  matcher->metadata_reader = matcher->reader;
  matcher->metadata_reader.takes_numbers =
      true; /* a line must not keep a process out of its group */
  matcher->fields = 0;
  for (size_t i = 0; i < matcher->active_rule_count; i++)
    matcher->fields |= matcher->active_rules[i].rule.fields;
}

void denet_matcher_done(struct denet_matcher *matcher) {
  denet_attributes_reader_done(&matcher->reader);
  denet_attributes_reader_done(&matcher->metadata_reader);
  denet_buffer_done(&matcher->instance);
  denet_metadata_done(&matcher->metadata);
}

/* --- Metadata of a tree --- */

/* Copies the field, of several names the first. */
static int copy_field(struct denet_text field, struct denet_buffer *out) {
  denet_buffer_clear(out);
  return field.bytes ? denet_buffer_append_string(out, field.bytes) : 0;
}

/* Reads the user, the cgroup and the unit. The line does not wait for a cgroup that is gone: a
 * kernel without cgroups has none. 0 or a transient error. */
static int read_owner(struct denet_matcher *matcher, struct denet_process *process) {
  struct denet_metadata *metadata = &matcher->metadata;
  struct denet_attributes_reader *reader = &matcher->metadata_reader;
  struct denet_attributes user = {.uid = UINT64_MAX}, cgroup = {0};
  int error = denet_attributes_read(reader, process, 1u << DENET_FIELD_USER, &user);
  metadata->has_uid = user.uid != UINT64_MAX;
  metadata->uid = (uid_t)user.uid;
  if (!denet_error_is_transient(error))
    error = denet_attributes_read(reader, process, DENET_CGROUP_FIELDS, &cgroup);
  matcher->metadata_stalled = cgroup.stalled;
  if (denet_error_is_transient(error))
    return error;
  error = copy_field(user.field[DENET_FIELD_USER], &metadata->user);
  if (!error)
    error = copy_field(cgroup.field[DENET_FIELD_UNIT], &metadata->unit);
  return error ? error : copy_field(cgroup.field[DENET_FIELD_CGROUP], &metadata->cgroup);
}

/* Returns why the executable is empty, after this outcome of reading it; NULL if it is not. */
static const char *explain_executable(const struct denet_process *process, int outcome,
                                      const struct denet_buffer *executable) {
  if (executable->length)
    return NULL;
  if (process->kernel_thread)
    return "a kernel thread has no executable";
  if (process->ended)
    return "the process ended before its executable could be read";
  return outcome == DENET_LATER ? "the process keeps its executable from being read"
                                : "the kernel shows no executable of the process";
}

/* Reads the texts of the metadata line, before the tree is made: the process may soon be gone. A
 * text that is not available is empty. 0 or a transient error: then the next tick tries again. */
static int read_metadata(struct denet_matcher *matcher, struct denet_process *process) {
  struct denet_metadata *metadata = &matcher->metadata;
  struct denet_buffer *const texts[] = {[DENET_TEXT_EXECUTABLE] = &metadata->executable,
                                        [DENET_TEXT_ARGUMENTS] = &metadata->arguments};
  int outcome = read_owner(matcher, process);
  for (unsigned kind = 0; kind < DENET_COUNT_OF(texts); kind++) {
    if (denet_error_is_transient(outcome))
      return outcome;
    outcome = denet_source_read_text(matcher->source, process, kind, texts[kind]);
    if (outcome)
      denet_buffer_clear(texts[kind]);
    if (kind == DENET_TEXT_EXECUTABLE)
      metadata->no_executable = explain_executable(process, outcome, texts[kind]);
    /* DENET_GONE of a process that is there: it is in the middle of its exec or its exit. */
    matcher->metadata_stalled |=
        outcome == DENET_LATER || (outcome == DENET_GONE && !process->ended);
  }
  denet_arguments_shorten(&metadata->arguments);
  matcher->text_stalled |= matcher->metadata_stalled;
  return denet_error_is_transient(outcome) ? outcome : 0;
}

/* Gives the tree what read_metadata() has read. */
static void give_metadata(struct denet_matcher *matcher, struct denet_tree *tree) {
  if (tree->lacks_texts_ns && matcher->metadata_stalled)
    return; /* the metadata line that the file has says no less */
  tree->lacks_texts_ns = matcher->metadata_stalled ? matcher->now_ns : 0;
  tree->wants_metadata = true;
  tree->metadata = DENET_EXCHANGE(matcher->metadata, tree->metadata);
}

/* --- Entering and leaving trees --- */

/* Returns when the host was booted, Unix ms, as the wall clock is set now. */
static uint64_t find_boot_ms(const struct denet_env *env) {
  uint64_t unix_ms = env->unix_ms(env->context);
  return unix_ms - env->boot_ns(env->context) / 1000000;
}

/* Returns the start of the process, Unix ms. It is rounded to the 10 ms of start times: the two
 * clocks are not read at one instant, and every run must find the same number. */
static uint64_t find_start_ms(const struct denet_env *env, const struct denet_process *process) {
  return (find_boot_ms(env) + 5) / 10 * 10 + process->start_ticks * env->tick_ns / 1000000;
}

/* Returns whether joining a group is a start: the process was born under denet or came to match
 * later. */
static bool is_start(const struct denet_matcher *matcher, const struct denet_process *process) {
  return process->born_under_watch || process->seen_ns != matcher->now_ns;
}

/* The process has got into a tree. If it is old, or was born before the last tick and could not be
 * read then, its children may have been resolved before it. */
static void note_growth(struct denet_matcher *matcher, const struct denet_process *process) {
  matcher->has_grown |=
      !process->is_new || process->born_ns + matcher->env->tick_ns < matcher->last_ns;
}

/* The process heads a tree: the one that it has left, if others live on in it, or a new one. */
static int enter_tree(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      struct denet_process *process, struct denet_group *group,
                      struct denet_tree **out_tree) {
  bool starts = is_start(matcher, process);
  struct denet_tree *tree = denet_tree_find_headed(matcher->trees, active_rule, group, process);
  bool is_back = tree != NULL;
  /* The old tree's file has its metadata, unless the process runs another program now. */
  bool needs_metadata =
      matcher->wants_metadata && active_rule->rule.records && (!is_back || process->execd);
  int error = needs_metadata ? read_metadata(matcher, process) : 0;
  if (!error)
    error = is_back ? denet_tree_join(matcher->trees, tree, process, starts, true)
                    : denet_tree_create(matcher->trees, active_rule, group, process, starts, &tree);
  if (error)
    return error;
  if (!is_back)
    tree->t0_ms = find_start_ms(matcher->env, process);
  if (needs_metadata)
    give_metadata(matcher, tree);
  *out_tree = tree;
  return 0;
}

/* Starts a tree of a process that the rule matches, in the group of its instance. */
static int start_tree(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      struct denet_process *process, const struct denet_attributes *attributes,
                      const struct denet_captures *captures) {
  struct denet_group *group;
  struct denet_tree *tree;
  unsigned slot = 0;
  bool has_slot = active_rule->rule.uses & DENET_USES_SLOT;
  int error = has_slot ? denet_slots_take(&active_rule->slots, &slot) : 0;
  if (error)
    return error;
  denet_buffer_clear(&matcher->instance);
  error = denet_template_expand(&active_rule->rule, attributes, captures, slot, &matcher->instance);
  if (!error)
    error = denet_groups_get(matcher->groups, &active_rule->rule,
                             denet_buffer_text(&matcher->instance), &group);
  if (!error)
    error = enter_tree(matcher, active_rule, process, group, &tree);
  /* The slot of a process that has ended is free for the next one at once. */
  bool keeps_slot = has_slot && !error && !tree->has_slot && !process->ended;
  if (has_slot && !keeps_slot)
    denet_slots_give_back(&active_rule->slots, slot);
  if (error)
    return error;
  if (keeps_slot) {
    tree->has_slot = true;
    tree->slot = slot;
  }
  tree->due_ns = matcher->now_ns;
  note_growth(matcher, process);
  return 0;
}

/* Matches the root of a tree again: it stays, heads a tree of another instance, or leaves. */
static int match_root(struct denet_matcher *matcher, struct denet_member *member,
                      const struct denet_attributes *attributes) {
  struct denet_captures captures = {0};
  struct denet_tree *tree = member->tree;
  struct denet_process *process = member->process;
  struct denet_active_rule *active_rule = tree->active_rule;
  if (!denet_rule_matches(&active_rule->rule, attributes, &captures)) {
    member->leaves = true;
    return 0;
  }
  denet_buffer_clear(&matcher->instance);
  int error = denet_template_expand(&active_rule->rule, attributes, &captures, tree->slot,
                                    &matcher->instance);
  if (error)
    return error;
  struct denet_text raw = denet_buffer_text(&matcher->instance);
  if (!denet_group_is_named(tree->group, raw) && !tree->group->is_overflow) {
    error = start_tree(matcher, active_rule, process, attributes, &captures);
    member->leaves = !error;
    return error;
  }
  bool has_metadata = matcher->wants_metadata && active_rule->rule.records;
  if (!has_metadata || (!process->execd && !tree->lacks_texts_ns))
    return 0;
  error = read_metadata(matcher, process);
  if (error)
    return error;
  /* The end of a process leaves fewer texts than could be read while it lived. */
  if (tree->lacks_texts_ns && process->ended && !matcher->metadata.arguments.length)
    tree->lacks_texts_ns = 0;
  else
    give_metadata(matcher, tree);
  return 0;
}

/* Lets the process join, keep or leave a tree of the rule. attributes is NULL if the rule is not to
 * be matched now: then the process only follows its parent. */
static int apply_rule(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      struct denet_process *process, const struct denet_process *parent,
                      const struct denet_attributes *attributes) {
  struct denet_member *member = denet_tree_find(process, active_rule);
  if (member && !member->leaves) {
    bool is_root = member == member->tree->root;
    return is_root && attributes ? match_root(matcher, member, attributes) : 0;
  }
  struct denet_member *above =
      parent && active_rule->rule.children ? denet_tree_find(parent, active_rule) : NULL;
  if (above && !above->leaves) {
    note_growth(matcher, process);
    return denet_tree_join(matcher->trees, above->tree, process, is_start(matcher, process), false);
  }
  struct denet_captures captures = {0};
  if (!attributes || !denet_rule_matches(&active_rule->rule, attributes, &captures))
    return 0;
  return start_tree(matcher, active_rule, process, attributes, &captures);
}

/* Applies all rules; attributes is NULL if they are not to be matched now. The process counts as
 * missed if it ended and a rule could not be decided, or if a stalled text made its match late. A
 * process that exec'd and has no texts does not: the source has counted the loss of its exec. */
static int apply_rules(struct denet_matcher *matcher, struct denet_process *process,
                       const struct denet_process *parent,
                       const struct denet_attributes *attributes) {
  unsigned stalled = attributes ? attributes->stalled : 0;
  unsigned absent = stalled | (attributes ? attributes->gone : 0);
  bool is_fork = process->never_execd && !process->kernel_thread;
  unsigned undecided = process->text_stalled || is_fork ? absent : stalled;
  bool was_missed = false;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    struct denet_active_rule *active_rule = &matcher->active_rules[i];
    bool is_decided = attributes && !(active_rule->rule.fields & absent);
    bool was_member = denet_tree_find(process, active_rule) != NULL;
    int error = apply_rule(matcher, active_rule, process, parent, is_decided ? attributes : NULL);
    if (error)
      return error;
    bool is_member = denet_tree_find(process, active_rule) != NULL;
    was_missed |= process->text_stalled && is_decided && is_member && !was_member;
    was_missed |= process->ended && active_rule->rule.fields & undecided && !is_member;
  }
  matcher->missed += was_missed;
  return 0;
}

/* --- Resolving processes --- */

/* Initializes a process that is seen for the first time. */
static void init_new(const struct denet_matcher *matcher, struct denet_process *process) {
  process->seen_ns = matcher->now_ns;
  /* A process that the first tick sees was there before; start times are exact to 10 ms only. */
  process->born_under_watch = matcher->now_ns != matcher->first_ns &&
                              process->born_ns + matcher->env->tick_ns > matcher->first_ns;
  process->baseline = process->born_under_watch ? DENET_BASELINE_BIRTH : matcher->baseline;
  uint64_t age_ns = matcher->now_ns > process->born_ns ? matcher->now_ns - process->born_ns : 0;
  bool is_rematched = matcher->fields & SILENT_FIELDS;
  while (process->match_attempts < REMATCHES &&
         (!is_rematched || age_ns >= rematch_ages_ns[process->match_attempts]))
    process->match_attempts++;
}

/* A process that is born under watch counts from its birth if its first completed match accepts it.
 * Its fork and its exec are one start, even if a tick comes between the two. Any other match is a
 * late one: the process counts from that match on. */
static void choose_baseline(const struct denet_matcher *matcher, struct denet_process *process) {
  if (process->members)
    return;
  uint64_t known_ns = matcher->now_ns - process->seen_ns;
  bool has_counted = /* for a group that it has left */
      process->usage && !denet_metric_set_is_empty(&process->usage->counted);
  bool is_launching =
      process->execd && known_ns <= LAUNCH_NS && !process->text_stalled && !has_counted;
  bool is_birth = process->born_under_watch && (!process->was_matched || is_launching);
  process->baseline = is_birth ? DENET_BASELINE_BIRTH : matcher->baseline;
}

static bool is_time_to_rematch(const struct denet_matcher *matcher, struct denet_process *process) {
  if (process->match_attempts == REMATCHES || process->no_mm ||
      matcher->now_ns < process->born_ns + rematch_ages_ns[process->match_attempts])
    return false;
  process->match_attempts++;
  return true;
}

static int resolve(struct denet_matcher *matcher, struct denet_process *process);

/* Resolves the parent of the process, and then lets the trees of the parent and the rules take the
 * process. */
/* NOLINTBEGIN(misc-no-recursion): to a depth of PARENTS_MOST. */
static int match(struct denet_matcher *matcher, struct denet_process *process, bool is_unknown) {
  /* An ended process counts only if it was born, or exec'd, and ended since the last tick. */
  if (process->ended && !(is_unknown ? process->born_under_watch : process->execd)) {
    process->changed = process->execd = false;
    return 0;
  }
  int error = 0;
  struct denet_process *parent = denet_process_table_find_parent(matcher->table, process);
  if (parent && matcher->depth < PARENTS_MOST) {
    matcher->depth++;
    error = resolve(matcher, parent);
    matcher->depth--;
  }
  if (error)
    return error;

  struct denet_attributes attributes = {0};
  bool is_matched = process->changed || is_time_to_rematch(matcher, process);
  if (is_matched)
    error = denet_attributes_read(&matcher->reader, process, matcher->fields, &attributes);
  if (error)
    return error == DENET_GONE ? 0 : error;
  matcher->text_stalled = attributes.stalled;
  error = apply_rules(matcher, process, parent, is_matched ? &attributes : NULL);
  process->was_matched |= is_matched && !error;
  if (!error && is_matched)
    process->text_stalled = attributes.stalled;
  /* An ended process is matched once: it would count again, and its texts are gone. */
  process->changed = error || (matcher->text_stalled && !process->ended);
  process->execd = process->execd && process->changed;
  return error;
}

/* Resolves the process once in a pass. After an error the next tick tries again, as if it had not
 * been seen before. */
static int resolve(struct denet_matcher *matcher, struct denet_process *process) {
  if (process->resolved_pass == matcher->pass)
    return process->resolve_failure;
  process->resolved_pass = matcher->pass;
  bool is_unknown = !process->seen_ns;
  if (is_unknown)
    init_new(matcher, process);
  else
    choose_baseline(matcher, process);
  int error = process->resolve_failure = match(matcher, process, is_unknown);
  if (!error)
    return 0;
  matcher->failure = error;
  process->changed = true;
  if (is_unknown)
    process->seen_ns = 0;
  return error;
}
/* NOLINTEND(misc-no-recursion) */

static bool is_time_over(const struct denet_matcher *matcher) {
  return matcher->env->boot_ns(matcher->env->context) > matcher->deadline_ns;
}

/* Resolves the processes that are new, young or have changed, or all of them, from where the last
 * pass ran out of time. Returns false if this one does. */
static bool resolve_pass(struct denet_matcher *matcher, bool all) {
  size_t count = matcher->table->count, first = count ? matcher->cursor % count : 0;
  matcher->pass++;
  for (size_t i = 0; i < count; i++) {
    struct denet_process *process = matcher->table->processes[(first + i) % count];
    if (!all && !process->changed && process->match_attempts == REMATCHES)
      continue;
    resolve(matcher, process); /* an error of one process does not stop the others */
    matcher->cursor = (first + i + 1) % count;
    if (is_time_over(matcher))
      return false;
  }
  return true;
}

int denet_matcher_resolve(struct denet_matcher *matcher) {
  bool is_done = resolve_pass(matcher, false);
  /* The children of a new member may have been resolved before it. */
  while (is_done && matcher->has_grown) {
    matcher->has_grown = false;
    is_done = resolve_pass(matcher, true);
    matcher->has_grown |= !is_done; /* for the next tick */
  }
  return matcher->failure;
}

void denet_matcher_resolve_ended(struct denet_matcher *matcher) {
  const struct denet_process_table *table = matcher->table;
  matcher->pass++;
  for (size_t i = 0; i < table->gone_count; i++)
    if (is_time_over(matcher) || resolve(matcher, table->gone[i]))
      matcher->missed += table->gone[i]->changed;
  for (size_t i = 0; i < table->count; i++) {
    struct denet_process *process = table->processes[i];
    if (!process->changed || is_time_over(matcher))
      continue;
    const struct denet_process *parent = denet_process_table_find_parent(table, process);
    if (process->ended || (parent && parent->ended))
      resolve(matcher, process);
  }
}

void denet_matcher_begin(struct denet_matcher *matcher, uint64_t now_ns) {
  matcher->last_ns = matcher->now_ns;
  matcher->now_ns = now_ns;
  matcher->failure = 0;
  if (!matcher->first_ns)
    matcher->first_ns = now_ns;
  matcher->deadline_ns = matcher->env->boot_ns(matcher->env->context) + RESOLVE_NS;
}

bool denet_matcher_wants(struct denet_matcher *matcher, struct denet_process *process) {
  struct denet_attributes attributes;
  if (!matcher->wants_metadata ||
      denet_attributes_read(&matcher->reader, process, matcher->fields, &attributes))
    return false;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    const struct denet_rule *rule = &matcher->active_rules[i].rule;
    struct denet_captures captures = {0};
    if (rule->records && denet_rule_matches(rule, &attributes, &captures))
      return true;
  }
  return false;
}

/* --- Pid files of rules --- */

/* Returns whether the process was born after the file was written: then it is another program that
 * has got the pid of the file's daemon. A file in memory that seems to be older than the boot is
 * not: the clock was set after it was written. */
static bool is_younger(const struct denet_env *env, const struct denet_process *process,
                       const struct denet_pid_file *file) {
  uint64_t boot_ms = find_boot_ms(env);
  return process->born_ns / 1000000 + boot_ms > file->written_ms + YOUNGER_MS &&
         (file->written_ms >= boot_ms || !file->is_in_memory);
}

/* Checks that the file may name the process, which may be NULL. Only root may name a process of
 * another user: the owner of the file could otherwise have any process of the host, and its
 * descendants, counted by the rule. 0; a transient error; another -errno with a sentence. */
static int check_named(const struct denet_matcher *matcher, const struct denet_condition *condition,
                       const struct denet_pid_file *file, const struct denet_process *process,
                       struct denet_error *error) {
  uid_t user = 0;
  if (!process || process->ended)
    return denet_error_set(error, -ESRCH, "there is no process %d, or collectd cannot see it",
                           (int)file->pid);
  int outcome = file->owner ? matcher->source->read_uid(matcher->source, process, &user) : 0;
  if (denet_error_is_transient(outcome))
    return outcome;
  if (file->owner && (outcome || user != file->owner))
    return denet_error_set(error, -EPERM,
                           "it belongs to user %u and process %d does not; a file of root may name "
                           "any process",
                           (unsigned)file->owner, (int)file->pid);
  /* Checked once for each process and content: the clock may be set later. */
  bool is_known = condition->pid == file->pid && condition->pid_written_ms == file->written_ms &&
                  condition->pid_start_ticks == process->start_ticks;
  if (!is_known && is_younger(matcher->env, process, file))
    return denet_error_set(error, -ESRCH,
                           "process %d started after the file was written, so another program has "
                           "got the pid; if it is the right one, touch the file",
                           (int)file->pid);
  return 0;
}

/* Logs why a pid file names no process, or notes that it names one (""). */
static void note_problem(const struct denet_matcher *matcher, const struct denet_rule *rule,
                         struct denet_condition *condition, const struct denet_error *problem) {
  bool is_first = matcher->now_ns == matcher->first_ns;
  if (strcmp(condition->pid_problem.text, problem->text) != 0) {
    condition->pid_problem = *problem;
    condition->pid_problem_log_ns = matcher->now_ns + (is_first ? 0 : PROBLEM_NS);
  }
  if (!problem->text[0] || !condition->pid_problem_log_ns ||
      matcher->now_ns < condition->pid_problem_log_ns)
    return;
  condition->pid_problem_log_ns = 0;
  denet_log_write(matcher->log, DENET_SEVERITY_WARNING,
                  "Rule \"%s\": PidFile \"%s\" names no process: %s", rule->name,
                  condition->pid_file, problem->text);
}

/* Takes a new process over; the rules match the old and the new one again. */
static void update_pid(const struct denet_matcher *matcher, const struct denet_rule *rule,
                       struct denet_condition *condition) {
  struct denet_pid_file file = {0};
  struct denet_error problem = {""};
  struct denet_process *named = NULL;
  int error = denet_pid_file_read(condition->pid_file, &file, &problem);
  if (!error) {
    named = denet_process_table_find(matcher->table, file.pid);
    error = check_named(matcher, condition, &file, named, &problem);
  }
  if (denet_error_is_transient(error))
    return;
  if (error == -ENOENT && matcher->now_ns != matcher->first_ns)
    problem.text[0] = '\0'; /* a service that was stopped */
  note_problem(matcher, rule, condition, &problem);
  if (error)
    named = NULL;
  condition->pid_written_ms = file.written_ms;
  pid_t pid = named ? named->pid : 0;
  uint64_t start_ticks = named ? named->start_ticks : 0;
  if (pid == condition->pid && start_ticks == condition->pid_start_ticks)
    return;
  struct denet_process *old = denet_process_table_find(matcher->table, condition->pid);
  if (old)
    old->changed = true;
  if (named)
    named->changed = true;
  condition->pid = pid;
  condition->pid_start_ticks = start_ticks;
}

void denet_matcher_read_pid_files(struct denet_matcher *matcher) {
  if (!(matcher->fields & 1u << DENET_FIELD_PID_FILE))
    return;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    struct denet_rule *rule = &matcher->active_rules[i].rule;
    for (size_t c = 0; c < rule->condition_count; c++)
      if (rule->conditions[c].pid_file)
        update_pid(matcher, rule, &rule->conditions[c]);
  }
}
