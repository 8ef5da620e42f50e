/* Settings made from lines "KEY VALUE", for targets that take configuration. */
#pragma once

#include "core/rules/option.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* As collectd reads them: a value is a number if it reads as one, "true" and "false" are
 * themselves, all else is a string. The key is owned: fuzz_setting_done() frees it; the value is
 * behind it. */
static inline struct denet_setting fuzz_setting_read(struct denet_text line) {
  char *key = fuzz_string(line), *value = strchr(key, ' '), *end;
  if (value)
    *value++ = '\0';
  else
    value = key + strlen(key);
  struct denet_setting setting = {.key = key, .string = value, .number = strtod(value, &end)};
  setting.boolean = !strcmp(value, "true");
  setting.type = setting.boolean || !strcmp(value, "false") ? DENET_SETTING_BOOLEAN
                 : end != value && !*end                    ? DENET_SETTING_NUMBER
                                                            : DENET_SETTING_STRING;
  return setting;
}

static inline void fuzz_setting_done(struct denet_setting *setting) { free((char *)setting->key); }
