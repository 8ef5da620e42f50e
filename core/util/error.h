/* Outcomes: 0 is success, -errno a failure, a positive named value an expected outcome. core does
 * not log: the sentence for the log comes back in struct denet_error. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

/* The process ended before it was read. The caller skips it; nothing is logged. */
#define DENET_GONE 1
/* Not known yet, and not waited for. The caller asks again in the next pass. */
#define DENET_LATER 2

/* Returns whether an outcome is a -errno that says nothing of what was read: a lack of memory or
 * descriptors, an interrupted or repeatable call, an I/O error. The caller tries again later. */
bool denet_error_is_transient(int outcome);

struct denet_error {
  char text[512]; /* one sentence, no full stop, no newline; "" when nothing went wrong */
};

/* Writes the sentence, cut at 511 bytes. A control byte, which could break the line of the log or
 * control a terminal, becomes '?'. */
void denet_error_write(struct denet_error *error, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Writes the sentence in the same way and returns code, so that a failure is one line:
 * return denet_error_set(error, -EINVAL, "..."). %m is the text of a code that is a -errno. error
 * may be NULL. */
int denet_error_set(struct denet_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
