#include "core/util/error.h"

#include <errno.h>
#include <stdio.h>

bool denet_error_is_transient(int outcome) {
  return outcome == -EAGAIN || outcome == -EINTR || outcome == -EIO || outcome == -EMFILE ||
         outcome == -ENFILE || outcome == -ENOMEM;
}

void denet_error_write(struct denet_error *error, const char *format, va_list arguments) {
  vsnprintf(error->text, sizeof(error->text), format, arguments);
  for (char *at = error->text; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f)
      *at = '?';
}

int denet_error_set(struct denet_error *error, int code, const char *format, ...) {
  if (!error)
    return code;
  va_list arguments;
  errno = -code;
  va_start(arguments, format);
  denet_error_write(error, format, arguments);
  va_end(arguments);
  return code;
}
