#include "core/util/log.h"

#include "core/util/error.h"

void denet_log_write(const struct denet_log *log, enum denet_severity severity, const char *format,
                     ...) {
  if (!log->write)
    return;
  struct denet_error sentence = {""};
  va_list arguments;
  va_start(arguments, format);
  denet_error_write(&sentence, format, arguments);
  va_end(arguments);
  log->write(log->context, severity, sentence.text);
}
