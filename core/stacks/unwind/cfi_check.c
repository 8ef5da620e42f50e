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

/* The operands of the instructions that have any (DWARF 5, section 6.4.2): 1, 2, 4: so many bytes;
 * r: a register; n: a number; b: a block, length and bytes. DW_CFA_set_loc, which no compiler
 * makes, is refused. */
static const char *const operands[DW_CFA_high_user + 1] = {
    [DW_CFA_nop] = "",
    [DW_CFA_remember_state] = "",
    [DW_CFA_restore_state] = "",
    [DW_CFA_advance_loc1] = "1",
    [DW_CFA_advance_loc2] = "2",
    [DW_CFA_advance_loc4] = "4",
    [DW_CFA_offset_extended] = "rn",
    [DW_CFA_offset_extended_sf] = "rn",
    [DW_CFA_GNU_negative_offset_extended] = "rn",
    [DW_CFA_val_offset] = "rn",
    [DW_CFA_val_offset_sf] = "rn",
    [DW_CFA_def_cfa] = "rn",
    [DW_CFA_def_cfa_sf] = "rn",
    [DW_CFA_register] = "rr",
    [DW_CFA_restore_extended] = "r",
    [DW_CFA_undefined] = "r",
    [DW_CFA_same_value] = "r",
    [DW_CFA_def_cfa_register] = "r",
    [DW_CFA_def_cfa_offset] = "n",
    [DW_CFA_def_cfa_offset_sf] = "n",
    [DW_CFA_GNU_args_size] = "n",
    [DW_CFA_def_cfa_expression] = "b",
    [DW_CFA_expression] = "rb",
    [DW_CFA_val_expression] = "rb",
};

static bool skip_operands(struct rest *rest, const char *kinds) {
  for (; *kinds; kinds++) {
    uint64_t number = (uint64_t)*kinds - '0';
    bool is_number = *kinds > '9';
    if (is_number && !take_number(rest, &number))
      return false;
    if (*kinds == 'r' ? number >= DENET_CFI_REGISTERS : *kinds != 'n' && !skip(rest, number))
      return false;
  }
  return true;
}

static bool instructions_are_sane(struct rest rest) {
  unsigned remembered = 0;
  while (rest.at < rest.end) {
    uint8_t instruction = *rest.at++, kind = instruction & 0xc0;
    /* The others of the three kinds with an operand inside, advance_loc and restore, have none. */
    const char *kinds = kind == 0 ? operands[instruction] : kind == DW_CFA_offset ? "n" : "";
    remembered += instruction == DW_CFA_remember_state ? 1 : 0;
    remembered -= instruction == DW_CFA_restore_state && remembered ? 1 : 0;
    if (!kinds || (*kinds && !skip_operands(&rest, kinds)) || remembered > REMEMBERED_MOST)
      return false;
  }
  return true;
}

/* Bytes of an address by its encoding (Linux Standard Base, Core, section 10.5.1); 0: unknown. */
static const uint8_t address_sizes[16] = {
    [DW_EH_PE_absptr] = 8, [DW_EH_PE_udata2] = 2, [DW_EH_PE_udata4] = 4, [DW_EH_PE_udata8] = 8,
    [DW_EH_PE_sdata2] = 2, [DW_EH_PE_sdata4] = 4, [DW_EH_PE_sdata8] = 8};

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
    size_t bytes = address_sizes[*rest.at++ & 0x0f];
    if (*letter == 'R')
      address_bytes = bytes;
    if (*letter == 'P' && (!bytes || !skip(&rest, bytes)))
      return 0;
  }
  return address_bytes;
}

/* Returns false if the CIE is not sane. */
static bool add_cie(struct cies *cies, Dwarf_Off offset, const Dwarf_CIE *cie) {
  size_t address_bytes = find_address_bytes(cie);
  struct rest rest = {cie->initial_instructions, cie->initial_instructions_end};
  if (!address_bytes || !instructions_are_sane(rest) ||
      denet_array_reserve(&cies->items, &cies->capacity, cies->count + 1, sizeof(*cies->items)))
    return false;
  cies->items[cies->count++] = (struct cie){offset, address_bytes, cie->augmentation[0] == 'z'};
  return true;
}

static int compare_offsets(const void *key, const void *item) {
  Dwarf_Off a = *(const Dwarf_Off *)key, b = ((const struct cie *)item)->offset;
  return a < b ? -1 : a > b;
}

static bool fde_is_sane(const struct cies *cies, const Dwarf_FDE *fde) {
  const struct cie *cie = cies->count ? bsearch(&fde->CIE_pointer, cies->items, cies->count,
                                                sizeof(*cies->items), compare_offsets)
                                      : NULL;
  struct rest rest = {fde->start, fde->end};
  return cie && skip(&rest, 2 * cie->address_bytes) &&
         (!cie->has_block || skip_operands(&rest, "b")) && instructions_are_sane(rest);
}

/* Goes from entry to entry as libdw does when it looks an address up, also behind the end mark. */
bool denet_cfi_check(Elf_Data *section, bool is_eh_frame, uint64_t *out_bytes) {
  static const unsigned char ident[EI_NIDENT] = {0x7f,       'E',         'L',       'F',
                                                 ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  static const Dwarf_Off none = (Dwarf_Off)-1;
  DENET_CLEANUP(free_cies) struct cies cies = {0};
  Dwarf_Off offset = 0, next;
  for (*out_bytes = 0; offset != none; offset = next, *out_bytes += KEPT_BYTES) {
    Dwarf_CFI_Entry entry;
    next = none;
    int outcome = dwarf_next_cfi(ident, section, is_eh_frame, offset, &next, &entry);
    if (outcome < 0 || next <= offset || (outcome == 0 && next - offset > ENTRY_MOST))
      return false;
    if (outcome == 0 && !(dwarf_cfi_cie_p(&entry) ? add_cie(&cies, offset, &entry.cie)
                                                  : fde_is_sane(&cies, &entry.fde)))
      return false;
  }
  return true;
}
