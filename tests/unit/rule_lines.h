/* Rules made from lines, for the tests of rules. */
#pragma once

#include "core/model/metric.h"
#include "core/rules/rule.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define BYTES(literal)                                                                             \
  { literal, sizeof(literal) - 1 }
#define STRING(key_, string_)                                                                      \
  { .key = key_, .type = DENET_SETTING_STRING, .string = string_ }
#define NUMBER(key_, number_)                                                                      \
  { .key = key_, .type = DENET_SETTING_NUMBER, .number = number_ }
#define BOOLEAN(key_, boolean_)                                                                    \
  { .key = key_, .type = DENET_SETTING_BOOLEAN, .boolean = boolean_ }
#define BIT(field) (1u << DENET_FIELD_##field)

#define MOST_LINES 6

/* Lines of a <Rule> block, up to one without a key. */
struct line {
  const char *key, *value;
};

static inline void set_line(struct denet_rule *rule, const char *key, const char *value) {
  struct denet_setting setting = STRING(key, value);
  struct denet_error error = {""};
  int rc = denet_rule_set(rule, &setting, &error);
  ck_assert_msg(rc == 0, "%s \"%s\": %d %s", key, value, rc, error.text);
}

/* A finished rule of these lines, to be done by the caller. */
static inline void make_rule(struct denet_rule *rule, const struct line *lines) {
  struct denet_error error = {""};
  ck_assert_int_eq(denet_rule_init(rule, "rule", &error), 0);
  for (size_t i = 0; i < MOST_LINES && lines[i].key; i++)
    set_line(rule, lines[i].key, lines[i].value);
  ck_assert_msg(denet_rule_finish(rule, &error) == 0, "%s", error.text);
}

static inline struct denet_attributes postgres_attributes(void) {
  return (struct denet_attributes){
      .pid = 4242,
      .uid = 114,
      .field =
          {
              [DENET_FIELD_COMM] = BYTES("postgres"),
              [DENET_FIELD_COMMAND_LINE] = BYTES("/usr/bin/postgres -D /srv/pg15"),
              [DENET_FIELD_EXECUTABLE] = BYTES("/usr/lib/postgresql/15/bin/postgres"),
              [DENET_FIELD_USER] = BYTES("pgsql"),
              [DENET_FIELD_UNIT] = BYTES("postgresql@15-main.service"),
              [DENET_FIELD_CGROUP] = BYTES("/system.slice/postgresql@15-main.service"),
          },
  };
}
