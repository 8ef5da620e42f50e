/* The options of a configuration block as a table: key, field, limits. Independent of the face that
 * parsed the configuration. */
#pragma once

#include "core/util/error.h"

#include <stdbool.h>
#include <stddef.h>

/* BLOCK and VALUES, a number of values other than one, are refused for every option. */
enum denet_setting_type {
  DENET_SETTING_STRING,
  DENET_SETTING_NUMBER,
  DENET_SETTING_BOOLEAN,
  DENET_SETTING_BLOCK,
  DENET_SETTING_VALUES,
};

/* One line of configuration, borrowed. */
struct denet_setting {
  const char *key;
  enum denet_setting_type type;
  const char *string; /* DENET_SETTING_STRING, not NULL */
  double number;      /* DENET_SETTING_NUMBER; DENET_SETTING_VALUES: how many there are */
  bool boolean;       /* DENET_SETTING_BOOLEAN */
};

enum denet_option_type {
  DENET_OPTION_SECONDS,   /* field: uint64_t, ns; the number and its limits are seconds */
  DENET_OPTION_COUNT,     /* field: unsigned; a whole number within the limits */
  DENET_OPTION_MEBIBYTES, /* field: uint64_t, bytes; the number and its limits are MiB */
  DENET_OPTION_BOOLEAN,   /* field: bool */
  DENET_OPTION_STRING,    /* field: char *, owned, freed when it is replaced; "" is refused */
  DENET_OPTION_WORD,      /* field: unsigned; the index in words, any case */
};

struct denet_option {
  const char *key; /* compared without regard to case, as collectd does */
  enum denet_option_type type;
  size_t offset; /* of the field in the target */
  double least, most;
  const char *const *words; /* NULL behind the last */
};

#define DENET_UNKNOWN_OPTION 2

/* Stores setting in the field that options has for its key. 0; DENET_UNKNOWN_OPTION if no row has
 * the key (error is not written); -EINVAL with a sentence that names the option, the value and what
 * is allowed; -ENOMEM with a sentence. Unless it returns 0 the target is unchanged. Numbers below 0
 * and numbers that the field cannot hold are refused, whatever the limits are. */
int denet_option_set(const struct denet_option *options, size_t count, void *target,
                     const struct denet_setting *setting, struct denet_error *error);

/* Returns 0 if setting has the type, or else -EINVAL with a sentence. */
int denet_setting_expect(const struct denet_setting *setting, enum denet_setting_type type,
                         struct denet_error *error);

/* Writes the sentence `KEY VALUE: reason` and returns -EINVAL. A string stands in quotes; a long
 * value is cut so that the reason fits. error may be NULL. */
int denet_setting_refuse(const struct denet_setting *setting, struct denet_error *error,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));
