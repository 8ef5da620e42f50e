/* What unwinding has to know of x86-64 (System V ABI, AMD64 supplement). A snapshot has its
 * registers in the order of DWARF's numbers. Another architecture is another file with the same
 * names. */
#pragma once

#define DENET_REGISTERS 17
#define DENET_FRAME_POINTER 6    /* rbp */
#define DENET_STACK_POINTER 7    /* rsp */
#define DENET_PROGRAM_COUNTER 16 /* rip; DWARF's return address column */
#define DENET_CFI_REGISTERS 128  /* above the 126 that have a number */
