/* The way up one stack: the registers of the frame that it is at, and on which registers and words
 * of the snapshot its way has depended so far. A snapshot with the same values there has the same
 * frames. */
#pragma once

#include "core/stacks/unwind/x86_64.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DENET_CURSOR_DEPENDENCIES 400

/* A blocked thread: its registers, by DWARF's numbers, and the top of its stack. */
struct denet_snapshot {
  pid_t pid;
  uint64_t start_ns; /* with the pid: which process (boot clock, ns) */
  uint64_t exec_id;  /* counts its execs: another number, other mappings */
  uint64_t registers[DENET_REGISTERS];
  const unsigned char *stack; /* from the stack pointer upwards; borrowed */
  size_t stack_bytes;
};

/* A word of the stack that the way has depended on. */
struct denet_cursor_dependency {
  uint64_t address;
  uint64_t value;
};

/* Origins of values that are not addresses on the stack. */
enum { DENET_FROM_SNAPSHOT = 0, DENET_COMPUTED = 1 };

struct denet_registers {
  uint64_t value[DENET_REGISTERS];
  uint64_t origin[DENET_REGISTERS];
  uint32_t known; /* bit r: register r has a value */
};

struct denet_cursor {
  const struct denet_snapshot *snapshot; /* borrowed */
  struct denet_registers now;
  uint32_t initial; /* bit r: the way has depended on the snapshot's register r */
  size_t dependency_count;
  bool is_full; /* there were more dependencies than there is room for */
  struct denet_cursor_dependency dependencies[DENET_CURSOR_DEPENDENCIES];
};

/* Reads the word at an address of the stack; false where the snapshot does not hold it. */
bool denet_snapshot_read(const struct denet_snapshot *snapshot, uint64_t address,
                         uint64_t *out_value);

/* Sets the cursor to the leaf. The snapshot is borrowed for as long as the cursor is used. */
void denet_cursor_start(struct denet_cursor *cursor, const struct denet_snapshot *snapshot);

/* Reads a word of the stack or a register, on which the way depends from now on. False where it is
 * not known. */
bool denet_cursor_use_word(struct denet_cursor *cursor, uint64_t address, uint64_t *out_value);
bool denet_cursor_use_register(struct denet_cursor *cursor, unsigned number, uint64_t *out_value);

/* Sets the caller's register to a value with its origin, to the value of a register of this frame,
 * or to the word at an address of the stack. Nothing happens where the value is not known. */
void denet_cursor_set_register(struct denet_registers *caller, unsigned to, uint64_t value,
                               uint64_t origin);
void denet_cursor_copy_register(const struct denet_cursor *cursor, unsigned from, unsigned to,
                                struct denet_registers *caller);
void denet_cursor_load_register(const struct denet_cursor *cursor, uint64_t address, unsigned to,
                                struct denet_registers *caller);

enum denet_step {
  DENET_STEP_DONE,    /* the cursor is at the caller */
  DENET_STEP_END,     /* there is no caller: the thread begins here */
  DENET_STEP_CUT,     /* the stack does not hold what is needed */
  DENET_STEP_UNKNOWN, /* it is not known how to find the caller */
};

/* Moves to the caller along the chain of frame pointers. The chain ends with 0, except at the leaf,
 * where there may be none. */
enum denet_step denet_cursor_step_by_frame_pointer(struct denet_cursor *cursor, bool is_leaf);
