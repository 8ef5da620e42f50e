#include "expression.h"

#define VALUES_MOST 32
#define STEPS_MOST 1000

/* DWARF 5, section 7.7.1. */
enum {
  OP_ADDR = 0x03,
  OP_DEREF = 0x06,
  OP_CONST1U = 0x08,
  OP_CONSTU = 0x10,
  OP_CONSTS = 0x11,
  OP_DUP = 0x12,
  OP_DROP = 0x13,
  OP_OVER = 0x14,
  OP_PICK = 0x15,
  OP_SWAP = 0x16,
  OP_ROT = 0x17,
  OP_ABS = 0x19,
  OP_AND = 0x1a,
  OP_DIV = 0x1b,
  OP_MINUS = 0x1c,
  OP_MOD = 0x1d,
  OP_MUL = 0x1e,
  OP_NEG = 0x1f,
  OP_NOT = 0x20,
  OP_OR = 0x21,
  OP_PLUS = 0x22,
  OP_PLUS_UCONST = 0x23,
  OP_SHL = 0x24,
  OP_SHR = 0x25,
  OP_SHRA = 0x26,
  OP_XOR = 0x27,
  OP_BRA = 0x28,
  OP_EQ = 0x29,
  OP_GE = 0x2a,
  OP_GT = 0x2b,
  OP_LE = 0x2c,
  OP_LT = 0x2d,
  OP_NE = 0x2e,
  OP_SKIP = 0x2f,
  OP_LIT0 = 0x30,
  OP_LIT31 = 0x4f,
  OP_BREG0 = 0x70,
  OP_BREG31 = 0x8f,
  OP_BREGX = 0x92,
  OP_DEREF_SIZE = 0x94,
  OP_NOP = 0x96,
};

struct machine {
  struct denet_cursor code;
  const unsigned char *start;
  struct denet_walk *walk;
  uint64_t values[VALUES_MOST];
  size_t count;
  bool failed;
};

static void push(struct machine *machine, uint64_t value) {
  if (machine->count == VALUES_MOST)
    machine->failed = true;
  else
    machine->values[machine->count++] = value;
}

static uint64_t pop(struct machine *machine) {
  if (machine->count)
    return machine->values[--machine->count];
  machine->failed = true;
  return 0;
}

/* Pushes a copy of the value that lies so deep. */
static void pick(struct machine *machine, size_t depth) {
  if (depth >= machine->count)
    machine->failed = true;
  else
    push(machine, machine->values[machine->count - 1 - depth]);
}

static void rotate(struct machine *machine, size_t count) {
  if (machine->count < count) {
    machine->failed = true;
    return;
  }
  uint64_t *low = machine->values + machine->count - count, top = low[count - 1];
  for (size_t i = count - 1; i > 0; i--)
    low[i] = low[i - 1];
  low[0] = top;
}

static void push_register(struct machine *machine, unsigned number) {
  uint64_t value = 0;
  int64_t offset = denet_cursor_sleb(&machine->code);
  if (!denet_walk_use_register(machine->walk, number, &value))
    machine->failed = true;
  push(machine, value + (uint64_t)offset);
}

static void load(struct machine *machine, uint64_t bytes) {
  uint64_t value = 0, address = pop(machine);
  if (bytes < 1 || bytes > 8 || !denet_walk_use_word(machine->walk, address, &value))
    machine->failed = true;
  else
    push(machine, bytes == 8 ? value : value & ((UINT64_C(1) << 8 * bytes) - 1));
}

static void jump(struct machine *machine, bool is_taken) {
  int64_t offset = denet_cursor_signed(&machine->code, 2);
  if (!is_taken)
    return;
  if (offset < machine->start - machine->code.at || offset > machine->code.end - machine->code.at)
    machine->failed = true;
  else
    machine->code.at += offset;
}

static uint64_t divide(struct machine *machine, uint64_t a, uint64_t b) {
  if (b == 0 || (a == UINT64_C(1) << 63 && b == UINT64_MAX)) {
    machine->failed = true;
    return 0;
  }
  return (uint64_t)((int64_t)a / (int64_t)b);
}

static uint64_t shift(unsigned op, uint64_t a, uint64_t b) {
  if (op == OP_SHRA)
    return (uint64_t)((int64_t)a >> (b > 63 ? 63 : b));
  if (b > 63)
    return 0;
  return op == OP_SHL ? a << b : a >> b;
}

static bool compare(unsigned op, int64_t a, int64_t b) {
  switch (op) {
  case OP_EQ:
    return a == b;
  case OP_GE:
    return a >= b;
  case OP_GT:
    return a > b;
  case OP_LE:
    return a <= b;
  case OP_LT:
    return a < b;
  default:
    return a != b;
  }
}

/* Operations on the two topmost values. */
static uint64_t combine(struct machine *machine, unsigned op, uint64_t a, uint64_t b) {
  switch (op) {
  case OP_AND:
    return a & b;
  case OP_DIV:
    return divide(machine, a, b);
  case OP_MINUS:
    return a - b;
  case OP_MOD:
    machine->failed |= b == 0;
    return b ? a % b : 0;
  case OP_MUL:
    return a * b;
  case OP_OR:
    return a | b;
  case OP_PLUS:
    return a + b;
  case OP_XOR:
    return a ^ b;
  case OP_SHL:
  case OP_SHR:
  case OP_SHRA:
    return shift(op, a, b);
  default:
    return compare(op, (int64_t)a, (int64_t)b);
  }
}

static bool takes_two(unsigned op) {
  return op == OP_AND || (op >= OP_DIV && op <= OP_MUL) || op == OP_OR || op == OP_PLUS ||
         (op >= OP_SHL && op <= OP_XOR) || (op >= OP_EQ && op <= OP_NE);
}

static void push_constant(struct machine *machine, unsigned op) {
  unsigned kind = op - OP_CONST1U; /* 1, 2, 4 or 8 bytes, each without and with a sign */
  size_t bytes = (size_t)1 << kind / 2;
  if (kind % 2)
    push(machine, (uint64_t)denet_cursor_signed(&machine->code, bytes));
  else
    push(machine, denet_cursor_number(&machine->code, bytes));
}

static void change_top(struct machine *machine, unsigned op) {
  uint64_t value = pop(machine);
  if (op == OP_ABS)
    push(machine, value >> 63 ? -value : value);
  else if (op == OP_NEG)
    push(machine, -value);
  else if (op == OP_NOT)
    push(machine, ~value);
  else
    push(machine, value + denet_cursor_uleb(&machine->code));
}

/* Those that only move values about. */
static bool shuffle(struct machine *machine, unsigned op) {
  switch (op) {
  case OP_DUP:
    pick(machine, 0);
    return true;
  case OP_DROP:
    pop(machine);
    return true;
  case OP_OVER:
    pick(machine, 1);
    return true;
  case OP_PICK:
    pick(machine, denet_cursor_number(&machine->code, 1));
    return true;
  case OP_SWAP:
    rotate(machine, 2);
    return true;
  case OP_ROT:
    rotate(machine, 3);
    return true;
  default:
    return op == OP_NOP;
  }
}

static void run_rest(struct machine *machine, unsigned op) {
  switch (op) {
  case OP_ADDR: /* would need to know where the file is mapped; no unwind table has it */
    machine->failed = true;
    return;
  case OP_DEREF:
    load(machine, 8);
    return;
  case OP_DEREF_SIZE:
    load(machine, denet_cursor_number(&machine->code, 1));
    return;
  case OP_CONSTU:
    push(machine, denet_cursor_uleb(&machine->code));
    return;
  case OP_CONSTS:
    push(machine, (uint64_t)denet_cursor_sleb(&machine->code));
    return;
  case OP_SKIP:
    jump(machine, true);
    return;
  case OP_BRA:
    jump(machine, pop(machine) != 0);
    return;
  case OP_BREGX:
    push_register(machine, (unsigned)denet_cursor_uleb(&machine->code));
    return;
  case OP_ABS:
  case OP_NEG:
  case OP_NOT:
  case OP_PLUS_UCONST:
    change_top(machine, op);
    return;
  default:
    machine->failed |= !shuffle(machine, op);
  }
}

static void run(struct machine *machine) {
  unsigned op = (unsigned)denet_cursor_number(&machine->code, 1);
  if (op >= OP_LIT0 && op <= OP_LIT31)
    push(machine, op - OP_LIT0);
  else if (op >= OP_BREG0 && op <= OP_BREG31)
    push_register(machine, op - OP_BREG0);
  else if (op >= OP_CONST1U && op < OP_CONSTU)
    push_constant(machine, op);
  else if (takes_two(op)) {
    uint64_t b = pop(machine), a = pop(machine);
    push(machine, combine(machine, op, a, b));
  } else {
    run_rest(machine, op);
  }
}

bool denet_expression_compute(struct denet_cursor expression, struct denet_walk *walk, bool has_cfa,
                              uint64_t cfa, uint64_t *out_value) {
  struct machine machine = {.code = expression, .start = expression.at, .walk = walk};
  if (has_cfa)
    push(&machine, cfa);
  for (int step = 0; machine.code.at < machine.code.end; step++) {
    run(&machine);
    if (machine.failed || machine.code.failed || step == STEPS_MOST)
      return false;
  }
  *out_value = pop(&machine);
  return !machine.failed;
}
