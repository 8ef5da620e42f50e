/* The capabilities of this process, capabilities(7), and sentences about those that it lacks. */
#pragma once

#include "core/util/error.h"

#include <linux/capability.h>
#include <stdint.h>

/* A set of capabilities is the sum of its bits. */
#define DENET_CAPABILITY(name) (UINT64_C(1) << CAP_##name)

/* Returns the effective capabilities of the calling thread, and those that they include:
 * CAP_SYS_ADMIN has CAP_BPF and CAP_PERFMON, and CAP_DAC_OVERRIDE may search and read. 0 if they
 * cannot be read. */
uint64_t denet_capabilities_read(void);

/* Writes the sentence, and which of the needed capabilities would help: those that are not in has.
 * If all are, a capability is no remedy, and the sentence says what forbids the access. */
void denet_capabilities_explain(const char *sentence, uint64_t needed, uint64_t has,
                                struct denet_error *out);
