/* C++ and Rust names as people write them. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>

/* Replaces the content of out by the name that mangled stands for. Returns false if it
 * is no mangled name, if it would become absurdly long, or without memory. */
bool denet_demangle(const char *mangled, struct denet_buffer *out);
