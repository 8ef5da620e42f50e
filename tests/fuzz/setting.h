/* Settings made from lines "KEY VALUE", for targets that take configuration. */
#pragma once

#include "core/rules/option.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

struct fuzz_setting {
  struct denet_setting setting;
  char *key; /* owned; the value is behind it */
};

/* As collectd reads them: a value is a number if it reads as one, "true" and "false" are
 * themselves, all else is a string. */
static inline void fuzz_setting_read(struct denet_text line, struct fuzz_setting *out) {
  char *key = fuzz_string(line), *value = strchr(key, ' '), *end;
  if (value)
    *value++ = '\0';
  else
    value = key + strlen(key);
  *out = (struct fuzz_setting){{.key = key, .string = value}, key};
  out->setting.number = strtod(value, &end);
  bool is_true = !strcmp(value, "true"), is_false = !strcmp(value, "false");
  out->setting.boolean = is_true;
  out->setting.type = is_true || is_false     ? DENET_SETTING_BOOLEAN
                      : end != value && !*end ? DENET_SETTING_NUMBER
                                              : DENET_SETTING_STRING;
}

static inline void fuzz_setting_done(struct fuzz_setting *setting) { free(setting->key); }
