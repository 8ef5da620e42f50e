/* Walking up one stack: the registers of the frame that is looked at, and what of the snapshot
 * decided about the way. A snapshot that agrees in just that has the same frames. */
#pragma once

#include "core/stacks/unwind/unwinder.h"

#include <stdbool.h>

#define DENET_RBP 6
#define DENET_RSP 7
#define DENET_RIP 16
#define DENET_CURSOR_DEPENDENCIES 400

/* A word of the stack that decided. */
struct denet_cursor_dependency {
  uint64_t address;
  uint64_t value;
};

struct denet_registers {
  uint64_t value[DENET_REGISTERS];
  uint64_t origin[DENET_REGISTERS]; /* the word of the stack; 0: the snapshot; 1: computed */
  uint32_t known;                   /* bit r: register r has a value */
};

struct denet_cursor {
  const struct denet_snapshot *snapshot; /* borrowed */
  struct denet_registers now;
  uint32_t initial; /* bit r: the snapshot's register r has decided */
  size_t word_count;
  bool is_full; /* more words decided than there is room for */
  struct denet_cursor_dependency words[DENET_CURSOR_DEPENDENCIES];
};

/* At the leaf. The snapshot is borrowed for as long as the walk is used. */
void denet_cursor_start(struct denet_cursor *walk, const struct denet_snapshot *snapshot);

/* The word at the address, which the snapshot need not hold: false then. */
bool denet_cursor_read(const struct denet_cursor *walk, uint64_t address, uint64_t *out_value);

/* A value that the way depends on: of the stack, of a register. False where it is not known. */
bool denet_cursor_use_word(struct denet_cursor *walk, uint64_t address, uint64_t *out_value);
bool denet_cursor_use_register(struct denet_cursor *walk, unsigned number, uint64_t *out_value);

/* Puts a value into the caller's register: that of another one here, the word at an address of the
 * stack, a computed one. Nothing where it is not known. */
void denet_cursor_copy_register(const struct denet_cursor *walk, unsigned from, unsigned to,
                                struct denet_registers *caller);
void denet_cursor_load_register(const struct denet_cursor *walk, uint64_t address, unsigned to,
                                struct denet_registers *caller);
void denet_cursor_set_register(struct denet_registers *caller, unsigned to, uint64_t value);

/* To the caller by the chain of frame pointers, which goes up the stack. False where it ends. */
bool denet_cursor_frame_pointer(struct denet_cursor *walk);
