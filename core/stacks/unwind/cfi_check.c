#include "core/stacks/unwind/cfi_check.h"

#include "core/stacks/unwind/x86_64.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <string.h>

#define ENTRY_MOST 65536 /* compilers make 20,000 bytes for huge functions */
#define REMEMBERED_MOST 64
/* libdw takes longer numbers for the largest there is, and goes on behind their tenth byte. */
#define NUMBER_BYTES_MOST 9
/* libdw's copy of an entry, and the node of its tree. */
#define KEPT_BYTES 160

/* A CIE, to which FDEs refer by its offset. */
struct cie {
  Dwarf_Off offset;
  size_t address_bytes; /* of an address in its FDEs */
  bool has_block;       /* its FDEs have a block (length and bytes) behind the addresses */
};

struct cies {
  struct cie *items; /* by offset; owned */
  size_t count, capacity;
};

static void free_cies(struct cies *cies) { free(cies->items); }

/* The part of an entry that has not been read yet. */
struct rest {
  const uint8_t *at, *end;
};

static bool skip(struct rest *rest, uint64_t bytes) {
  if (bytes > (uint64_t)(rest->end - rest->at))
    return false;
  rest->at += bytes;
  return true;
}

static bool take_number(struct rest *rest, uint64_t *out_number) {
  uint64_t number = 0;
  for (unsigned i = 0; i < NUMBER_BYTES_MOST && rest->at < rest->end; i++) {
    uint8_t byte = *rest->at++;
    number |= (uint64_t)(byte & 0x7f) << 7 * i;
    if (byte & 0x80)
      continue;
    *out_number = number;
    return true;
  }
  return false;
}

static bool skip_number(struct rest *rest) { return take_number(rest, &(uint64_t){0}); }

static bool skip_registers(struct rest *rest, unsigned count) {
  uint64_t number;
  for (; count > 0; count--)
    if (!take_number(rest, &number) || number >= DENET_CFI_REGISTERS)
      return false;
  return true;
}

static bool skip_block(struct rest *rest) {
  uint64_t bytes;
  return take_number(rest, &bytes) && skip(rest, bytes);
}

/* Skips the operands of an instruction (DWARF 5, section 6.4.2). DW_CFA_set_loc, which no compiler
 * makes, is refused. */
static bool skip_operands(struct rest *rest, uint8_t instruction) {
  switch (instruction) {
  case DW_CFA_nop:
  case DW_CFA_remember_state:
  case DW_CFA_restore_state:
    return true;
  case DW_CFA_advance_loc1:
    return skip(rest, 1);
  case DW_CFA_advance_loc2:
    return skip(rest, 2);
  case DW_CFA_advance_loc4:
    return skip(rest, 4);
  case DW_CFA_offset_extended:
  case DW_CFA_offset_extended_sf:
  case DW_CFA_GNU_negative_offset_extended:
  case DW_CFA_val_offset:
  case DW_CFA_val_offset_sf:
  case DW_CFA_def_cfa:
  case DW_CFA_def_cfa_sf:
    return skip_registers(rest, 1) && skip_number(rest);
  case DW_CFA_register:
    return skip_registers(rest, 2);
  case DW_CFA_restore_extended:
  case DW_CFA_undefined:
  case DW_CFA_same_value:
  case DW_CFA_def_cfa_register:
    return skip_registers(rest, 1);
  case DW_CFA_def_cfa_offset:
  case DW_CFA_def_cfa_offset_sf:
  case DW_CFA_GNU_args_size:
    return skip_number(rest);
  case DW_CFA_def_cfa_expression:
    return skip_block(rest);
  case DW_CFA_expression:
  case DW_CFA_val_expression:
    return skip_registers(rest, 1) && skip_block(rest);
  default:
    return false;
  }
}

static bool instructions_are_sane(struct rest rest) {
  unsigned remembered = 0;
  while (rest.at < rest.end) {
    uint8_t instruction = *rest.at++, kind = instruction & 0xc0;
    bool is_fine = kind == 0               ? skip_operands(&rest, instruction)
                   : kind == DW_CFA_offset ? skip_number(&rest)
                                           : true; /* advance_loc, restore: no operands */
    remembered += instruction == DW_CFA_remember_state ? 1 : 0;
    remembered -= instruction == DW_CFA_restore_state && remembered ? 1 : 0;
    if (!is_fine || remembered > REMEMBERED_MOST)
      return false;
  }
  return true;
}

/* Returns the bytes of an address by its encoding (Linux Standard Base, Core, section 10.5.1);
 * 0: unknown. */
static size_t size_of(uint8_t encoding) {
  switch (encoding & 0x0f) {
  case DW_EH_PE_absptr:
  case DW_EH_PE_udata8:
  case DW_EH_PE_sdata8:
    return 8;
  case DW_EH_PE_udata4:
  case DW_EH_PE_sdata4:
    return 4;
  case DW_EH_PE_udata2:
  case DW_EH_PE_sdata2:
    return 2;
  default:
    return 0;
  }
}

/* Returns the bytes of an address in the CIE's FDEs, by its augmentation; 0: unknown. */
static size_t find_address_bytes(const Dwarf_CIE *cie) {
  struct rest rest = {cie->augmentation_data, cie->augmentation_data + cie->augmentation_data_size};
  size_t address_bytes = 8;
  if (!cie->augmentation[0])
    return address_bytes;
  if (cie->augmentation[0] != 'z' || !cie->augmentation_data)
    return 0;
  for (const char *letter = cie->augmentation + 1; *letter; letter++) {
    if (*letter == 'S')
      continue;
    if (!strchr("LPR", *letter) || rest.at == rest.end)
      return 0;
    uint8_t encoding = *rest.at++;
    if (*letter == 'R')
      address_bytes = size_of(encoding);
    if (*letter == 'P' && (!size_of(encoding) || !skip(&rest, size_of(encoding))))
      return 0;
  }
  return address_bytes;
}

static bool add_cie(struct cies *cies, Dwarf_Off offset, const Dwarf_CIE *cie) {
  size_t address_bytes = find_address_bytes(cie);
  struct rest rest = {cie->initial_instructions, cie->initial_instructions_end};
  if (!address_bytes || !instructions_are_sane(rest) ||
      denet_array_reserve(&cies->items, &cies->capacity, cies->count + 1, sizeof(*cies->items)))
    return false;
  cies->items[cies->count++] = (struct cie){offset, address_bytes, cie->augmentation[0] == 'z'};
  return true;
}

static int compare_offsets(const void *item, const void *key) {
  Dwarf_Off a = ((const struct cie *)item)->offset, b = *(const Dwarf_Off *)key;
  return a < b ? -1 : a > b;
}

static bool fde_is_sane(const struct cies *cies, const Dwarf_FDE *fde) {
  size_t at = denet_array_lower_bound(cies->items, cies->count, sizeof(*cies->items),
                                      &fde->CIE_pointer, compare_offsets);
  const struct cie *cie = at < cies->count ? &cies->items[at] : NULL;
  struct rest rest = {fde->start, fde->end};
  return cie && cie->offset == fde->CIE_pointer && skip(&rest, 2 * cie->address_bytes) &&
         (!cie->has_block || skip_block(&rest)) && instructions_are_sane(rest);
}

static bool entry_is_sane(struct cies *cies, Dwarf_Off offset, Dwarf_Off next,
                          Dwarf_CFI_Entry *entry) {
  if (next <= offset || next - offset > ENTRY_MOST)
    return false;
  return dwarf_cfi_cie_p(entry) ? add_cie(cies, offset, &entry->cie)
                                : fde_is_sane(cies, &entry->fde);
}

/* Goes from entry to entry as libdw does when it looks for an address, also behind their end mark.
 */
bool denet_cfi_check(Elf_Data *section, bool is_eh_frame, uint64_t *out_bytes) {
  static const unsigned char ident[EI_NIDENT] = {0x7f,       'E',         'L',       'F',
                                                 ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  static const Dwarf_Off none = (Dwarf_Off)-1;
  DENET_CLEANUP(free_cies) struct cies cies = {0};
  Dwarf_Off offset = 0, next;
  uint64_t count = 0;
  for (; offset != none; offset = next, count++) {
    Dwarf_CFI_Entry entry;
    next = none;
    int outcome = dwarf_next_cfi(ident, section, is_eh_frame, offset, &next, &entry);
    if (outcome < 0 || (outcome > 0 && next != none && next <= offset))
      return false;
    if (outcome == 0 && !entry_is_sane(&cies, offset, next, &entry))
      return false;
  }
  *out_bytes = count * KEPT_BYTES;
  return true;
}
