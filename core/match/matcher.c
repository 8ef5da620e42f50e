#include "core/match/matcher.h"

#include <string.h>

/* Forked daemons give themselves a new title or user shortly after they start, without an exec: the
 * rules look again at these ages. */
static const uint64_t look_again_ns[] = {UINT64_C(1000000000), UINT64_C(10000000000)};
#define LOOKS (sizeof(look_again_ns) / sizeof(look_again_ns[0]))

/* The longest time between the fork of a process and its exec that counts as one start. */
#define LAUNCH_NS UINT64_C(2000000000)
#define SETTLE_NS UINT64_C(500000000)
/* Arguments that wait for their metadata lines, of all processes; what comes then is cut. */
#define WAITING_BYTES_MOST (16u << 20)
#define CUT_BYTES 4096
#define PARENTS_MOST 1000 /* in a chain that nobody has settled yet; each is a call deeper */

#define SUBJECT(name) (1u << DENET_FIELD_##name)
/* What can change without the kernel telling. */
#define SILENT_SUBJECTS (SUBJECT(COMMAND_LINE) | SUBJECT(USER) | SUBJECT(CGROUP) | SUBJECT(UNIT))

void denet_matcher_init(struct denet_matcher *matcher) {
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

/* Expands the rule's template for the process into matcher->instance. */
static int expand_instance(struct denet_matcher *matcher,
                           const struct denet_active_rule *active_rule,
                           const struct denet_process *process,
                           const struct denet_attributes *attributes,
                           const struct denet_captures *captures, unsigned slot) {
  struct denet_template_values values = {
      .rule = denet_text_of(active_rule->rule.name),
      .comm = denet_text_of(process->name),
      .exe = attributes->field[DENET_FIELD_EXECUTABLE],
      .user = attributes->field[DENET_FIELD_USER],
      .unit = attributes->field[DENET_FIELD_UNIT],
      .cgroup = attributes->field[DENET_FIELD_CGROUP],
      .pid = (uint64_t)process->pid,
      .slot = slot,
      .captures = *captures,
  };
  denet_buffer_clear(&matcher->instance);
  return denet_template_expand(active_rule->rule.instance, &values, &matcher->instance);
}

/* A user may start thousands of processes with arguments of 256 KiB at once, and the writer may
 * have no room for their lines for as long as they live. */
static void limit_arguments(const struct denet_matcher *matcher, struct denet_buffer *arguments) {
  if (arguments->length > CUT_BYTES &&
      matcher->waiting_bytes + arguments->length > WAITING_BYTES_MOST)
    arguments->length = CUT_BYTES;
  denet_buffer_trim(arguments);
}

static bool has_metadata(const struct denet_matcher *matcher,
                         const struct denet_active_rule *active_rule) {
  return matcher->wants_metadata && active_rule->rule.records;
}

/* Reads one text for it; what is not to be had is empty. 0, or what is to be tried again. */
static int read_metadata_text(struct denet_matcher *matcher, struct denet_process *process,
                              enum denet_text_kind kind, struct denet_buffer *text) {
  int outcome = denet_source_read_text(matcher->source, process, kind, text);
  if (outcome)
    denet_buffer_clear(text);
  /* One that is there, but not to be asked, is in the middle of an exec or of its end. */
  matcher->lacks_texts |= outcome == DENET_LATER || (outcome == DENET_GONE && !process->ended);
  return denet_source_is_passing(outcome) ? outcome : 0;
}

/* Reads what the metadata line will need, while the process is still there to be asked, before
 * anything is made of it: what cannot be read now is tried again, and the line is to be right. */
static int read_metadata(struct denet_matcher *matcher, const struct denet_active_rule *active_rule,
                         struct denet_process *process) {
  if (!has_metadata(matcher, active_rule))
    return 0;
  int outcome = matcher->source->read_uid(matcher->source, process, &matcher->uid);
  matcher->has_uid = !outcome;
  matcher->lacks_texts = false;
  int error = denet_source_is_passing(outcome) ? outcome : 0;
  if (!error)
    error = read_metadata_text(matcher, process, DENET_TEXT_EXECUTABLE, &matcher->executable);
  if (!error)
    error = read_metadata_text(matcher, process, DENET_TEXT_ARGUMENTS, &matcher->arguments);
  limit_arguments(matcher, &matcher->arguments);
  matcher->text_stalled |= matcher->lacks_texts;
  return error;
}

static void swap_buffers(struct denet_buffer *one, struct denet_buffer *other) {
  struct denet_buffer kept = *one;
  *one = *other;
  *other = kept;
}

/* Hands over what was read. */
static void give_metadata(struct denet_matcher *matcher, struct denet_tree *tree) {
  if (!has_metadata(matcher, tree->active_rule))
    return;
  if (tree->lacks_texts_ns && matcher->lacks_texts)
    return; /* the file has the rest */
  tree->lacks_texts_ns = matcher->lacks_texts ? matcher->now_ns : 0;
  tree->wants_metadata = true;
  tree->has_uid = matcher->has_uid;
  tree->uid = matcher->uid;
  swap_buffers(&tree->executable, &matcher->executable);
  swap_buffers(&tree->arguments, &matcher->arguments);
  matcher->waiting_bytes += tree->arguments.length;
}

static int renew_metadata(struct denet_matcher *matcher, struct denet_tree *tree,
                          struct denet_process *process) {
  int error = read_metadata(matcher, tree->active_rule, process);
  if (error)
    return error;
  /* What could be read while it lived is more than what its end has left. */
  if (tree->lacks_texts_ns && process->ended && !matcher->arguments.length)
    tree->lacks_texts_ns = 0;
  else
    give_metadata(matcher, tree);
  return 0;
}

/* Start of the process, Unix ms. Rounded to the 10 ms that start times are exact to, so that it
 * comes out the same in every run though the two clocks are not read at one instant. */
static uint64_t find_start_ms(const struct denet_env *env, const struct denet_process *process) {
  uint64_t unix_ms = env->unix_ms(env->context);
  uint64_t since_boot_ms = env->boot_ns(env->context) / 1000000;
  uint64_t boot_unix_ms = (unix_ms - since_boot_ms + 5) / 10 * 10;
  return boot_unix_ms + process->start_ticks * env->tick_ns / 1000000;
}

/* One that came after denet did, or had been there and came to be matched. */
static bool is_start(const struct denet_matcher *matcher, const struct denet_process *process) {
  return process->born_under_watch || process->seen_ns != matcher->now_ns;
}

/* A process has got into a tree. It may have children that were settled before: they may follow. */
static void note_growth(struct denet_matcher *matcher, const struct denet_process *process) {
  /* One that could not be read when it was new, but they could. */
  bool is_late = process->born_ns + matcher->env->tick_ns < matcher->ticked_ns;
  matcher->has_grown |= !process->is_new || is_late;
}

/* The group that the rule's instance names for the process. */
static int find_group(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      const struct denet_process *process,
                      const struct denet_attributes *attributes,
                      const struct denet_captures *captures, unsigned slot,
                      struct denet_group **out_group) {
  int error = expand_instance(matcher, active_rule, process, attributes, captures, slot);
  if (error)
    return error;
  return denet_groups_get(matcher->groups, &active_rule->rule,
                          denet_buffer_text(&matcher->instance), out_group);
}

/* A process heads its old tree again if others live on in it, or else a new one. */
static int enter_tree(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      struct denet_process *process, struct denet_group *group,
                      struct denet_tree **out_tree) {
  bool starts = is_start(matcher, process);
  struct denet_tree *old = denet_tree_find_headed(matcher->trees, active_rule, group, process);
  /* The old tree's file has its metadata already, unless the process is another program now. */
  bool is_told = old && !process->execd;
  int error = is_told ? 0 : read_metadata(matcher, active_rule, process);
  if (!error)
    error = old ? denet_tree_rejoin(matcher->trees, old, process, starts)
                : denet_tree_create(matcher->trees, active_rule, group, process, starts, out_tree);
  if (error)
    return error;
  if (old) {
    old->root = old->last;
    *out_tree = old;
  } else {
    (*out_tree)->t0_ms = find_start_ms(matcher->env, process);
  }
  if (!is_told)
    give_metadata(matcher, *out_tree);
  return 0;
}

/* Starts a tree of a process that meets the rule, in the group that its instance names. */
static int plant(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                 struct denet_process *process, const struct denet_attributes *attributes,
                 const struct denet_captures *captures) {
  struct denet_group *group;
  struct denet_tree *tree;
  unsigned slot = 0;
  bool has_slot = active_rule->rule.uses.slot;
  int error = has_slot ? denet_slots_take(&active_rule->slots, &slot) : 0;
  if (error)
    return error;
  error = find_group(matcher, active_rule, process, attributes, captures, slot, &group);
  if (!error)
    error = enter_tree(matcher, active_rule, process, group, &tree);
  /* One that has ended leaves its number to the next. */
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

/* Whether the tree that the process heads is still the one its rule would give it. */
static int keeps_instance(struct denet_matcher *matcher, const struct denet_member *member,
                          const struct denet_attributes *attributes,
                          const struct denet_captures *captures) {
  const struct denet_tree *tree = member->tree;
  int error = expand_instance(matcher, tree->active_rule, member->process, attributes, captures,
                              tree->slot);
  if (error)
    return error;
  struct denet_text raw = denet_buffer_text(&matcher->instance);
  const struct denet_group *group = tree->group;
  return group->is_overflow ||
         (strlen(group->raw) == raw.length && !memcmp(group->raw, raw.bytes, raw.length));
}

/* A process that heads a tree has changed: it may go on, go elsewhere, or leave. */
static int review_root(struct denet_matcher *matcher, struct denet_member *member,
                       const struct denet_attributes *attributes) {
  struct denet_captures captures = {0};
  struct denet_tree *tree = member->tree;
  struct denet_process *process = member->process;
  struct denet_active_rule *active_rule = tree->active_rule;
  bool matches = denet_rule_matches(&active_rule->rule, attributes, &captures);
  int stays = matches ? keeps_instance(matcher, member, attributes, &captures) : 0;
  if (stays < 0)
    return stays;
  if (stays)
    return process->execd || tree->lacks_texts_ns ? renew_metadata(matcher, tree, process) : 0;
  int error = matches ? plant(matcher, active_rule, process, attributes, &captures) : 0;
  member->leaves = !error;
  return error;
}

static int apply_rule(struct denet_matcher *matcher, struct denet_active_rule *active_rule,
                      struct denet_process *process, const struct denet_process *parent,
                      const struct denet_attributes *attributes) {
  struct denet_member *member = denet_tree_find(process, active_rule);
  if (member && !member->leaves && (member != member->tree->root || !attributes))
    return 0;
  if (member && !member->leaves)
    return review_root(matcher, member, attributes);
  struct denet_member *above =
      parent && active_rule->rule.children ? denet_tree_find(parent, active_rule) : NULL;
  if (above && !above->leaves) {
    note_growth(matcher, process);
    return denet_tree_join(matcher->trees, above->tree, process, is_start(matcher, process));
  }
  struct denet_captures captures = {0};
  if (!attributes || !denet_rule_matches(&active_rule->rule, attributes, &captures))
    return 0;
  return plant(matcher, active_rule, process, attributes, &captures);
}

static int apply_rules(struct denet_matcher *matcher, struct denet_process *process,
                       const struct denet_process *parent,
                       const struct denet_attributes *attributes, bool must_look) {
  unsigned absent = attributes->late | attributes->gone;
  unsigned undecided = process->text_stalled ? absent : attributes->late;
  bool was_missed = false;
  int error = 0;
  for (size_t i = 0; i < matcher->active_rule_count && !error; i++) {
    struct denet_active_rule *active_rule = &matcher->active_rules[i];
    bool is_decided = must_look && !(active_rule->rule.fields & absent);
    bool was_member = denet_tree_find(process, active_rule) != NULL;
    error = apply_rule(matcher, active_rule, process, parent, is_decided ? attributes : NULL);
    bool is_member = denet_tree_find(process, active_rule) != NULL;
    was_missed |= process->text_stalled && is_decided && is_member && !was_member;
    was_missed |= process->ended && active_rule->rule.fields & undecided && !is_member;
  }
  matcher->missed += was_missed && !error;
  return error;
}

/* What is known of a process that has just been seen for the first time. Start times are exact to
 * 10 ms, so whoever the first tick saw was there before, whatever its start time says. */
static void welcome(struct denet_matcher *matcher, struct denet_process *process) {
  process->seen_ns = matcher->now_ns;
  process->born_under_watch = matcher->now_ns != matcher->began_ns &&
                              process->born_ns + matcher->env->tick_ns > matcher->began_ns;
  process->baseline = process->born_under_watch ? DENET_BASELINE_BIRTH : matcher->baseline;
  uint64_t age_ns = matcher->now_ns > process->born_ns ? matcher->now_ns - process->born_ns : 0;
  bool is_looked_at_again = matcher->fields & SILENT_SUBJECTS;
  while (process->match_attempts < LOOKS &&
         (!is_looked_at_again || age_ns >= look_again_ns[process->match_attempts]))
    process->match_attempts++;
}

/* A process that is born under watch counts from its birth if the tick that sees it first matches
 * it. Its fork and its exec are one start, even if a tick comes between the two. Any other match is
 * a late one: the process counts from that match on. */
static void choose_baseline(const struct denet_matcher *matcher, struct denet_process *process) {
  if (process->members)
    return;
  uint64_t known_ns = matcher->now_ns - process->seen_ns;
  bool has_counted = /* for a group that it has left */
      process->usage && !denet_metric_set_is_empty(&process->usage->counted);
  bool is_launching =
      process->execd && known_ns <= LAUNCH_NS && !process->text_stalled && !has_counted;
  bool is_birth = process->born_under_watch && (known_ns == 0 || is_launching);
  process->baseline = is_birth ? DENET_BASELINE_BIRTH : matcher->baseline;
}

static bool is_time_to_look_again(const struct denet_matcher *matcher,
                                  struct denet_process *process) {
  if (process->match_attempts == LOOKS || process->no_mm || !(matcher->fields & SILENT_SUBJECTS))
    return false;
  if (matcher->now_ns < process->born_ns + look_again_ns[process->match_attempts])
    return false;
  process->match_attempts++;
  return true;
}

/* The parent, if a process with its pid can be it: it is not younger. */
static struct denet_process *find_parent(const struct denet_matcher *matcher,
                                         const struct denet_process *process) {
  struct denet_process *parent = denet_process_table_find(matcher->table, process->parent_pid);
  if (parent && parent->start_ticks <= process->start_ticks)
    return parent;
  return denet_process_table_find_gone(matcher->table, process->parent_pid, process->born_ns);
}

static int settle(struct denet_matcher *matcher, struct denet_process *process);

/* NOLINTBEGIN(misc-no-recursion): to a depth of PARENTS_MOST. */
static int settle_parent(struct denet_matcher *matcher, struct denet_process *parent) {
  if (!parent || matcher->depth == PARENTS_MOST)
    return 0;
  matcher->depth++;
  int error = settle(matcher, parent);
  matcher->depth--;
  return error;
}

/* Has the rules look at the process, if they must, and its parent's trees take it. */
static int decide(struct denet_matcher *matcher, struct denet_process *process, bool is_unknown) {
  /* A zombie of before our time is nobody's business; what was born or exec'd and died between two
   * looks still counts. */
  if (process->ended && !(is_unknown ? process->born_under_watch : process->execd)) {
    process->changed = process->execd = false; /* nor is it in a later pass */
    return 0;
  }
  struct denet_process *parent = find_parent(matcher, process);
  int error = settle_parent(matcher, parent);
  if (error)
    return error;

  struct denet_attributes attributes = {0};
  matcher->text_stalled = false;
  bool must_look = process->changed || is_time_to_look_again(matcher, process);
  if (must_look) {
    int outcome = denet_attributes_read(&matcher->reader, matcher->source, matcher->env, process,
                                        matcher->fields, &attributes);
    if (outcome)
      return outcome == DENET_GONE ? 0 : outcome;
    matcher->text_stalled = attributes.late;
  }
  error = apply_rules(matcher, process, parent, &attributes, must_look);
  if (!error && must_look)
    process->text_stalled = attributes.late;
  /* One that has ended is decided once: it would be counted again, and has no texts any more. */
  process->changed = error || (matcher->text_stalled && !process->ended);
  process->execd = process->execd && process->changed; /* what is not decided yet */
  return error;
}

/* What fails is tried again in the next tick, as if the process had not been seen before. */
static int settle(struct denet_matcher *matcher, struct denet_process *process) {
  if (process->resolved_pass == matcher->pass)
    return process->resolve_failure;
  process->resolved_pass = matcher->pass;
  bool is_unknown = !process->seen_ns;
  if (is_unknown)
    welcome(matcher, process);
  else
    choose_baseline(matcher, process);
  int error = process->resolve_failure = decide(matcher, process, is_unknown);
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

/* Settles those that are new or have changed, or all, from where the last pass ran out of time.
 * False when this one does. */
static bool settle_pass(struct denet_matcher *matcher, bool all) {
  size_t count = matcher->table->count, first = count ? matcher->cursor % count : 0;
  for (size_t i = 0; i < count; i++) {
    struct denet_process *process = matcher->table->processes[(first + i) % count];
    bool is_young = process->match_attempts < LOOKS;
    if (!all && !process->changed && !is_young)
      continue;
    settle(matcher, process); /* one that fails does not stop the others */
    matcher->cursor = (first + i + 1) % count;
    if (is_time_over(matcher))
      return false;
  }
  return true;
}

void denet_matcher_begin(struct denet_matcher *matcher, uint64_t now_ns) {
  matcher->ticked_ns = matcher->now_ns;
  matcher->now_ns = now_ns;
  matcher->failure = 0;
  if (!matcher->began_ns)
    matcher->began_ns = now_ns;
  matcher->deadline_ns = matcher->env->boot_ns(matcher->env->context) + SETTLE_NS;
  matcher->waiting_bytes = 0;
  for (const struct denet_tree *tree = matcher->trees->first; tree; tree = tree->next)
    matcher->waiting_bytes += tree->arguments.length;
}

bool denet_matcher_wants(struct denet_matcher *matcher, struct denet_process *process) {
  struct denet_attributes attributes;
  if (!matcher->wants_metadata ||
      denet_attributes_read(&matcher->reader, matcher->source, matcher->env, process,
                            matcher->fields, &attributes))
    return false;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    const struct denet_rule *rule = &matcher->active_rules[i].rule;
    struct denet_captures captures = {0};
    if (rule->records && denet_rule_matches(rule, &attributes, &captures))
      return true;
  }
  return false;
}

/* Whether the rules should look at it before the dead leave: it is one of them, or a child. */
static bool is_left_behind(const struct denet_matcher *matcher,
                           const struct denet_process *process) {
  if (!process->changed || process->ended)
    return process->changed;
  const struct denet_process *parent = find_parent(matcher, process);
  return parent && parent->ended;
}

void denet_matcher_resolve_ended(struct denet_matcher *matcher) {
  const struct denet_process_table *table = matcher->table;
  matcher->pass++;
  for (size_t i = 0; i < table->gone_count; i++)
    if (is_time_over(matcher) || settle(matcher, table->gone[i]))
      matcher->missed += table->gone[i]->changed;
  for (size_t i = 0; i < table->count; i++)
    if (is_left_behind(matcher, table->processes[i]) && !is_time_over(matcher))
      settle(matcher, table->processes[i]);
}

int denet_matcher_resolve(struct denet_matcher *matcher) {
  matcher->pass++;
  bool is_done = settle_pass(matcher, false);
  /* New members may have children that were settled before they were members. */
  while (is_done && matcher->has_grown) {
    matcher->has_grown = false;
    matcher->pass++;
    is_done = settle_pass(matcher, true);
    matcher->has_grown |= !is_done; /* the next tick owes them that */
  }
  return matcher->failure;
}
