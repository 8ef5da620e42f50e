/* What travels from the monitor to the files: one line of denet-format.md and the file it belongs
 * to. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>
#include <sys/types.h>

enum denet_line_kind {
  DENET_LINE_METADATA, /* first of a file; again for a process that exec'd: starts a new part */
  DENET_LINE_SAMPLE,
  DENET_LINE_LAST, /* nothing comes after it: the file is finished */
  DENET_LINE_END,  /* no line: the file is finished, and its last line was lost */
};

/* Everything is borrowed for the length of the call that it is given to. */
struct denet_line {
  enum denet_line_kind kind;
  const char *instance; /* a safe name (name.h) */
  pid_t pid;
  uint64_t t0_ms; /* start of the process, Unix ms; (instance, pid, t0_ms) is the file's key */
  struct denet_text json; /* one object, without newline */
};
