#include "core/match/attributes.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BIT(field) (1u << DENET_FIELD_##field)
#define USER (DENET_TEXT_CGROUP + 1) /* read after the texts */

void denet_attributes_reader_done(struct denet_attributes_reader *reader) {
  for (size_t i = 0; i < DENET_COUNT_OF(reader->texts); i++)
    denet_buffer_done(&reader->texts[i]);
  for (size_t i = 0; i < DENET_CGROUP_NAMES; i++)
    denet_buffer_done(&reader->names[i]);
}

/* Joins the arguments with spaces, without white space at the end, as collectd's processes plugin
 * does: titles are padded. Of a process without arguments it is "[name]", as in ps(1). */
static int make_command_line(struct denet_buffer *arguments, const char *name) {
  char in_brackets[DENET_COMM_BYTES + 2];
  for (size_t i = 0; i < arguments->length; i++)
    if (arguments->bytes[i] == '\0')
      arguments->bytes[i] = ' ';
  while (arguments->length > 1 && strchr(" \t\n\v\f\r", arguments->bytes[arguments->length - 1]))
    arguments->bytes[--arguments->length] = '\0';
  snprintf(in_brackets, sizeof(in_brackets), "[%s]", name);
  return arguments->length ? 0 : denet_buffer_append_string(arguments, in_brackets);
}

/* Reads a text into its field, and that of a cgroup into DENET_CGROUP_FIELDS. */
static int read_text(struct denet_attributes_reader *reader, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_attributes *attributes) {
  static const enum denet_field fields[] = {[DENET_TEXT_ARGUMENTS] = DENET_FIELD_COMMAND_LINE,
                                            [DENET_TEXT_EXECUTABLE] = DENET_FIELD_EXECUTABLE,
                                            [DENET_TEXT_CGROUP] = DENET_FIELD_CGROUP};
  struct denet_buffer *text = &reader->texts[kind];
  int outcome = denet_source_read_text(reader->source, process, kind, text);
  if (!outcome && kind == DENET_TEXT_ARGUMENTS)
    outcome = make_command_line(text, process->name);
  if (outcome)
    return outcome;
  attributes->field[fields[kind]] = denet_buffer_text(text);
  if (kind != DENET_TEXT_CGROUP)
    return 0;
  outcome = denet_cgroup_path_read(denet_buffer_text(text), reader->names);
  /* The unit of a process in no unit is empty, not absent: Unit "!ssh.service" matches it. */
  for (unsigned i = 0; i < DENET_CGROUP_NAMES; i++)
    attributes->field[DENET_FIELD_UNIT + i] = denet_buffer_text(&reader->names[i]);
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
  bool may_stay = reader->takes_numbers && user->outcome != -ENOMEM;
  if (denet_error_is_transient(user->outcome) && !may_stay)
    return user->outcome;
  if (user->outcome) /* as ps(1) does */
    snprintf(user->name, sizeof(user->name), "%u", (unsigned)uid);
  attributes->uid = uid;
  attributes->field[DENET_FIELD_USER] = denet_text_of(user->name);
  return 0;
}

int denet_attributes_read(struct denet_attributes_reader *reader, struct denet_process *process,
                          unsigned fields, struct denet_attributes *out_attributes) {
  static const unsigned fields_of[] = {[DENET_TEXT_ARGUMENTS] = BIT(COMMAND_LINE),
                                       [DENET_TEXT_EXECUTABLE] = BIT(EXECUTABLE),
                                       [DENET_TEXT_CGROUP] = DENET_CGROUP_FIELDS,
                                       [USER] = BIT(USER)};
  struct denet_attributes attributes = {
      .pid = process->pid,
      .kernel_thread = process->kernel_thread,
      .uid = UINT64_MAX,
      .field = {[DENET_FIELD_COMM] = denet_text_of(process->name)},
  };
  for (unsigned kind = 0; kind < DENET_COUNT_OF(fields_of); kind++) {
    if (!(fields & fields_of[kind]))
      continue;
    int outcome = kind == USER ? read_user(reader, process, &attributes)
                               : read_text(reader, process, kind, &attributes);
    if (denet_error_is_transient(outcome))
      return outcome;
    attributes.stalled |= outcome == DENET_LATER ? fields_of[kind] : 0;
    attributes.gone |= outcome == DENET_GONE ? fields_of[kind] : 0;
  }
  if (attributes.gone && !process->ended)
    return DENET_GONE;
  *out_attributes = attributes;
  return 0;
}
