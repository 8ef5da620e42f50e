/* Sentences for the log of the face: core has no log of its own. */
#pragma once

/* The numbers are those of syslog(3). */
enum denet_severity {
  DENET_SEVERITY_ERROR = 3,
  DENET_SEVERITY_WARNING = 4,
  DENET_SEVERITY_NOTICE = 5,
  DENET_SEVERITY_INFO = 6,
};

struct denet_log {
  /* Logs one sentence, without full stop and newline, borrowed during the call. Any thread of denet
   * may call it, without a lock held. NULL: there is no log. */
  void (*write)(void *context, enum denet_severity severity, const char *sentence);
  void *context;
};

/* Formats a sentence as denet_error_set() does and logs it. */
void denet_log_write(const struct denet_log *log, enum denet_severity severity, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
