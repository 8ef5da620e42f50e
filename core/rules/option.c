#include "core/rules/option.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A sentence shows at most so many bytes of a value, so that the reason behind it is not cut. */
#define VALUE_SHOWN 200

static const struct {
  enum denet_setting_type setting;
  double scale; /* from the number that is given to that in the field */
  const char *whole, *unit;
} types[] = {
    [DENET_OPTION_SECONDS] = {DENET_SETTING_NUMBER, 1e9, "", " seconds"},
    [DENET_OPTION_COUNT] = {DENET_SETTING_NUMBER, 1, "a whole number ", ""},
    [DENET_OPTION_MEBIBYTES] = {DENET_SETTING_NUMBER, 0x1p20, "", " MiB"},
    [DENET_OPTION_BOOLEAN] = {.setting = DENET_SETTING_BOOLEAN},
    [DENET_OPTION_STRING] = {.setting = DENET_SETTING_STRING},
    [DENET_OPTION_WORD] = {.setting = DENET_SETTING_STRING},
};

int denet_setting_refuse(const struct denet_setting *setting, struct denet_error *error,
                         const char *format, ...) {
  char reason[sizeof(error->text)], value[VALUE_SHOWN + 8];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof(reason), format, arguments);
  va_end(arguments);
  if (setting->type == DENET_SETTING_STRING)
    snprintf(value, sizeof(value), "\"%.*s%s\"", VALUE_SHOWN, setting->string,
             strlen(setting->string) > VALUE_SHOWN ? "..." : "");
  else if (setting->type == DENET_SETTING_NUMBER)
    snprintf(value, sizeof(value), "%.15g", setting->number);
  else
    snprintf(value, sizeof(value), "%s", setting->boolean ? "true" : "false");
  return denet_error_set(error, -EINVAL, "%.60s %s: %s", setting->key, value, reason);
}

int denet_setting_expect(const struct denet_setting *setting, enum denet_setting_type type,
                         struct denet_error *error) {
  static const char *const demands[] = {
      [DENET_SETTING_STRING] = "must be a string in quotes",
      [DENET_SETTING_NUMBER] = "must be a number",
      [DENET_SETTING_BOOLEAN] = "must be true or false",
  };
  if (setting->type == type)
    return 0;
  if (setting->type == DENET_SETTING_BLOCK)
    return denet_error_set(error, -EINVAL, "%.60s: one value is needed, not a block", setting->key);
  if (setting->type == DENET_SETTING_VALUES)
    return denet_error_set(error, -EINVAL, "%.60s: one value is needed, not %g", setting->key,
                           setting->number);
  return denet_setting_refuse(setting, error, "%s", demands[type]);
}

static int set_number(const struct denet_option *option, const struct denet_setting *setting,
                      struct denet_error *error, void *field) {
  double number = setting->number, scaled = number * types[option->type].scale;
  bool is_count = option->type == DENET_OPTION_COUNT;
  /* NaN is outside: every comparison with it is false. */
  bool fits = number >= option->least && number <= option->most && scaled >= 0 &&
              scaled < (is_count ? 0x1p32 : 0x1p64);
  if (!fits || (is_count && (double)(unsigned)number != number))
    return denet_setting_refuse(setting, error, "must be %sfrom %.15g to %.15g%s",
                                types[option->type].whole, option->least, option->most,
                                types[option->type].unit);
  if (is_count)
    *(unsigned *)field = (unsigned)number;
  else
    *(uint64_t *)field = (uint64_t)(scaled + 0.5);
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

static int set_word(const struct denet_option *option, const struct denet_setting *setting,
                    struct denet_error *error, unsigned *out_field) {
  char list[200];
  size_t length = 0;
  for (const char *const *word = option->words; *word && length < sizeof(list); word++) {
    const char *joint = word == option->words ? "" : word[1] ? ", " : " or ";
    length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", joint, *word);
    if (strcasecmp(*word, setting->string) != 0)
      continue;
    *out_field = (unsigned)(word - option->words);
    return 0;
  }
  return denet_setting_refuse(setting, error, "must be %s", list);
}

int denet_option_set(const struct denet_option *options, size_t count, void *target,
                     const struct denet_setting *setting, struct denet_error *error) {
  const struct denet_option *option = options, *end = options + count;
  while (option < end && strcasecmp(option->key, setting->key) != 0)
    option++;
  if (option == end)
    return DENET_UNKNOWN_OPTION;
  void *field = (char *)target + option->offset;
  int rc = denet_setting_expect(setting, types[option->type].setting, error);
  if (rc)
    return rc;
  if (option->type == DENET_OPTION_STRING)
    return set_string(setting, error, field);
  if (option->type == DENET_OPTION_WORD)
    return set_word(option, setting, error, field);
  if (option->type != DENET_OPTION_BOOLEAN)
    return set_number(option, setting, error, field);
  *(bool *)field = setting->boolean;
  return 0;
}
