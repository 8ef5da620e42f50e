/* Small numbers that are lent and come back: %{slot}. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct denet_slots {
  uint64_t *words; /* bit set: lent; owned */
  size_t count;
};

void denet_slots_done(struct denet_slots *slots);

/* Lends the smallest free number. 0 or -ENOMEM. */
int denet_slots_take(struct denet_slots *slots, unsigned *out_slot);

void denet_slots_give_back(struct denet_slots *slots, unsigned slot);
