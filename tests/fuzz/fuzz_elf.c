/* Files that processes execute: headers, symbols, unwind tables, lines. Any user writes and runs
 * one. The input is the file; the thread that is unwound is at the file's entry, and its stack
 * holds the file's bytes. */
#include "core/stacks/unwind/dso.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define BUDGET (16u << 20)
#define NAME_MOST 1024
#define PLACES 8
#define STACK_AT UINT64_C(0x7ffc00000000)

static void claim_told(struct denet_dsos *images, struct denet_dso *image, uint64_t address) {
  struct denet_buffer first = {0}, again = {0};
  CLAIM(denet_dsos_tell(images, image, address, &first) == 0);
  CLAIM(denet_dsos_tell(images, image, address, &again) == 0);
  CLAIM(first.length > 0 && first.length <= NAME_MOST && strlen(first.bytes) == first.length);
  CLAIM(!strcmp(first.bytes, again.bytes));
  for (size_t i = 0; i < first.length; i++)
    CLAIM((unsigned char)first.bytes[i] >= ' ' && first.bytes[i] != 0x7f);
  denet_buffer_done(&first);
  denet_buffer_done(&again);
}

/* Up from the address for as long as there is a way: by the tables, else by frame pointers. */
static void walk_up(const struct denet_unwind_table *table, uint64_t address,
                    struct denet_text stack) {
  static struct denet_cursor walk;
  struct denet_snapshot snapshot = {.stack = (const unsigned char *)stack.bytes,
                                    .stack_bytes = stack.length};
  enum denet_step step = DENET_STEP_DONE;
  bool is_signal;
  for (size_t i = 0; i < DENET_REGISTERS; i++)
    snapshot.registers[i] = STACK_AT + i * 8;
  snapshot.registers[DENET_RSP] = STACK_AT;
  snapshot.registers[DENET_RIP] = address;
  denet_cursor_start(&walk, &snapshot);
  for (size_t depth = 0; depth < DENET_FRAMES_MOST && step == DENET_STEP_DONE; depth++) {
    address = walk.now.value[DENET_RIP];
    if (!table || !denet_unwind_table_step(table, address, &walk, &is_signal, &step))
      step = denet_cursor_frame_pointer(&walk) ? DENET_STEP_DONE : DENET_STEP_CUT;
  }
  CLAIM(walk.word_count <= DENET_CURSOR_DEPENDENCIES && walk.now.known >> DENET_REGISTERS == 0);
}

static void look_into(struct denet_dsos *images, struct denet_dso *image, struct denet_text file) {
  uint64_t entry = 0;
  if (file.length >= offsetof(Elf64_Ehdr, e_entry) + sizeof(entry))
    memcpy(&entry, file.bytes + offsetof(Elf64_Ehdr, e_entry), sizeof(entry));
  for (uint64_t i = 0; i < PLACES; i++) {
    walk_up(denet_dsos_table(images, image), entry + i * 4, file);
    claim_told(images, image, entry + i * 4);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct denet_text file = fuzz_copy(bytes, length);
  struct denet_dsos images = {.budget_bytes = BUDGET};
  struct denet_dso *image;
  CLAIM(denet_dsos_take(&images, fuzz_file(file), 1, "program", &image) == 0);
  if (image->is_elf)
    look_into(&images, image, file);
  CLAIM(images.memory_bytes == image->memory_bytes && images.memory_bytes <= BUDGET);
  denet_dsos_release(&images, image);
  denet_dsos_done(&images);
  CLAIM(images.memory_bytes == 0 && images.count == 0 && images.open_count == 0);
  free((char *)file.bytes);
  return 0;
}
