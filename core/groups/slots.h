/* The numbers of %{slot}: small ones, each of which has one holder at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct denet_slots {
  uint64_t *words; /* bit set: taken; owned */
  size_t count;
};

void denet_slots_done(struct denet_slots *slots);

/* Takes the smallest free number. 0 or -ENOMEM. */
int denet_slots_take(struct denet_slots *slots, unsigned *out_slot);

/* Frees a number that is taken. */
void denet_slots_give_back(struct denet_slots *slots, unsigned slot);
