/* C++ and Rust names as people write them. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>

/* Replaces the content of out by the name that mangled stands for. Returns false, and out is as
 * before, if it is no mangled name or one that would become absurdly long. */
bool denet_demangle(const char *mangled, struct denet_buffer *out);
