#include "core/match/attributes.h"

#include <stdio.h>
#include <string.h>

#define COMMAND_LINE (1u << DENET_FIELD_COMMAND_LINE)
#define EXECUTABLE (1u << DENET_FIELD_EXECUTABLE)
#define CGROUP_AND_UNIT (1u << DENET_FIELD_CGROUP | 1u << DENET_FIELD_UNIT)
#define USER (1u << DENET_FIELD_USER)

void denet_attributes_reader_done(struct denet_attributes_reader *reader) {
  denet_buffer_done(&reader->arguments);
  denet_buffer_done(&reader->command_line);
  denet_buffer_done(&reader->executable);
  denet_buffer_done(&reader->cgroup);
  denet_buffer_done(&reader->unit);
}

/* Joins the arguments with spaces; of a process without arguments it is "[name]", as in ps(1). */
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

static int read_executable(struct denet_attributes_reader *reader, struct denet_source *source,
                           struct denet_process *process, struct denet_text *out_text) {
  int outcome = denet_source_read_text(source, process, DENET_TEXT_EXECUTABLE, &reader->executable);
  if (!outcome)
    *out_text = denet_buffer_text(&reader->executable);
  return outcome;
}

static int read_cgroup(struct denet_attributes_reader *reader, struct denet_source *source,
                       struct denet_process *process, struct denet_text *out_path,
                       struct denet_text *out_unit) {
  int outcome = denet_source_read_text(source, process, DENET_TEXT_CGROUP, &reader->cgroup);
  if (outcome)
    return outcome;
  *out_path = denet_buffer_text(&reader->cgroup);
  /* The unit of a process in no unit is empty, not absent: Unit "!ssh.service" matches it. */
  struct denet_text unit = denet_rule_unit(*out_path);
  denet_buffer_clear(&reader->unit);
  outcome = denet_buffer_append(&reader->unit, unit.bytes, unit.length);
  *out_unit = denet_buffer_text(&reader->unit);
  return outcome;
}

static int read_user(struct denet_attributes_reader *reader, struct denet_source *source,
                     const struct denet_env *env, struct denet_process *process,
                     struct denet_attributes *attributes) {
  uid_t uid;
  int outcome = source->read_uid(source, process, &uid);
  if (outcome)
    return outcome;
  struct denet_user *user = &reader->users[uid % DENET_USERS];
  uint64_t now_ns = env->boot_ns(env->context);
  if (user->uid != uid || now_ns >= user->expires_ns) {
    user->uid = uid;
    user->outcome = env->user_name(env->context, uid, user->name, sizeof(user->name));
    user->expires_ns = now_ns + (user->outcome ? DENET_USER_RETRY_NS : DENET_USER_NS);
  }
  attributes->uid = uid;
  if (!user->outcome)
    attributes->field[DENET_FIELD_USER] = denet_text_of(user->name);
  return user->outcome;
}

/* Notes why fields are absent. 0 or a transient error. */
static int note_outcome(struct denet_attributes *attributes, unsigned fields, int outcome) {
  if (outcome == DENET_LATER)
    attributes->stalled |= fields;
  if (outcome == DENET_GONE)
    attributes->gone |= fields;
  return denet_error_is_transient(outcome) ? outcome : 0;
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
  struct denet_text *field = attributes.field;
  int error = 0;
  if (fields & COMMAND_LINE)
    error =
        note_outcome(&attributes, COMMAND_LINE,
                     read_command_line(reader, source, process, &field[DENET_FIELD_COMMAND_LINE]));
  if (!error && fields & EXECUTABLE)
    error = note_outcome(&attributes, EXECUTABLE,
                         read_executable(reader, source, process, &field[DENET_FIELD_EXECUTABLE]));
  if (!error && fields & CGROUP_AND_UNIT)
    error = note_outcome(
        &attributes, CGROUP_AND_UNIT,
        read_cgroup(reader, source, process, &field[DENET_FIELD_CGROUP], &field[DENET_FIELD_UNIT]));
  if (!error && fields & USER)
    error = note_outcome(&attributes, USER, read_user(reader, source, env, process, &attributes));
  if (!error && attributes.gone && !process->ended)
    error = DENET_GONE;
  if (!error)
    *out_attributes = attributes;
  return error;
}
