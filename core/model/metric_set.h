/* A set of metrics: bit m is metric m. Its users do not depend on the number of words that it has,
 * so that there can be any number of metrics. */
#pragma once

#include "core/model/metric.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool denet_metric_set_has(const struct denet_metric_set *set, unsigned metric) {
  return set->words[metric / 64] >> metric % 64 & 1;
}

static inline void denet_metric_set_add(struct denet_metric_set *set, unsigned metric) {
  set->words[metric / 64] |= UINT64_C(1) << metric % 64;
}

static inline void denet_metric_set_remove(struct denet_metric_set *set, unsigned metric) {
  set->words[metric / 64] &= ~(UINT64_C(1) << metric % 64);
}

static inline void denet_metric_set_add_all(struct denet_metric_set *set,
                                            const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    set->words[i] |= other->words[i];
}

static inline void denet_metric_set_remove_all(struct denet_metric_set *set,
                                               const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    set->words[i] &= ~other->words[i];
}

static inline bool denet_metric_set_is_empty(const struct denet_metric_set *set) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    if (set->words[i])
      return false;
  return true;
}

/* Returns whether a metric is in both sets. */
static inline bool denet_metric_set_meets(const struct denet_metric_set *set,
                                          const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    if (set->words[i] & other->words[i])
      return true;
  return false;
}

/* Returns whether each metric of the set is in the other one too. */
static inline bool denet_metric_set_is_within(const struct denet_metric_set *set,
                                              const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    if (set->words[i] & ~other->words[i])
      return false;
  return true;
}

/* Takes the lowest metric out of the set; false once it is empty:
 * for (unsigned m; denet_metric_set_take(&rest, &m);) */
static inline bool denet_metric_set_take(struct denet_metric_set *set, unsigned *out_metric) {
  for (unsigned i = 0; i < DENET_METRIC_WORDS; i++) {
    if (!set->words[i])
      continue;
    *out_metric = 64 * i + (unsigned)__builtin_ctzll(set->words[i]);
    set->words[i] &= set->words[i] - 1;
    return true;
  }
  return false;
}
