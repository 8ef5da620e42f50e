#include "core/source/bpf/records.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

/* Records behind each other; the last row is none, as it is unknown or cut. */
static const struct {
  struct {
    denet_u32 kind;
    size_t size;
  } records[4];
  size_t count; /* of those that are whole */
} lists[] = {
    {{{0, 0}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_process)},
      {DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)},
      {DENET_BPF_THREAD, sizeof(struct denet_bpf_thread)}},
     3},
    {{{DENET_BPF_COMPACT, 1}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_head) - 1}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact) - 1}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_identity)}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_process) - 1}}, 0},
    {{{DENET_BPF_THREAD, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)},
      {DENET_BPF_THREAD, sizeof(struct denet_bpf_thread) - 1}},
     1},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)}, {0, 256}}, 1},
    {{{DENET_BPF_FORK, 256}}, 0},
    {{{DENET_BPF_TEXTS, 256}}, 0},
    {{{DENET_BPF_EXIT, 256}}, 0},
    {{{DENET_BPF_FREE, 256}}, 0},
    {{{DENET_BPF_FREE + 1, 256}}, 0},
    {{{UINT32_MAX, 256}}, 0},
};

START_TEST(records_follow_each_other_up_to_a_malformed_one) {
  size_t length = 0, offset = 0, end = 0;
  char bytes[1024] = {0};
  for (denet_u32 i = 0; i < 4; i++) {
    struct denet_bpf_head head = {lists[_i].records[i].kind, i, 0};
    memcpy(bytes + length, &head, sizeof(head));
    length += lists[_i].records[i].size;
  }
  /* Of exactly this size: a sanitizer reports a read behind it. */
  struct denet_buffer records = {length ? malloc(length) : NULL, length, 0};
  if (length)
    memcpy(records.bytes, bytes, length);
  for (size_t i = 0; i < lists[_i].count; i++) {
    const struct denet_bpf_head *head = denet_records_next_task(&records, &offset);
    ck_assert(head && head->kind == lists[_i].records[i].kind && head->pid == i);
    end += lists[_i].records[i].size;
  }
  ck_assert_ptr_null(denet_records_next_task(&records, &offset));
  ck_assert_uint_eq(offset, end);
  denet_buffer_done(&records);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, records_follow_each_other_up_to_a_malformed_one, lists);
}
