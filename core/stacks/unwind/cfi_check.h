/* A look at unwind tables before libdw has them: it takes as much memory for each frame as the
 * highest register that an entry names says, again for each state that is remembered, and anybody
 * may have written the file. */
#pragma once

#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether libdw can be given the section, .eh_frame or else .debug_frame of an x86-64 file: entries
 * of bearable length, each one that has a description of its own (CIE) before it, with registers
 * that there are. *out_bytes is the memory that libdw may keep for all of them. */
bool denet_cfi_check(Elf_Data *section, bool is_eh_frame, uint64_t *out_bytes);
