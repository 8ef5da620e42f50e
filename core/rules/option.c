#include "core/rules/option.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A sentence shows at most so many bytes of a value, so that the reason behind it is not cut. */
#define VALUE_SHOWN 200

typedef char shown_value[VALUE_SHOWN + 8];

static const char *const type_demands[] = {
    [DENET_SETTING_STRING] = "must be a string in quotes",
    [DENET_SETTING_NUMBER] = "must be a number",
    [DENET_SETTING_BOOLEAN] = "must be true or false",
};

static const enum denet_setting_type setting_types[] = {
    [DENET_OPTION_SECONDS] = DENET_SETTING_NUMBER,   [DENET_OPTION_COUNT] = DENET_SETTING_NUMBER,
    [DENET_OPTION_MEBIBYTES] = DENET_SETTING_NUMBER, [DENET_OPTION_BOOLEAN] = DENET_SETTING_BOOLEAN,
    [DENET_OPTION_STRING] = DENET_SETTING_STRING,    [DENET_OPTION_WORD] = DENET_SETTING_STRING,
};

static void show_value(const struct denet_setting *setting, shown_value out_shown) {
  switch (setting->type) {
  case DENET_SETTING_STRING: {
    const char *rest = strlen(setting->string) > VALUE_SHOWN ? "..." : "";
    snprintf(out_shown, sizeof(shown_value), "\"%.*s%s\"", VALUE_SHOWN, setting->string, rest);
    return;
  }
  case DENET_SETTING_NUMBER:
    snprintf(out_shown, sizeof(shown_value), "%.15g", setting->number);
    return;
  case DENET_SETTING_BOOLEAN:
    snprintf(out_shown, sizeof(shown_value), "%s", setting->boolean ? "true" : "false");
    return;
  }
}

int denet_setting_refuse(const struct denet_setting *setting, struct denet_error *error,
                         const char *format, ...) {
  char reason[sizeof(error->text)];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof(reason), format, arguments);
  va_end(arguments);

  shown_value value = "";
  show_value(setting, value);
  return denet_error_set(error, -EINVAL, "%.60s %s: %s", setting->key, value, reason);
}

int denet_setting_expect(const struct denet_setting *setting, enum denet_setting_type type,
                         struct denet_error *error) {
  if (setting->type == type)
    return 0;
  return denet_setting_refuse(setting, error, "%s", type_demands[type]);
}

static int refuse_number(const struct denet_option *option, const struct denet_setting *setting,
                         struct denet_error *error) {
  const char *whole = option->type == DENET_OPTION_COUNT ? "a whole number " : "";
  const char *unit = "";
  if (option->type == DENET_OPTION_SECONDS)
    unit = " seconds";
  if (option->type == DENET_OPTION_MEBIBYTES)
    unit = " MiB";
  return denet_setting_refuse(setting, error, "must be %sfrom %.15g to %.15g%s", whole,
                              option->least, option->most, unit);
}

/* NaN is outside: every comparison with it is false. */
static bool number_is_within(double number, double least, double most) {
  return number >= least && number <= most;
}

static int set_scaled(const struct denet_option *option, const struct denet_setting *setting,
                      double scale, struct denet_error *error, uint64_t *out_field) {
  double scaled = setting->number * scale;
  if (!number_is_within(setting->number, option->least, option->most) || scaled < 0 ||
      scaled >= 0x1p64)
    return refuse_number(option, setting, error);
  *out_field = (uint64_t)(scaled + 0.5);
  return 0;
}

static int set_count(const struct denet_option *option, const struct denet_setting *setting,
                     struct denet_error *error, unsigned *out_field) {
  double number = setting->number;
  if (!number_is_within(number, option->least, option->most) ||
      !number_is_within(number, 0, UINT_MAX) || (double)(unsigned)number != number)
    return refuse_number(option, setting, error);
  *out_field = (unsigned)number;
  return 0;
}

static int set_string(const struct denet_setting *setting, struct denet_error *error,
                      char **out_field) {
  if (setting->string[0] == '\0')
    return denet_setting_refuse(setting, error, "must not be empty");
  char *copy = strdup(setting->string);
  if (!copy)
    return denet_error_set(error, -ENOMEM, "out of memory");
  free(*out_field);
  *out_field = copy;
  return 0;
}

static int refuse_word(const struct denet_option *option, const struct denet_setting *setting,
                       struct denet_error *error) {
  char list[200];
  size_t length = 0;
  for (const char *const *word = option->words; *word && length < sizeof(list); word++) {
    const char *joint = word == option->words ? "" : word[1] ? ", " : " or ";
    length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", joint, *word);
  }
  return denet_setting_refuse(setting, error, "must be %s", list);
}

static int set_word(const struct denet_option *option, const struct denet_setting *setting,
                    struct denet_error *error, unsigned *out_field) {
  for (unsigned i = 0; option->words[i]; i++)
    if (!strcasecmp(option->words[i], setting->string)) {
      *out_field = i;
      return 0;
    }
  return refuse_word(option, setting, error);
}

static int set_field(const struct denet_option *option, const struct denet_setting *setting,
                     struct denet_error *error, void *field) {
  switch (option->type) {
  case DENET_OPTION_SECONDS:
    return set_scaled(option, setting, 1e9, error, field);
  case DENET_OPTION_MEBIBYTES:
    return set_scaled(option, setting, 0x1p20, error, field);
  case DENET_OPTION_COUNT:
    return set_count(option, setting, error, field);
  case DENET_OPTION_STRING:
    return set_string(setting, error, field);
  case DENET_OPTION_WORD:
    return set_word(option, setting, error, field);
  case DENET_OPTION_BOOLEAN:
    *(bool *)field = setting->boolean;
    return 0;
  }
  return -EINVAL;
}

static const struct denet_option *find_option(const struct denet_option *options, size_t count,
                                              const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcasecmp(options[i].key, key) == 0)
      return &options[i];
  return NULL;
}

bool denet_option_is_known(const struct denet_option *options, size_t count, const char *key) {
  return find_option(options, count, key) != NULL;
}

int denet_option_set(const struct denet_option *options, size_t count, void *target,
                     const struct denet_setting *setting, struct denet_error *error) {
  const struct denet_option *option = find_option(options, count, setting->key);
  if (!option)
    return DENET_UNKNOWN_OPTION;
  int rc = denet_setting_expect(setting, setting_types[option->type], error);
  if (rc < 0)
    return rc;
  return set_field(option, setting, error, (char *)target + option->offset);
}
