/* How core reports: 0 is success, -errno a failure, a positive named value an expected outcome.
 * core never logs: the sentence for the log comes back in struct denet_error. */
#pragma once

#include <stdarg.h>

/* The process ended between two looks; skip it, it is no event for a log. */
#define DENET_GONE 1
/* Not known yet, and not worth waiting for: ask again in the next pass. */
#define DENET_LATER 2

struct denet_error {
  char text[512]; /* one sentence, no full stop, no newline; "" when nothing went wrong */
};

/* Writes the sentence, cut at 511 bytes. A control byte, which would tear the line of the log or
 * play tricks on who reads it, becomes '?'. */
void denet_error_write(struct denet_error *error, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Writes the sentence in the same way and returns code, so that a failure is one line:
 * return denet_error_set(error, -EINVAL, "..."). error may be NULL. */
int denet_error_set(struct denet_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
