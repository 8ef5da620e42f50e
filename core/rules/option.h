/* Options of a configuration block as a table: key -> field -> limits. Free of collectd: a setting
 * is what one line says, whoever parsed it. */
#pragma once

#include "core/util/error.h"

#include <stdbool.h>
#include <stddef.h>

enum denet_setting_type { DENET_SETTING_STRING, DENET_SETTING_NUMBER, DENET_SETTING_BOOLEAN };

/* One line of configuration with one value, borrowed. */
struct denet_setting {
  const char *key;
  enum denet_setting_type type;
  const char *string; /* DENET_SETTING_STRING, not NULL */
  double number;      /* DENET_SETTING_NUMBER */
  bool boolean;       /* DENET_SETTING_BOOLEAN */
};

enum denet_option_type {
  DENET_OPTION_SECONDS,   /* field: uint64_t, ns; the number and its limits are seconds */
  DENET_OPTION_COUNT,     /* field: unsigned; a whole number within the limits */
  DENET_OPTION_MEBIBYTES, /* field: uint64_t, bytes; the number and its limits are MiB */
  DENET_OPTION_BOOLEAN,   /* field: bool */
  DENET_OPTION_STRING,    /* field: char *, owned, freed when it is replaced; "" is refused */
  DENET_OPTION_WORD,      /* field: unsigned; which one of words, in any case */
};

struct denet_option {
  const char *key; /* compared without regard to case, as collectd does */
  enum denet_option_type type;
  size_t offset; /* of the field in the target */
  double least, most;
  const char *const *words; /* NULL behind the last */
};

#define DENET_UNKNOWN_OPTION 2

/* Stores setting in the field that options names for its key. 0; DENET_UNKNOWN_OPTION when no
 * row has the key (nothing is written to error); -EINVAL with a sentence that names the option, the
 * value and what is allowed; -ENOMEM. On anything but 0 the target is unchanged.
 * Limits that the field cannot hold, and numbers below 0, are refused whatever the row says. */
int denet_option_set(const struct denet_option *options, size_t count, void *target,
                     const struct denet_setting *setting, struct denet_error *error);

/* Whether a row has the key. */
bool denet_option_is_known(const struct denet_option *options, size_t count, const char *key);

/* -EINVAL and the sentence unless setting has the type. */
int denet_setting_expect(const struct denet_setting *setting, enum denet_setting_type type,
                         struct denet_error *error);

/* -EINVAL and the sentence `KEY VALUE: reason`. A string stands in quotes; a long value is cut so
 * that the reason fits, and control bytes become '?'. error may be NULL. */
int denet_setting_refuse(const struct denet_setting *setting, struct denet_error *error,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));
