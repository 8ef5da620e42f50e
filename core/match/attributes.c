#include "core/match/attributes.h"

#include "core/util/cleanup.h"

#include <stdio.h>

#define BIT(field) (1u << DENET_FIELD_##field)

void denet_attributes_reader_done(struct denet_attributes_reader *reader) {
  for (size_t i = 0; i < DENET_COUNT_OF(reader->texts); i++)
    denet_buffer_done(&reader->texts[i]);
  denet_buffer_done(&reader->unit);
}

static int read_text(struct denet_attributes_reader *reader, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_text *out_text) {
  int outcome = denet_source_read_text(reader->source, process, kind, &reader->texts[kind]);
  if (!outcome)
    *out_text = denet_buffer_text(&reader->texts[kind]);
  return outcome;
}

/* Joins the arguments with spaces; of a process without arguments it is "[name]", as in ps(1). */
static int read_command_line(struct denet_attributes_reader *reader, struct denet_process *process,
                             struct denet_attributes *attributes) {
  struct denet_buffer *line = &reader->texts[DENET_TEXT_ARGUMENTS];
  struct denet_text *field = &attributes->field[DENET_FIELD_COMMAND_LINE];
  int outcome = read_text(reader, process, DENET_TEXT_ARGUMENTS, field);
  if (outcome)
    return outcome;
  for (size_t i = 0; i < line->length; i++)
    if (line->bytes[i] == '\0')
      line->bytes[i] = ' ';
  if (!line->length) {
    char name[DENET_COMM_BYTES + 2];
    snprintf(name, sizeof(name), "[%s]", process->name);
    outcome = denet_buffer_append_string(line, name);
  }
  *field = denet_buffer_text(line);
  return outcome;
}

static int read_executable(struct denet_attributes_reader *reader, struct denet_process *process,
                           struct denet_attributes *attributes) {
  return read_text(reader, process, DENET_TEXT_EXECUTABLE,
                   &attributes->field[DENET_FIELD_EXECUTABLE]);
}

static int read_cgroup(struct denet_attributes_reader *reader, struct denet_process *process,
                       struct denet_attributes *attributes) {
  struct denet_text *path = &attributes->field[DENET_FIELD_CGROUP];
  int outcome = read_text(reader, process, DENET_TEXT_CGROUP, path);
  if (outcome)
    return outcome;
  /* The unit of a process in no unit is empty, not absent: Unit "!ssh.service" matches it. */
  struct denet_text unit = denet_rule_unit(*path);
  denet_buffer_clear(&reader->unit);
  outcome = denet_buffer_append(&reader->unit, unit.bytes, unit.length);
  attributes->field[DENET_FIELD_UNIT] = denet_buffer_text(&reader->unit);
  return outcome;
}

static int read_user(struct denet_attributes_reader *reader, struct denet_process *process,
                     struct denet_attributes *attributes) {
  const struct denet_env *env = reader->env;
  uid_t uid;
  int outcome = reader->source->read_uid(reader->source, process, &uid);
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

int denet_attributes_read(struct denet_attributes_reader *reader, struct denet_process *process,
                          unsigned fields, struct denet_attributes *out_attributes) {
  static const struct {
    unsigned fields;
    int (*read)(struct denet_attributes_reader *, struct denet_process *,
                struct denet_attributes *);
  } reads[] = {
      {BIT(COMMAND_LINE), read_command_line},
      {BIT(EXECUTABLE), read_executable},
      {BIT(CGROUP) | BIT(UNIT), read_cgroup},
      {BIT(USER), read_user},
  };
  struct denet_attributes attributes = {
      .pid = process->pid,
      .kernel_thread = process->kernel_thread,
      .uid = UINT64_MAX,
      .field = {[DENET_FIELD_COMM] = denet_text_of(process->name)},
  };
  for (size_t i = 0; i < DENET_COUNT_OF(reads); i++) {
    int outcome = (fields & reads[i].fields) ? reads[i].read(reader, process, &attributes) : 0;
    if (denet_error_is_transient(outcome))
      return outcome;
    attributes.stalled |= outcome == DENET_LATER ? reads[i].fields : 0;
    attributes.gone |= outcome == DENET_GONE ? reads[i].fields : 0;
  }
  if (attributes.gone && !process->ended)
    return DENET_GONE;
  *out_attributes = attributes;
  return 0;
}
