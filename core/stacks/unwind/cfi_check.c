#include "core/stacks/unwind/cfi_check.h"

#include "core/util/cleanup.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <string.h>

#define ENTRY_MOST 65536 /* of compilers, those of huge functions have some 20,000 bytes */
#define REGISTERS 128    /* System V ABI, x86-64: 126 have a number */
#define REMEMBERED_MOST 64
/* Longer numbers libdw takes for the largest there is, and goes on behind their tenth byte. */
#define NUMBER_BYTES_MOST 9
/* What libdw keeps of an entry that it has seen, and the node of its tree. */
#define KEPT_BYTES 160

/* What entries refer to: where it is, and how what refers to it begins. */
struct description {
  Dwarf_Off offset;
  size_t address_bytes;
  bool has_more; /* bytes behind the addresses, which say how many they are */
};

struct descriptions {
  struct description *all; /* by offset; owned */
  size_t count, capacity;
};

static void free_descriptions(struct descriptions *descriptions) { free(descriptions->all); }

/* The rest of an entry. */
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

static bool skip_number(struct rest *rest) {
  uint64_t number;
  return take_number(rest, &number);
}

static bool skip_registers(struct rest *rest, unsigned count) {
  uint64_t number;
  for (; count > 0; count--)
    if (!take_number(rest, &number) || number >= REGISTERS)
      return false;
  return true;
}

static bool skip_block(struct rest *rest) {
  uint64_t bytes;
  return take_number(rest, &bytes) && skip(rest, bytes);
}

/* What follows an instruction (DWARF 5, section 6.4.2). Not DW_CFA_set_loc, which nobody needs. */
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
                                           : true; /* advance_loc and restore have it inside */
    remembered += instruction == DW_CFA_remember_state ? 1 : 0;
    remembered -= instruction == DW_CFA_restore_state && remembered ? 1 : 0;
    if (!is_fine || remembered > REMEMBERED_MOST)
      return false;
  }
  return true;
}

/* Bytes of an address by its encoding (Linux Standard Base, Core, section 10.5.1); 0: other. */
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

/* How the addresses of what refers to it are encoded, by what its augmentation says; 0: not in a
 * way that there is. */
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

static bool add_description(struct descriptions *descriptions, Dwarf_Off offset,
                            const Dwarf_CIE *cie) {
  size_t address_bytes = find_address_bytes(cie);
  struct rest rest = {cie->initial_instructions, cie->initial_instructions_end};
  if (!address_bytes || !instructions_are_sane(rest))
    return false;
  if (descriptions->count == descriptions->capacity) {
    size_t capacity = descriptions->capacity ? 2 * descriptions->capacity : 16;
    struct description *grown = reallocarray(descriptions->all, capacity, sizeof(*grown));
    if (!grown)
      return false;
    descriptions->all = grown;
    descriptions->capacity = capacity;
  }
  descriptions->all[descriptions->count++] =
      (struct description){offset, address_bytes, cie->augmentation[0] == 'z'};
  return true;
}

static int compare_offsets(const void *left, const void *right) {
  Dwarf_Off a = *(const Dwarf_Off *)left, b = ((const struct description *)right)->offset;
  return a < b ? -1 : a > b;
}

static bool frame_is_sane(const struct descriptions *descriptions, const Dwarf_FDE *fde) {
  const struct description *description =
      descriptions->count ? bsearch(&fde->CIE_pointer, descriptions->all, descriptions->count,
                                    sizeof(*descriptions->all), compare_offsets)
                          : NULL;
  struct rest rest = {fde->start, fde->end};
  return description && skip(&rest, 2 * description->address_bytes) &&
         (!description->has_more || skip_block(&rest)) && instructions_are_sane(rest);
}

static bool entry_is_sane(struct descriptions *descriptions, Dwarf_Off offset, Dwarf_Off next,
                          Dwarf_CFI_Entry *entry) {
  if (next <= offset || next - offset > ENTRY_MOST)
    return false;
  return dwarf_cfi_cie_p(entry) ? add_description(descriptions, offset, &entry->cie)
                                : frame_is_sane(descriptions, &entry->fde);
}

/* From entry to entry as libdw goes when it looks for an address, also behind what ends them. */
bool denet_cfi_check(Elf_Data *section, bool is_eh_frame, uint64_t *out_bytes) {
  static const unsigned char ident[EI_NIDENT] = {0x7f,       'E',         'L',       'F',
                                                 ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  static const Dwarf_Off none = (Dwarf_Off)-1;
  DENET_CLEANUP(free_descriptions) struct descriptions descriptions = {0};
  Dwarf_Off offset = 0, next;
  uint64_t count = 0;
  for (; offset != none; offset = next, count++) {
    Dwarf_CFI_Entry entry;
    next = none;
    int outcome = dwarf_next_cfi(ident, section, is_eh_frame, offset, &next, &entry);
    if (outcome < 0 || (outcome > 0 && next != none && next <= offset))
      return false;
    if (outcome == 0 && !entry_is_sane(&descriptions, offset, next, &entry))
      return false;
  }
  *out_bytes = count * KEPT_BYTES;
  return true;
}
