/* Stacks of one tree since its last line: the same ones are one, with the sum of their times. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* The names of a stack's frames, leaf first, each ended by a NUL. Never changed: shared by whoever
 * has a reference, in any thread. */
struct denet_frames {
  uint64_t references; /* atomic */
  uint64_t hash;
  size_t length;
  char names[];
};

/* With one reference, the caller's; NULL: no memory. */
struct denet_frames *denet_frames_new(struct denet_text names);
struct denet_frames *denet_frames_hold(struct denet_frames *frames); /* one reference more */
void denet_frames_release(struct denet_frames *frames);              /* one less; NULL is fine */

struct denet_stack {
  struct denet_frames *frames; /* one reference */
  enum denet_reason reason;
  char thread[DENET_BPF_COMM]; /* the thread's name */
  uint64_t time_ns;            /* off-CPU time that the samples stand for */
  uint64_t count;              /* of samples */
};

#define DENET_STACKS_MOST 1024

struct denet_stack_counts {
  struct denet_stack *stacks; /* owned */
  size_t count, capacity;
  uint64_t lost; /* samples for which there was no room, ever */
};

/* Zeroed is an empty set. */
void denet_stack_counts_done(struct denet_stack_counts *set);

/* Adds a sample, whose reference stays the caller's. */
void denet_stack_counts_add(struct denet_stack_counts *set, const struct denet_stack *sample);

/* Sorts, longest first. */
void denet_stack_counts_sort(struct denet_stack_counts *set);

/* Forgets the stacks, keeps the memory. */
void denet_stack_counts_clear(struct denet_stack_counts *set);
