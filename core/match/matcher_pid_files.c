/* The pid files of the rules: which processes they name. */
#include "core/match/matcher.h"

#include "core/match/pid_file.h"

static void look_again_at(const struct denet_matcher *matcher, pid_t pid) {
  struct denet_process *process = denet_process_table_find(matcher->table, pid);
  if (process)
    process->changed = true;
}

/* The pid that the file holds, 0 for none. Only root may name processes that are another's: whoever
 * owns the file could have any process of the host, and all its children, watched by the rule. 0 or
 * -errno, then it is tried again. */
static int read_pid_file(const struct denet_matcher *matcher, const char *path, pid_t *out_pid) {
  uid_t owner, user;
  int error = denet_pid_file_read(path, out_pid, &owner);
  if (error || !*out_pid)
    return error;
  const struct denet_process *process = denet_process_table_find(matcher->table, *out_pid);
  if (!process || owner == 0)
    return 0;
  int outcome = matcher->source->read_uid(matcher->source, process, &user);
  if (outcome || user != owner)
    *out_pid = 0;
  return denet_source_is_passing(outcome) ? outcome : 0;
}

void denet_matcher_read_pid_files(struct denet_matcher *matcher) {
  if (!(matcher->fields & 1u << DENET_FIELD_PID_FILE))
    return;
  for (size_t i = 0; i < matcher->active_rule_count; i++) {
    struct denet_rule *rule = &matcher->active_rules[i].rule;
    for (size_t c = 0; c < rule->condition_count; c++) {
      struct denet_condition *condition = &rule->conditions[c];
      if (!condition->pid_file)
        continue;
      pid_t pid;
      if (read_pid_file(matcher, condition->pid_file, &pid) || pid == condition->pid)
        continue;
      look_again_at(matcher, condition->pid);
      look_again_at(matcher, pid);
      condition->pid = pid;
    }
  }
}
