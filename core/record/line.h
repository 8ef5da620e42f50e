/* What goes from the monitor to the files: one line (README.md) and the file that it belongs to. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>
#include <sys/types.h>

enum denet_line_kind {
  DENET_LINE_METADATA, /* the first one of a file; after an exec another, which starts a segment */
  DENET_LINE_SAMPLE,
  DENET_LINE_LAST, /* a sample after which the file is finished */
  DENET_LINE_END,  /* no line: the file is finished, and its last line was lost */
};

/* All borrowed during the call that it is given to. */
struct denet_line {
  enum denet_line_kind kind;
  const char *instance; /* a safe name (name.h) */
  pid_t pid;
  uint64_t t0_ms; /* start of the process, Unix ms; (instance, pid, t0_ms) is the file's key */
  struct denet_text json; /* one object, without newline */
};
