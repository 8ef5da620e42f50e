/* The stacks of one tree since its last line. Equal stacks are one, with the sum of their times. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* The names of a stack's frames, leaf first, a NUL behind each. Never changed, so that threads may
 * share them: each owner has a reference. */
struct denet_frames {
  uint64_t references; /* atomic */
  uint64_t hash;
  size_t length;
  char names[];
};

/* Returns a copy of the names, with one reference for the caller; NULL: no memory. */
struct denet_frames *denet_frames_new(struct denet_text names);
struct denet_frames *denet_frames_hold(struct denet_frames *frames); /* adds a reference */
void denet_frames_release(struct denet_frames *frames); /* drops a reference; NULL is fine */

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
  /* For record_off_cpu, by reason: off-CPU time up to the last line; as much of it as the stacks of
   * lines stand for; and the least time without a stack in some lines. Another set whose lines come
   * after these in the same file takes it over, so that no time is written again. */
  struct denet_stack_lines {
    uint64_t until_ns[DENET_REASONS], stacks_ns[DENET_REASONS], missing_ns[DENET_REASONS];
    unsigned count; /* of the lines that missing_ns is of */
  } lines;
};

/* Frees the stacks; zeroed is an empty set. */
void denet_stack_counts_done(struct denet_stack_counts *set);

/* Adds a sample, whose reference stays the caller's. */
void denet_stack_counts_add(struct denet_stack_counts *set, const struct denet_stack *sample);

/* Removes the stacks, keeps the memory. */
void denet_stack_counts_clear(struct denet_stack_counts *set);
