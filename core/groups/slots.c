#include "core/groups/slots.h"

#include <errno.h>
#include <stdlib.h>

void denet_slots_done(struct denet_slots *slots) {
  free(slots->words);
  *slots = (struct denet_slots){0};
}

int denet_slots_take(struct denet_slots *slots, unsigned *out_slot) {
  size_t word = 0;
  while (word < slots->count && slots->words[word] == UINT64_MAX)
    word++;
  if (word == slots->count) {
    uint64_t *grown = reallocarray(slots->words, slots->count + 1, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    slots->words = grown;
    slots->words[slots->count++] = 0;
  }
  unsigned bit = (unsigned)__builtin_ctzll(~slots->words[word]);
  slots->words[word] |= UINT64_C(1) << bit;
  *out_slot = (unsigned)(word * 64) + bit;
  return 0;
}

void denet_slots_give_back(struct denet_slots *slots, unsigned slot) {
  slots->words[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}
