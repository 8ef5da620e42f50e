#include "core/stacks/unwind/cfi_check.h"

#include "core/util/cleanup.h"
#include "tests/unit/text.h"

/* Numbers of seven bits a byte: 127, 128, the largest that libdw takes for a register. */
#define REGISTER_127 "\x7f"
#define REGISTER_128 "\x80\x01"
#define REGISTER_HUGE "\xfe\xff\xff\x3f"
#define EIGHT "\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a"

#define SECTION DENET_CLEANUP(denet_buffer_done) struct denet_buffer

static const struct denet_text none = BYTES("");

/* Instructions of an entry of .eh_frame. */
static const struct {
  struct denet_text instructions;
  bool is_sane;
} rows[] = {
    {BYTES(""), true},
    {BYTES("\x0c\x07\x08\x90\x01\x41\x0e\x10\x86\x02\x43\x0d\x06\x0a\xc6\x0b"), true},
    {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22"), true}, /* of a .plt */
    {BYTES("\x02\x05\x03\x05\x05\x04\x05\x05\x05\x05\x2e\x10"), true},
    {BYTES("\x07" REGISTER_127), true},
    {BYTES("\x07" REGISTER_128), false},
    {BYTES("\x05" REGISTER_HUGE "\x01"), false},
    {BYTES("\x06" REGISTER_HUGE), false},
    {BYTES("\x07" REGISTER_HUGE), false},
    {BYTES("\x08" REGISTER_HUGE), false},
    {BYTES("\x09\x03" REGISTER_HUGE), false},
    {BYTES("\x09" REGISTER_HUGE "\x03"), false},
    {BYTES("\x10" REGISTER_HUGE "\x01\x9c"), false},
    {BYTES("\x11" REGISTER_HUGE "\x01"), false},
    {BYTES("\x14" REGISTER_HUGE "\x01"), false},
    {BYTES("\x15" REGISTER_HUGE "\x01"), false},
    {BYTES("\x16" REGISTER_HUGE "\x01\x9c"), false},
    {BYTES("\x2f" REGISTER_HUGE "\x01"), false},
    /* What is behind a wrong step could be anything. */
    {BYTES("\x01\x00\x00\x00\x00"), false},
    {BYTES("\x3f"), false},
    {BYTES("\x07"), false},
    {BYTES("\x0f\x7f\x9c"), false},
    {BYTES("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), false},
    /* States that are remembered. */
    {BYTES(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT), true},
    {BYTES(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "\x0a"), false},
    {BYTES(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "\x0b\x0a"), true},
};

static void append(struct denet_buffer *section, const void *bytes, size_t length) {
  ck_assert_int_eq(denet_buffer_append(section, bytes, length), 0);
}

static void append_entry(struct denet_buffer *section, struct denet_text head,
                         struct denet_text instructions) {
  uint32_t bytes = (uint32_t)(head.length + instructions.length);
  append(section, &bytes, sizeof(bytes));
  append(section, head.bytes, head.length);
  append(section, instructions.bytes, instructions.length);
}

static void append_description(struct denet_buffer *section, struct denet_text instructions) {
  const struct denet_text head = BYTES("\0\0\0\0\x01zR\0\x01\x78\x10\x01\x1b");
  append_entry(section, head, instructions);
}

/* Of the description that begins at this offset. */
static void append_frame(struct denet_buffer *section, size_t description,
                         struct denet_text instructions) {
  char head[13] = "\0\0\0\0\0\0\0\0\x10\0\0\0";
  uint32_t back = (uint32_t)(section->length + 4 - description);
  memcpy(head, &back, sizeof(back));
  append_entry(section, (struct denet_text){head, sizeof(head)}, instructions);
}

static bool is_sane(const struct denet_buffer *section, uint64_t *out_bytes) {
  Elf_Data data = {.d_buf = section->bytes, .d_size = section->length, .d_version = EV_CURRENT};
  elf_version(EV_CURRENT);
  return denet_cfi_check(&data, true, out_bytes);
}

START_TEST(instructions_name_registers_that_there_are) {
  SECTION section = {0}, in_common = {0};
  uint64_t memory;
  append_description(&section, none);
  append_frame(&section, 0, rows[_i].instructions);
  ck_assert_int_eq(is_sane(&section, &memory), rows[_i].is_sane);
  append_description(&in_common, rows[_i].instructions);
  ck_assert_int_eq(is_sane(&in_common, &memory), rows[_i].is_sane);
}
END_TEST

START_TEST(a_frame_s_description_is_an_entry_of_its_own) {
  SECTION section = {0};
  uint64_t one, two;
  append_description(&section, none);
  ck_assert(is_sane(&section, &one));
  append_frame(&section, 0, none);
  ck_assert(is_sane(&section, &two));
  ck_assert_uint_gt(two, one); /* memory for each */
  append_frame(&section, 4, none);
  ck_assert(!is_sane(&section, &two));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, instructions_name_registers_that_there_are, rows);
  ADD_TEST(suite, a_frame_s_description_is_an_entry_of_its_own);
}
