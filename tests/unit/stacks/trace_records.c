#include "core/stacks/trace_records.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel's side is not trusted to have written whole. */
static const struct {
  denet_u32 kind;
  size_t size;
  bool is_record, is_thread, is_process, is_stack;
} heads[] = {
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_off_cpu_thread), true, true, false, false},
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_off_cpu_thread) - 1, false, false, false, false},
    {DENET_OFF_CPU_EXITED, sizeof(struct denet_off_cpu_sums), true, false, true, false},
    {DENET_OFF_CPU_EXITED, sizeof(struct denet_off_cpu_sums) - 1, false, false, false, false},
    {DENET_OFF_CPU_END, sizeof(struct denet_off_cpu_sums), false, false, true, false},
    {DENET_OFF_CPU_END, sizeof(struct denet_off_cpu_sums) - 1, false, false, false, false},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack), false, false, false, true},
    {DENET_OFF_CPU_STACK, sizeof(struct denet_off_cpu_stack) - 1, false, false, false, false},
    {DENET_OFF_CPU_THREAD, sizeof(struct denet_bpf_head) - 1, false, false, false, false},
    {0, 400, false, false, false, false},
    {DENET_OFF_CPU_END + 1, 400, false, false, false, false},
    {UINT32_MAX, 400, false, false, false, false},
};

START_TEST(records_and_events_are_whole_and_of_their_kind) {
  struct denet_bpf_head head = {heads[_i].kind, 10, 1000};
  size_t size = heads[_i].size, offset = 0, told = 0;
  /* To the byte, so that a sanitizer sees what is read behind it. */
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer bytes = {calloc(1, size), size, 0};
  memcpy(bytes.bytes, &head, size < sizeof(head) ? size : sizeof(head));
  const struct denet_bpf_head *at = (const void *)bytes.bytes;
  ck_assert_int_eq(denet_trace_records_next(&bytes, &offset, &told) != NULL, heads[_i].is_record);
  ck_assert_uint_eq(offset, heads[_i].is_record ? size : 0);
  if (size < sizeof(head))
    return;
  ck_assert_int_eq(denet_trace_records_as_thread(at, size) != NULL, heads[_i].is_thread);
  ck_assert_int_eq(denet_trace_records_as_sums(at, size) != NULL, heads[_i].is_process);
  ck_assert_int_eq(denet_trace_records_as_stack(at, size) != NULL, heads[_i].is_stack);
}
END_TEST

static const size_t cuts[] = {0, 1, 8, 8191, 8192};

START_TEST(stack_has_as_many_bytes_as_it_says) {
  union {
    struct denet_off_cpu_stack stack;
    char bytes[sizeof(struct denet_off_cpu_stack) + 8192];
  } event = {.stack = {.head = {DENET_OFF_CPU_STACK, 10, 1000}, .stack_bytes = 8192}};
  size_t size = sizeof(struct denet_off_cpu_stack) + cuts[_i];
  ck_assert_int_eq(denet_trace_records_as_stack(&event.stack.head, size) != NULL, cuts[_i] == 8192);
  event.stack.stack_bytes = UINT64_MAX;
  ck_assert_ptr_null(denet_trace_records_as_stack(&event.stack.head, size));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, records_and_events_are_whole_and_of_their_kind, heads);
  ADD_TABLE(suite, stack_has_as_many_bytes_as_it_says, cuts);
}
