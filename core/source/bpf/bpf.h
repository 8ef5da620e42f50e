/* What the users of libbpf have in common. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>

/* One run of the iterator behind the link: replaces the content of records. 0 or -errno. */
int denet_bpf_read_iterator(int link_fd, struct denet_buffer *records);

/* Of programs that could not be loaded: failure, and a sentence that says what is missing. */
int denet_bpf_explain(int failure, struct denet_error *error);
