/* C++ names as people write them. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>

/* Replaces the content of out by the name that mangled stands for. False, and out is then as
 * before, where it is no mangled name or one that would become absurdly long. */
bool denet_demangle(const char *mangled, struct denet_buffer *out);
