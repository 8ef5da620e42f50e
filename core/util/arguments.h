/* The arguments of a process, as the metadata line has them: NUL between them, none at the end. */
#pragma once

#include "core/util/buffer.h"

/* What denet_arguments_shorten() leaves at most, NULs included. */
#define DENET_ARGUMENTS_MAX 4096

/* Shortens arguments of more than DENET_ARGUMENTS_MAX bytes: whole arguments from the start (at
 * most half of it) and from the end stay; one argument "[... N bytes ...]" stands for those
 * between. N counts what is left out, with a NUL after each argument except the last. If no whole
 * argument fits, the first and the last bytes stay instead: that is then ["START", "[... N bytes
 * ...]", "END"], cut without regard to UTF-8. Gives back the memory that is not needed. */
void denet_arguments_shorten(struct denet_buffer *arguments);
