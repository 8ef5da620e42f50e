#include "core/match/attributes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void denet_facts_reader_done(struct denet_facts_reader *reader) {
  denet_buffer_done(&reader->arguments);
  denet_buffer_done(&reader->command_line);
  denet_buffer_done(&reader->executable);
  denet_buffer_done(&reader->cgroup);
  denet_buffer_done(&reader->unit);
}

/* The arguments with spaces between them, or "[name]" as ps(1) shows a process without any. */
static int read_command_line(struct denet_facts_reader *reader, struct denet_source *source,
                             struct denet_process *process, struct denet_text *out_text) {
  struct denet_buffer *line = &reader->command_line;
  int outcome = denet_source_describe(source, process, DENET_TEXT_ARGUMENTS, &reader->arguments);
  if (outcome)
    return outcome;
  denet_buffer_clear(line);
  struct denet_text arguments = denet_buffer_text(&reader->arguments);
  if (arguments.length) {
    outcome = denet_buffer_append(line, arguments.bytes, arguments.length);
    for (size_t i = 0; i < line->length; i++)
      if (line->bytes[i] == '\0')
        line->bytes[i] = ' ';
  } else {
    char name[DENET_COMM_BYTES + 2];
    snprintf(name, sizeof(name), "[%s]", process->name);
    outcome = denet_buffer_append_string(line, name);
  }
  *out_text = denet_buffer_text(line);
  return outcome;
}

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *buffer,
                     struct denet_text *out_text) {
  int outcome = denet_source_describe(source, process, kind, buffer);
  if (!outcome)
    *out_text = denet_buffer_text(buffer);
  return outcome;
}

static int read_cgroup(struct denet_facts_reader *reader, struct denet_source *source,
                       struct denet_process *process, struct denet_facts *facts) {
  struct denet_text path = {0};
  int outcome = read_text(source, process, DENET_TEXT_CGROUP, &reader->cgroup, &path);
  if (outcome)
    return outcome;
  facts->subject[DENET_SUBJECT_CGROUP] = path;
  /* A process in no unit has the empty one: it is known that it is not in "ssh.service". */
  struct denet_text unit = denet_rule_unit(path);
  denet_buffer_clear(&reader->unit);
  outcome = denet_buffer_append(&reader->unit, unit.bytes, unit.length);
  facts->subject[DENET_SUBJECT_UNIT] = denet_buffer_text(&reader->unit);
  return outcome;
}

static const struct denet_user *find_user(struct denet_facts_reader *reader,
                                          const struct denet_host *host, uid_t uid) {
  struct denet_user *user = &reader->users[uid % DENET_USERS];
  uint64_t now_ns = host->boot_ns(host->context);
  if (user->uid == uid && now_ns < user->forgotten_ns)
    return user;
  user->uid = uid;
  user->outcome = host->user_name(host->context, uid, user->name, sizeof(user->name));
  user->forgotten_ns = now_ns + (user->outcome ? DENET_USER_RETRY_NS : DENET_USER_NS);
  return user;
}

static int read_user(struct denet_facts_reader *reader, struct denet_source *source,
                     const struct denet_host *host, struct denet_process *process,
                     struct denet_facts *facts) {
  uid_t uid;
  int outcome = source->owner(source, process, &uid);
  if (outcome)
    return outcome;
  facts->uid = uid;
  const struct denet_user *user = find_user(reader, host, uid);
  if (!user->outcome)
    facts->subject[DENET_SUBJECT_USER] = denet_text_of(user->name);
  return user->outcome;
}

#define COMMAND_LINE (1u << DENET_SUBJECT_COMMAND_LINE)
#define EXECUTABLE (1u << DENET_SUBJECT_EXECUTABLE)
#define CGROUP_AND_UNIT (1u << DENET_SUBJECT_CGROUP | 1u << DENET_SUBJECT_UNIT)
#define USER (1u << DENET_SUBJECT_USER)

/* Notes why the subjects are absent, if they are. 0, or what is to be tried again. */
static int note_outcome(struct denet_facts *facts, unsigned subjects, int outcome) {
  if (outcome == DENET_LATER)
    facts->late |= subjects;
  if (outcome == DENET_GONE)
    facts->gone |= subjects;
  return denet_source_is_passing(outcome) ? outcome : 0;
}

int denet_facts_read(struct denet_facts_reader *reader, struct denet_source *source,
                     const struct denet_host *host, struct denet_process *process,
                     unsigned subjects, struct denet_facts *out_facts) {
  struct denet_facts facts = {
      .pid = process->pid,
      .kernel_thread = process->kernel_thread,
      .uid = UINT64_MAX,
      .subject = {[DENET_SUBJECT_COMM] = denet_text_of(process->name)},
  };
  struct denet_text *line = &facts.subject[DENET_SUBJECT_COMMAND_LINE],
                    *executable = &facts.subject[DENET_SUBJECT_EXECUTABLE];
  int error = 0;
  if (subjects & COMMAND_LINE)
    error = note_outcome(&facts, COMMAND_LINE, read_command_line(reader, source, process, line));
  if (!error && subjects & EXECUTABLE)
    error = note_outcome(
        &facts, EXECUTABLE,
        read_text(source, process, DENET_TEXT_EXECUTABLE, &reader->executable, executable));
  if (!error && subjects & CGROUP_AND_UNIT)
    error = note_outcome(&facts, CGROUP_AND_UNIT, read_cgroup(reader, source, process, &facts));
  if (!error && subjects & USER)
    error = note_outcome(&facts, USER, read_user(reader, source, host, process, &facts));
  if (!error && facts.gone && !process->ended)
    error = DENET_GONE;
  if (!error)
    *out_facts = facts;
  return error;
}
