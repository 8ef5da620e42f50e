/* How one function's frame is left, as its entry in an unwind table says: a small program of which
 * each step holds from some instruction on (DWARF 5, section 6.4). */
#pragma once

#include "cursor.h"
#include "walk.h"

struct denet_unwind_entry {
  uint64_t start, bytes; /* of the function; addresses of the file */
  uint64_t code_unit;
  int64_t data_unit;
  bool is_signal; /* its caller was interrupted at just the address, not behind it */
  struct denet_cursor common, own; /* the programs; borrowed from the table */
};

enum denet_rule_kind {
  DENET_RULE_NONE,       /* nothing was said */
  DENET_RULE_UNDEFINED,  /* the caller's value is lost */
  DENET_RULE_SAME,       /* it is still there */
  DENET_RULE_REGISTER,   /* in a register, plus offset */
  DENET_RULE_SAVED,      /* in the word at the frame's address plus offset */
  DENET_RULE_SUM,        /* the frame's address plus offset */
  DENET_RULE_SAVED_BY,   /* in the word at what the expression gives */
  DENET_RULE_EXPRESSION, /* what the expression gives */
};

struct denet_rule {
  enum denet_rule_kind kind;
  unsigned number;
  int64_t offset;
  struct denet_cursor expression;
};

struct denet_rules {
  struct denet_rule frame; /* the frame's address (CFA): the stack pointer before the call */
  struct denet_rule registers[DENET_REGISTERS];
};

/* The rules that hold at pc, an address within the function. False where the program is broken. */
bool denet_unwind_rules_find(const struct denet_unwind_entry *entry, uint64_t pc,
                             struct denet_rules *out_rules);

enum denet_step {
  DENET_STEP_DONE, /* the walk is at the caller */
  DENET_STEP_END,  /* there is no caller: the thread begins here */
  DENET_STEP_CUT,  /* the stack does not hold what is needed */
};

/* To the caller: puts the walk's registers as they were before the call. Where that is not done the
 * walk stays. */
enum denet_step denet_unwind_rules_apply(const struct denet_rules *rules, struct denet_walk *walk);
