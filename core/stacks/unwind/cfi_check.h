/* A check of unwind tables before libdw reads them. For each frame libdw takes as much memory as
 * the highest register number in an entry says, and again for each remembered state; and any user
 * may have written the file. */
#pragma once

#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>

/* Returns whether libdw can be given the section, .eh_frame or else .debug_frame: its entries have
 * a bearable length, each FDE has its CIE before it, and their registers exist. *out_bytes is the
 * memory that libdw may keep for all entries. */
bool denet_cfi_check(Elf_Data *section, bool is_eh_frame, uint64_t *out_bytes);
