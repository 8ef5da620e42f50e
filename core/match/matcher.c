#include "core/match/matcher.h"

#include "core/match/pid_file.h"
#include "core/rules/template.h"
#include "core/util/arguments.h"
#include "core/util/cleanup.h"

#include <string.h>

#define RESOLVE_NS UINT64_C(500000000) /* of a tick, at most */

/* Ages at which the rules match a young process again: a daemon gives itself a new title or another
 * user shortly after its start, and the kernel reports neither. */
static const uint64_t rematch_ages_ns[] = {UINT64_C(1000000000), UINT64_C(10000000000)};
#define REMATCHES DENET_COUNT_OF(rematch_ages_ns)

/* The longest time between the fork of a process and its exec that counts as one start. */
#define LAUNCH_NS UINT64_C(2000000000)

#define PARENTS_MOST 1000 /* resolved by recursion, each before its child */

/* Fields that change without an event of the kernel. */
#define SILENT_FIELDS                                                                              \
  (1u << DENET_FIELD_COMMAND_LINE | 1u << DENET_FIELD_USER | 1u << DENET_FIELD_CGROUP |            \
   1u << DENET_FIELD_UNIT)

void denet_matcher_init(struct denet_matcher *matcher) {
  matcher->reader =
      (struct denet_attributes_reader){.source = matcher->source, .env = matcher->env};
  matcher->fields = 0;
  for (size_t i = 0; i < matcher->active_rule_count; i++)
    matcher->fields |= matcher->active_rules[i].rule.fields;
}

void denet_matcher_done(struct denet_matcher *matcher) {
  denet_attributes_reader_done(&matcher->reader);
  denet_buffer_done(&matcher->instance);
  denet_buffer_done(&matcher->arguments);
  denet_buffer_done(&matcher->executable);
}

/* --- Metadata of a tree --- */

/* Reads the texts of the metadata line, before the tree is made: the process may soon be gone. A
 * text that is not available is empty. 0 or a transient error: then the next tick tries again. */
static int read_metadata(struct denet_matcher *matcher, struct denet_process *process) {
  struct denet_buffer *const texts[] = {
      [DENET_TEXT_EXECUTABLE] = &matcher->executable, [DENET_TEXT_ARGUMENTS] = &matcher->arguments};
  int outcome = matcher->source->read_uid(matcher->source, process, &matcher->uid);
  matcher->has_uid = !outcome;
  matcher->metadata_stalled = false;
  for (unsigned kind = 0; kind < DENET_COUNT_OF(texts); kind++) {
    if (denet_error_is_transient(outcome))
      return outcome;
    outcome = denet_source_read_text(matcher->source, process, kind, texts[kind]);
    if (outcome)
      denet_buffer_clear(texts[kind]);
    /* DENET_GONE of a process that is there: it is in the middle of its exec or its exit. */
    matcher->metadata_stalled |=
        outcome == DENET_LATER || (outcome == DENET_GONE && !process->ended);
  }
  denet_arguments_shorten(&matcher->arguments);
  matcher->text_stalled |= matcher->metadata_stalled;
  return denet_error_is_transient(outcome) ? outcome : 0;
}

/* Gives the tree what read_metadata() has read. */
static void give_metadata(struct denet_matcher *matcher, struct denet_tree *tree) {
  if (tree->lacks_texts_ns && matcher->metadata_stalled)
    return; /* the metadata line that the file has says no less */
  tree->lacks_texts_ns = matcher->metadata_stalled ? matcher->now_ns : 0;
  tree->wants_metadata = true;
  tree->has_uid = matcher->has_uid;
  tree->uid = matcher->uid;
  tree->executable = DENET_EXCHANGE(matcher->executable, tree->executable);
  tree->arguments = DENET_EXCHANGE(matcher->arguments, tree->arguments);
}

/* --- Entering and leaving trees --- */

/* Returns the start of the process, Unix ms. It is rounded to the 10 ms of start times: the two
 * clocks are not read at one instant, and every run must find the same number. */
static uint64_t find_start_ms(const struct denet_env *env, const struct denet_process *process) {
  uint64_t unix_ms = env->unix_ms(env->context);
  uint64_t since_boot_ms = env->boot_ns(env->context) / 1000000;
  uint64_t boot_unix_ms = (unix_ms - since_boot_ms + 5) / 10 * 10;
  return boot_unix_ms + process->start_ticks * env->tick_ns / 1000000;
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
  if (tree->lacks_texts_ns && process->ended && !matcher->arguments.length)
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

/* Reads which process the pid file names, 0 for none. Only root may name a process of another user:
 * the owner of the file could otherwise have any process of the host, and its descendants, counted
 * by the rule. 0 or a transient error. */
static int read_pid_file(const struct denet_matcher *matcher, const char *path, pid_t *out_pid) {
  uid_t owner = 0, user;
  int error = denet_pid_file_read(path, out_pid, &owner);
  const struct denet_process *process =
      error ? NULL : denet_process_table_find(matcher->table, *out_pid);
  if (!process || owner == 0)
    return error;
  int outcome = matcher->source->read_uid(matcher->source, process, &user);
  if (outcome || user != owner)
    *out_pid = 0;
  return denet_error_is_transient(outcome) ? outcome : 0;
}

/* Takes a new pid over; the rules match the old and the new process again. */
static void update_pid(const struct denet_matcher *matcher, struct denet_condition *condition) {
  pid_t pid;
  if (read_pid_file(matcher, condition->pid_file, &pid) || pid == condition->pid)
    return;
  const pid_t pids[] = {condition->pid, pid};
  for (size_t i = 0; i < DENET_COUNT_OF(pids); i++) {
    struct denet_process *process = denet_process_table_find(matcher->table, pids[i]);
    if (process)
      process->changed = true;
  }
  condition->pid = pid;
}

void denet_matcher_read_pid_files(struct denet_matcher *matcher) {
  if (!(matcher->fields & 1u << DENET_FIELD_PID_FILE))
    return;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    struct denet_rule *rule = &matcher->active_rules[i].rule;
    for (size_t c = 0; c < rule->condition_count; c++)
      if (rule->conditions[c].pid_file)
        update_pid(matcher, &rule->conditions[c]);
  }
}
