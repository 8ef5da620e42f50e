/* Functions whose callers are found by computing, as the tables of linkers' stubs and of hand-made
 * assembler say it (DWARF 5, sections 2.5 and 6.4.2). Each frame has the same 32 bytes, with the
 * return address, and another expression for them; the last function waits for ever. */
#include <stdlib.h>
#include <unistd.h>

#define CHAIN __attribute__((noinline, noclone, used))
/* Not the last thing that the function does, so that the call is no jump. */
#define BEHIND_CALL __asm__ volatile("" ::: "memory")

#define RSP(offset) "0x77, " #offset ", "
/* What rbp was: in the word 16 below the frame's address; the value now less 8. */
#define SAVED "0x10, 6, 2, 0x40, 0x1c"
#define ADDED "0x16, 6, 2, 0x76, 0x78"

/* Calls the next one, with rbp changed and the frame's address in the middle one of its words. */
#define COMPUTED(name, next, rbp, length, expression)                                              \
  void name(void);                                                                                 \
  __asm__(".text\n.type " #name ", @function\n" #name ":\n.cfi_startproc\nsub $24, %rsp\n"         \
          "lea 32(%rsp), %rax\nmov %rax, 8(%rsp)\nmov %rbp, 16(%rsp)\nadd $8, %rbp\n"              \
          ".cfi_escape 0x0f, " #length ", " expression "\n.cfi_escape " rbp "\ncall " #next "\n"   \
          "mov 16(%rsp), %rbp\nadd $24, %rsp\n.cfi_restore %rbp\n.cfi_def_cfa %rsp, 8\nret\n"      \
          ".cfi_endproc\n.size " #name ", . - " #name)

CHAIN static void wait_for_ever(void) {
  char byte;
  while (read(0, &byte, 1) > 0)
    BEHIND_CALL;
  BEHIND_CALL;
}

/* rsp + (16 + 16) */
COMPUTED(by_sum, wait_for_ever, SAVED, 6, RSP(0) "0x40, 0x40, 0x22, 0x22");
/* rsp + 48 - (31 & 16) */
COMPUTED(by_difference, by_sum, ADDED, 6, RSP(48) "0x4f, 0x40, 0x1a, 0x1c");
/* rsp + 24 + ((3 >= 3) << 3), as linkers write it for their stubs */
COMPUTED(by_shift, by_difference, SAVED, 8, RSP(24) "0x33, 0x33, 0x2a, 0x33, 0x24, 0x22");
/* rsp + 29 + (2 > 1) + (1 <= 2) + (1 < 2) */
COMPUTED(by_comparison, by_shift, ADDED, 14,
         RSP(29) "0x32, 0x31, 0x2b, 0x22, 0x31, 0x32, 0x2c, 0x22, 0x31, 0x32, 0x2d, 0x22");
/* (24 + 8) + rsp: an operand of one byte, one that is added */
COMPUTED(by_constant, by_comparison, SAVED, 7, "0x08, 24, 0x23, 8, " RSP(0) "0x22");
/* *(rsp + 8) */
COMPUTED(by_memory, by_constant, ADDED, 3, RSP(8) "0x06");

/* Its frame's size is not known when it is compiled: it is left by rbp. */
CHAIN static void by_base_pointer(size_t bytes) {
  volatile char *room = __builtin_alloca(bytes);
  room[0] = 1;
  by_memory();
  BEHIND_CALL;
}

int main(int argument_count, char **arguments) {
  (void)arguments;
  by_base_pointer(16 + 16 * (size_t)argument_count);
  return 0;
}
