#include "core/match/attributes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void denet_attributes_reader_done(struct denet_attributes_reader *reader) {
  denet_buffer_done(&reader->arguments);
  denet_buffer_done(&reader->command_line);
  denet_buffer_done(&reader->executable);
  denet_buffer_done(&reader->cgroup);
  denet_buffer_done(&reader->unit);
}

/* The arguments with spaces between them, or "[name]" as ps(1) shows a process without any. */
static int read_command_line(struct denet_attributes_reader *reader, struct denet_source *source,
                             struct denet_process *process, struct denet_text *out_text) {
  struct denet_buffer *line = &reader->command_line;
  int outcome = denet_source_read_text(source, process, DENET_TEXT_ARGUMENTS, &reader->arguments);
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
  int outcome = denet_source_read_text(source, process, kind, buffer);
  if (!outcome)
    *out_text = denet_buffer_text(buffer);
  return outcome;
}

static int read_cgroup(struct denet_attributes_reader *reader, struct denet_source *source,
                       struct denet_process *process, struct denet_attributes *attributes) {
  struct denet_text path = {0};
  int outcome = read_text(source, process, DENET_TEXT_CGROUP, &reader->cgroup, &path);
  if (outcome)
    return outcome;
  attributes->field[DENET_FIELD_CGROUP] = path;
  /* A process in no unit has the empty one: it is known that it is not in "ssh.service". */
  struct denet_text unit = denet_rule_unit(path);
  denet_buffer_clear(&reader->unit);
  outcome = denet_buffer_append(&reader->unit, unit.bytes, unit.length);
  attributes->field[DENET_FIELD_UNIT] = denet_buffer_text(&reader->unit);
  return outcome;
}

static const struct denet_user *find_user(struct denet_attributes_reader *reader,
                                          const struct denet_env *env, uid_t uid) {
  struct denet_user *user = &reader->users[uid % DENET_USERS];
  uint64_t now_ns = env->boot_ns(env->context);
  if (user->uid == uid && now_ns < user->forgotten_ns)
    return user;
  user->uid = uid;
  user->outcome = env->user_name(env->context, uid, user->name, sizeof(user->name));
  user->forgotten_ns = now_ns + (user->outcome ? DENET_USER_RETRY_NS : DENET_USER_NS);
  return user;
}

static int read_user(struct denet_attributes_reader *reader, struct denet_source *source,
                     const struct denet_env *env, struct denet_process *process,
                     struct denet_attributes *attributes) {
  uid_t uid;
  int outcome = source->read_uid(source, process, &uid);
  if (outcome)
    return outcome;
  attributes->uid = uid;
  const struct denet_user *user = find_user(reader, env, uid);
  if (!user->outcome)
    attributes->field[DENET_FIELD_USER] = denet_text_of(user->name);
  return user->outcome;
}

#define COMMAND_LINE (1u << DENET_FIELD_COMMAND_LINE)
#define EXECUTABLE (1u << DENET_FIELD_EXECUTABLE)
#define CGROUP_AND_UNIT (1u << DENET_FIELD_CGROUP | 1u << DENET_FIELD_UNIT)
#define USER (1u << DENET_FIELD_USER)

/* Notes why the fields are absent, if they are. 0, or what is to be tried again. */
static int note_outcome(struct denet_attributes *attributes, unsigned fields, int outcome) {
  if (outcome == DENET_LATER)
    attributes->late |= fields;
  if (outcome == DENET_GONE)
    attributes->gone |= fields;
  return denet_source_is_passing(outcome) ? outcome : 0;
}

int denet_attributes_read(struct denet_attributes_reader *reader, struct denet_source *source,
                          const struct denet_env *env, struct denet_process *process,
                          unsigned fields, struct denet_attributes *out_attributes) {
  struct denet_attributes attributes = {
      .pid = process->pid,
      .kernel_thread = process->kernel_thread,
      .uid = UINT64_MAX,
      .field = {[DENET_FIELD_COMM] = denet_text_of(process->name)},
  };
  struct denet_text *line = &attributes.field[DENET_FIELD_COMMAND_LINE],
                    *executable = &attributes.field[DENET_FIELD_EXECUTABLE];
  int error = 0;
  if (fields & COMMAND_LINE)
    error =
        note_outcome(&attributes, COMMAND_LINE, read_command_line(reader, source, process, line));
  if (!error && fields & EXECUTABLE)
    error = note_outcome(
        &attributes, EXECUTABLE,
        read_text(source, process, DENET_TEXT_EXECUTABLE, &reader->executable, executable));
  if (!error && fields & CGROUP_AND_UNIT)
    error = note_outcome(&attributes, CGROUP_AND_UNIT,
                         read_cgroup(reader, source, process, &attributes));
  if (!error && fields & USER)
    error = note_outcome(&attributes, USER, read_user(reader, source, env, process, &attributes));
  if (!error && attributes.gone && !process->ended)
    error = DENET_GONE;
  if (!error)
    *out_attributes = attributes;
  return error;
}
