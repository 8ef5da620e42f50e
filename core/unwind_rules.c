#include "unwind_rules.h"

#include "expression.h"

#define REMEMBERED_MOST 8
#define STEPS_MOST 10000

/* DWARF 5, section 7.24; the last three are GNU's. */
enum {
  CFA_ADVANCE = 0x40,
  CFA_OFFSET = 0x80,
  CFA_RESTORE = 0xc0,
  CFA_NOP = 0x00,
  CFA_ADVANCE1 = 0x02,
  CFA_ADVANCE2 = 0x03,
  CFA_ADVANCE4 = 0x04,
  CFA_OFFSET_EXTENDED = 0x05,
  CFA_RESTORE_EXTENDED = 0x06,
  CFA_UNDEFINED = 0x07,
  CFA_SAME = 0x08,
  CFA_REGISTER = 0x09,
  CFA_REMEMBER = 0x0a,
  CFA_RESTORE_STATE = 0x0b,
  CFA_DEFINE = 0x0c,
  CFA_DEFINE_REGISTER = 0x0d,
  CFA_DEFINE_OFFSET = 0x0e,
  CFA_DEFINE_EXPRESSION = 0x0f,
  CFA_EXPRESSION = 0x10,
  CFA_OFFSET_SIGNED = 0x11,
  CFA_DEFINE_SIGNED = 0x12,
  CFA_DEFINE_OFFSET_SIGNED = 0x13,
  CFA_VALUE_OFFSET = 0x14,
  CFA_VALUE_OFFSET_SIGNED = 0x15,
  CFA_VALUE_EXPRESSION = 0x16,
  CFA_ARGUMENTS_SIZE = 0x2e,
  CFA_OFFSET_NEGATIVE = 0x2f,
};

struct program {
  const struct denet_unwind_entry *entry;
  struct denet_cursor code;
  uint64_t location; /* where the rules so far begin to hold */
  struct denet_rules now;
  struct denet_rules initial; /* as the common part left them */
  struct denet_rules remembered[REMEMBERED_MOST];
  size_t remembered_count;
  bool failed;
};

/* Registers above those that we follow (vectors, flags) are passed over. */
static void set_rule(struct program *program, uint64_t number, struct denet_rule rule) {
  if (number < DENET_REGISTERS)
    program->now.registers[number] = rule;
}

static int64_t scale(const struct program *program, uint64_t factor) {
  return (int64_t)(factor * (uint64_t)program->entry->data_unit);
}

static void restore(struct program *program, uint64_t number) {
  if (number < DENET_REGISTERS)
    program->now.registers[number] = program->initial.registers[number];
}

static void remember(struct program *program) {
  if (program->remembered_count == REMEMBERED_MOST)
    program->failed = true;
  else
    program->remembered[program->remembered_count++] = program->now;
}

static void restore_state(struct program *program) {
  if (program->remembered_count == 0)
    program->failed = true;
  else
    program->now = program->remembered[--program->remembered_count];
}

static struct denet_cursor take_expression(struct program *program) {
  return denet_cursor_take(&program->code, denet_cursor_uleb(&program->code));
}

/* The instructions that say where the frame begins. */
static bool run_frame(struct program *program, unsigned op) {
  struct denet_cursor *code = &program->code;
  struct denet_rule *frame = &program->now.frame;
  switch (op) {
  case CFA_DEFINE:
  case CFA_DEFINE_SIGNED:
    *frame = (struct denet_rule){DENET_RULE_REGISTER, .number = (unsigned)denet_cursor_uleb(code)};
    frame->offset = op == CFA_DEFINE ? (int64_t)denet_cursor_uleb(code)
                                     : scale(program, (uint64_t)denet_cursor_sleb(code));
    return true;
  case CFA_DEFINE_REGISTER:
    frame->number = (unsigned)denet_cursor_uleb(code);
    program->failed |= frame->kind != DENET_RULE_REGISTER;
    return true;
  case CFA_DEFINE_OFFSET:
    frame->offset = (int64_t)denet_cursor_uleb(code);
    program->failed |= frame->kind != DENET_RULE_REGISTER;
    return true;
  case CFA_DEFINE_OFFSET_SIGNED:
    frame->offset = scale(program, (uint64_t)denet_cursor_sleb(code));
    program->failed |= frame->kind != DENET_RULE_REGISTER;
    return true;
  case CFA_DEFINE_EXPRESSION:
    *frame = (struct denet_rule){DENET_RULE_EXPRESSION, .expression = take_expression(program)};
    return true;
  default:
    return false;
  }
}

/* Those that say where a register is: its number, then where. */
static bool run_register(struct program *program, unsigned op) {
  struct denet_cursor *code = &program->code;
  struct denet_rule rule = {0};
  uint64_t number = denet_cursor_uleb(code);
  switch (op) {
  case CFA_OFFSET_EXTENDED:
    rule = (struct denet_rule){DENET_RULE_SAVED, .offset = scale(program, denet_cursor_uleb(code))};
    break;
  case CFA_OFFSET_SIGNED:
    rule = (struct denet_rule){DENET_RULE_SAVED,
                               .offset = scale(program, (uint64_t)denet_cursor_sleb(code))};
    break;
  case CFA_OFFSET_NEGATIVE:
    rule =
        (struct denet_rule){DENET_RULE_SAVED, .offset = scale(program, -denet_cursor_uleb(code))};
    break;
  case CFA_VALUE_OFFSET:
    rule = (struct denet_rule){DENET_RULE_SUM, .offset = scale(program, denet_cursor_uleb(code))};
    break;
  case CFA_VALUE_OFFSET_SIGNED:
    rule = (struct denet_rule){DENET_RULE_SUM,
                               .offset = scale(program, (uint64_t)denet_cursor_sleb(code))};
    break;
  case CFA_UNDEFINED:
    rule.kind = DENET_RULE_UNDEFINED;
    break;
  case CFA_SAME:
    rule.kind = DENET_RULE_SAME;
    break;
  case CFA_REGISTER:
    rule = (struct denet_rule){DENET_RULE_REGISTER, .number = (unsigned)denet_cursor_uleb(code)};
    break;
  case CFA_EXPRESSION:
    rule = (struct denet_rule){DENET_RULE_SAVED_BY, .expression = take_expression(program)};
    break;
  case CFA_VALUE_EXPRESSION:
    rule = (struct denet_rule){DENET_RULE_EXPRESSION, .expression = take_expression(program)};
    break;
  case CFA_RESTORE_EXTENDED:
    restore(program, number);
    return true;
  default:
    return false;
  }
  set_rule(program, number, rule);
  return true;
}

static void run_extended(struct program *program, unsigned op) {
  switch (op) {
  case CFA_NOP:
    return;
  case CFA_ADVANCE1:
  case CFA_ADVANCE2:
  case CFA_ADVANCE4:
    program->location += program->entry->code_unit *
                         denet_cursor_number(&program->code, (size_t)1 << (op - CFA_ADVANCE1));
    return;
  case CFA_REMEMBER:
    remember(program);
    return;
  case CFA_RESTORE_STATE:
    restore_state(program);
    return;
  case CFA_ARGUMENTS_SIZE:
    denet_cursor_uleb(&program->code);
    return;
  default:
    if (!run_frame(program, op) && !run_register(program, op))
      program->failed = true;
  }
}

static void run_instruction(struct program *program) {
  unsigned op = (unsigned)denet_cursor_number(&program->code, 1), low = op & 0x3f;
  switch (op & 0xc0) {
  case CFA_ADVANCE:
    program->location += low * program->entry->code_unit;
    break;
  case CFA_OFFSET:
    set_rule(program, low,
             (struct denet_rule){
                 DENET_RULE_SAVED,
                 .offset = scale(program, denet_cursor_uleb(&program->code)),
             });
    break;
  case CFA_RESTORE:
    restore(program, low);
    break;
  default:
    run_extended(program, op);
  }
}

/* Until the rules hold for something behind pc. */
static bool run(struct program *program, struct denet_cursor code, uint64_t pc) {
  program->code = code;
  for (int step = 0; program->code.at < program->code.end; step++) {
    uint64_t before = program->location;
    run_instruction(program);
    if (program->failed || program->code.failed || step == STEPS_MOST || program->location < before)
      return false;
    if (program->location > pc)
      return true;
  }
  return true;
}

bool denet_unwind_rules_find(const struct denet_unwind_entry *entry, uint64_t pc,
                             struct denet_rules *out_rules) {
  struct program program;
  program.entry = entry;
  program.location = entry->start;
  program.now = (struct denet_rules){0};
  program.initial = (struct denet_rules){0};
  program.remembered_count = 0;
  program.failed = false;
  if (!run(&program, entry->common, UINT64_MAX))
    return false;
  program.initial = program.now;
  program.location = entry->start;
  if (!run(&program, entry->own, pc))
    return false;
  *out_rules = program.now;
  return true;
}

static bool find_frame(const struct denet_rule *rule, struct denet_walk *walk, uint64_t *out_cfa) {
  if (rule->kind == DENET_RULE_EXPRESSION)
    return denet_expression_compute(rule->expression, walk, false, 0, out_cfa);
  if (rule->kind != DENET_RULE_REGISTER || !denet_walk_use_register(walk, rule->number, out_cfa))
    return false;
  *out_cfa += (uint64_t)rule->offset;
  return true;
}

static void set_value(struct denet_registers *caller, unsigned number, uint64_t value,
                      uint64_t origin) {
  caller->value[number] = value;
  caller->origin[number] = origin;
  caller->known |= 1u << number;
}

static void copy_register(const struct denet_walk *walk, unsigned from, unsigned to,
                          struct denet_registers *caller) {
  if (from < DENET_REGISTERS && walk->now.known & 1u << from)
    set_value(caller, to, walk->now.value[from], walk->now.origin[from]);
}

static void load_register(const struct denet_walk *walk, uint64_t address, unsigned number,
                          struct denet_registers *caller) {
  uint64_t value;
  if (denet_walk_read(walk, address, &value))
    set_value(caller, number, value, address);
}

/* What the System V ABI says where the table says nothing: rbx, rbp and r12 to r15 are kept. */
static void find_unsaid(const struct denet_walk *walk, unsigned number, uint64_t cfa,
                        struct denet_registers *caller) {
  if (number == DENET_RSP)
    set_value(caller, number, cfa, 1);
  else if (number == DENET_RIP)
    load_register(walk, cfa - 8, number, caller);
  else if (number == 3 || number == DENET_RBP || (number >= 12 && number <= 15))
    copy_register(walk, number, number, caller);
}

static void find_register(const struct denet_rule *rule, struct denet_walk *walk, unsigned number,
                          uint64_t cfa, struct denet_registers *caller) {
  uint64_t value;
  switch (rule->kind) {
  case DENET_RULE_NONE:
    find_unsaid(walk, number, cfa, caller);
    return;
  case DENET_RULE_UNDEFINED:
    return;
  case DENET_RULE_SAME:
    copy_register(walk, number, number, caller);
    return;
  case DENET_RULE_REGISTER:
    copy_register(walk, rule->number, number, caller);
    return;
  case DENET_RULE_SAVED:
    load_register(walk, cfa + (uint64_t)rule->offset, number, caller);
    return;
  case DENET_RULE_SUM:
    set_value(caller, number, cfa + (uint64_t)rule->offset, 1);
    return;
  case DENET_RULE_SAVED_BY:
    if (denet_expression_compute(rule->expression, walk, true, cfa, &value))
      load_register(walk, value, number, caller);
    return;
  case DENET_RULE_EXPRESSION:
    if (denet_expression_compute(rule->expression, walk, true, cfa, &value))
      set_value(caller, number, value, 1);
  }
}

enum denet_step denet_unwind_rules_apply(const struct denet_rules *rules, struct denet_walk *walk) {
  uint64_t cfa;
  if (rules->registers[DENET_RIP].kind == DENET_RULE_UNDEFINED)
    return DENET_STEP_END;
  if (!find_frame(&rules->frame, walk, &cfa))
    return DENET_STEP_CUT;
  struct denet_registers caller = {.known = 0};
  for (unsigned number = 0; number < DENET_REGISTERS; number++)
    find_register(&rules->registers[number], walk, number, cfa, &caller);
  if (!(caller.known & 1u << DENET_RIP))
    return DENET_STEP_CUT;
  walk->now = caller;
  return DENET_STEP_DONE;
}
