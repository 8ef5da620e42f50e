/* A kernel made of bytes, in place of the programs, the tracer and the thread for stacks: the
 * functions of core/programs.h, core/tracer.h and core/symbolizer.h, which tell what a script says.
 * It keeps to what a kernel promises (pids ascend, names end with a NUL, no counter wraps around);
 * all else is the script's. Its pids are above those that there can be in /proc. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/env.h"

#include <stdbool.h>

/* A fresh one at a fixed time. */
void kernel_start(void);
void kernel_stop(void);

/* Its clocks and users. */
extern const struct denet_env kernel_host;

/* Carries out the step that what stands for. False: it stands for none. rest: what the step may
 * take its numbers and texts from. */
bool kernel_step(char what, struct denet_text *rest);
