#include "core/stacks/trace_records.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

/* Sizes that a record or event may have, the bound of its reason, and the bytes of its stack. */
static const struct {
  denet_u32 kind;
  size_t size;
  denet_u32 reason;
  denet_u64 stack_bytes;
  bool is_whole, is_record;
} heads[] = {
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_off_cpu_thread), 0, 0, true, true},
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_off_cpu_thread), DENET_REASONS, 0, false, false},
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_off_cpu_thread) - 1, 0, 0, false, false},
    {DENET_OFF_CPU_EXITED, sizeof(struct denet_off_cpu_sums), 0, 0, true, true},
    {DENET_OFF_CPU_EXITED, sizeof(struct denet_off_cpu_sums) - 1, 0, 0, false, false},
    {DENET_OFF_CPU_END, sizeof(struct denet_off_cpu_sums), 0, 0, true, false},
    {DENET_OFF_CPU_END, sizeof(struct denet_off_cpu_sums) - 1, 0, 0, false, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack), 0, 0, true, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack), UINT32_MAX, 0, false, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack) - 1, 0, 0, false, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack) + 99, 0, 100, false, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack) + 100, 0, 100, true, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack) + 100, 0, UINT64_MAX, false, false},
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_bpf_head) - 1, 0, 0, false, false},
    {0, 400, 0, 0, false, false},
    {DENET_OFF_CPU_END + 1, 400, 0, 0, false, false},
    {UINT32_MAX, 400, 0, 0, false, false},
};

START_TEST(record_or_event_is_whole_and_of_its_kind) {
  union {
    struct denet_bpf_head head;
    struct denet_off_cpu_thread thread;
    struct denet_off_cpu_stack stack;
    char bytes[512];
  } made = {.head = {heads[_i].kind, 10, 1000}};
  if (heads[_i].kind == DENET_OFF_CPU_THREAD)
    made.thread.point.reason = heads[_i].reason;
  if (heads[_i].kind == DENET_OFF_CPU_STACK) {
    made.stack.point.reason = heads[_i].reason;
    made.stack.stack_bytes = heads[_i].stack_bytes;
  }
  size_t size = heads[_i].size, offset = 0;
  /* To the byte, so that a sanitizer sees what is read behind it. */
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer bytes = {malloc(size), size, 0};
  memcpy(bytes.bytes, made.bytes, size);
  ck_assert_int_eq(denet_trace_records_is_whole((const void *)bytes.bytes, size),
                   heads[_i].is_whole);
  ck_assert_int_eq(denet_trace_records_next(&bytes, &offset) != NULL, heads[_i].is_record);
  ck_assert_uint_eq(offset, heads[_i].is_record ? size : 0);
}
END_TEST

void add_cases(Suite *suite) { ADD_TABLE(suite, record_or_event_is_whole_and_of_its_kind, heads); }
