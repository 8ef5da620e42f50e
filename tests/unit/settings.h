/* Settings as initializers, for the tests of rules. */
#pragma once

#include "core/rules/option.h"
#include "tests/unit/text.h"

#define STRING(key_, string_)                                                                      \
  { .key = key_, .type = DENET_SETTING_STRING, .string = string_ }
#define NUMBER(key_, number_)                                                                      \
  { .key = key_, .type = DENET_SETTING_NUMBER, .number = number_ }
#define BOOLEAN(key_, boolean_)                                                                    \
  { .key = key_, .type = DENET_SETTING_BOOLEAN, .boolean = boolean_ }
