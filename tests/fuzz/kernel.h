/* A kernel made of the bytes of an input: the functions of core/source/bpf/loader.h,
 * core/stacks/tracer.h and core/stacks/stack_worker.h, driven by a script. It keeps what every
 * kernel guarantees: pids ascend, names end with a NUL, counters do not wrap around. Its pids are
 * above those that /proc can have. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>

/* Starts with no process, at a fixed time. */
void kernel_start(void);
void kernel_stop(void);

/* Carries out a step, with numbers and texts taken from rest. Returns false if there is no such
 * step. */
bool kernel_step(char what, struct denet_text *rest);
