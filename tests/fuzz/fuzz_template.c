/* The Instance option, and the names of groups that it gives. An input is lines: how many groups
 * the rule's regexes have, the template, and the values of its placeholders. */
#include "core/groups/group.h"
#include "core/rules/template.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static struct denet_text take(struct denet_text *input) {
  struct denet_text line = {0};
  fuzz_take_line(input, &line);
  return line;
}

/* Two groups never have one name, and one raw name is one group. */
static void claim_groups(const char *template, struct denet_text raw, struct denet_text other) {
  struct denet_rule rule = {
      .name = (char *)"rule", .instance = (char *)template, .max_instances = 100};
  struct denet_groups groups = {0};
  struct denet_group *first, *second, *again;
  CLAIM(denet_groups_get(&groups, &rule, raw, &first) == 0);
  CLAIM(denet_groups_get(&groups, &rule, other, &second) == 0);
  CLAIM(denet_groups_get(&groups, &rule, raw, &again) == 0);
  CLAIM(fuzz_is_safe_name(first->name) && fuzz_is_safe_name(second->name));
  CLAIM(again == first);
  CLAIM((first == second) == !strcmp(first->name, second->name));
  CLAIM(first != second || (raw.length == other.length &&
                            (!raw.length || !memcmp(raw.bytes, other.bytes, raw.length))));
  denet_groups_done(&groups);
}

static void claim_expanded(const char *template, struct denet_text *input) {
  size_t length = input->length, placeholders = strlen(template) / strlen("%{1}");
  struct denet_rule rule = {.name = fuzz_string(take(input)), .instance = (char *)template};
  struct denet_attributes attributes = {.pid = 4194304};
  struct denet_captures captures;
  struct denet_buffer name = {0};
  for (size_t i = 0; i < DENET_FIELD_PID_FILE; i++)
    if (i != DENET_FIELD_COMMAND_LINE) /* no placeholder */
      attributes.field[i] = take(input);
  for (size_t i = 0; i < DENET_CAPTURES; i++)
    captures.group[i] = take(input);
  CLAIM(denet_template_expand(&rule, &attributes, &captures, 7, &name) == 0);
  CLAIM(name.length <= strlen(template) + placeholders * (length + strlen("4194304")));
  claim_groups(template, denet_buffer_text(&name), *input);
  denet_buffer_done(&name);
  free(rule.name);
}

void fuzz_one(struct denet_text input) {
  /* No text of a process has a NUL. */
  input.length = input.length ? strnlen(input.bytes, input.length) : 0;
  uint8_t groups = fuzz_take_byte(&input) % 10;
  struct denet_error error = {""};
  unsigned uses;
  take(&input);
  char *template = fuzz_string(take(&input));
  if (denet_template_check(template, groups, &error, &uses) == 0)
    claim_expanded(template, &input);
  else
    CLAIM(fuzz_is_sentence(error.text));
  free(template);
}
