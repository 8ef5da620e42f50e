/* Names that are safe as a collectd identifier, a Graphite path element and a file name alike:
 * [A-Za-z0-9_.-], not empty, no leading dot, at most DENET_NAME_MAX bytes,
 * what safe() and distinct() add included. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>

/* Below collectd's 127 (DATA_MAX_NAME_LEN - 1, plugin.h), with room for a suffix. */
#define DENET_NAME_MAX 100

/* Room for a safe name, its suffix and the NUL. */
typedef char denet_name[DENET_NAME_MAX + 28];

/* The safe form of raw, any bytes: every other byte and a leading dot become '_', nothing (or
 * absent) becomes "_"; a longer one is cut and gets
 * "-" and 16 hexadecimal digits of denet_name_hash(raw), so that two long ones stay distinct. */
void denet_name_safe(struct denet_text raw, denet_name out_name);

/* The same, with the digits in every case: for a raw name whose plain form is taken by another.
 * Each attempt gives other digits; those of attempt 0 are denet_name_hash(raw). */
void denet_name_distinct(struct denet_text raw, unsigned attempt, denet_name out_name);

/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
uint64_t denet_name_hash(struct denet_text raw);
