#include "core/source/bpf/task_sums.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define OWN_PASS DENET_CLEANUP(free_pass) struct pass

/* One pass of the task iterator. */
struct pass {
  struct denet_buffer records;
  struct denet_task_sums sums;
};

static void free_pass(struct pass *pass) {
  denet_buffer_done(&pass->records);
  denet_task_sums_done(&pass->sums);
}

static void append(struct pass *pass, const void *record, size_t size) {
  ck_assert_int_eq(denet_buffer_append(&pass->records, record, size), 0);
}

#define COUNTERS (sizeof(struct denet_bpf_usage) / sizeof(denet_u64))

/* Returns a usage with another number in each counter. */
static struct denet_bpf_usage make_usage(denet_u64 n) {
  denet_u64 counters[COUNTERS] = {0};
  struct denet_bpf_usage usage;
  for (size_t i = 0; i < COUNTERS; i++)
    counters[i] = (i + 7) * n;
  memcpy(&usage, counters, sizeof(usage));
  return usage;
}

static struct denet_bpf_process make_process(denet_u32 pid, denet_u64 n) {
  return (struct denet_bpf_process){
      .identity = {.compact.head = {DENET_BPF_PROCESS, pid, 1000}, .threads = 10},
      .usage = make_usage(n)};
}

static void list_process(struct pass *pass, denet_u32 pid, denet_u64 n) {
  struct denet_bpf_process record = make_process(pid, n);
  append(pass, &record, sizeof(record));
}

static void list_thread(struct pass *pass, denet_u32 pid, denet_u64 n) {
  struct denet_bpf_thread record = {.head = {DENET_BPF_THREAD, pid, 0}, .usage = make_usage(n)};
  append(pass, &record, sizeof(record));
}

static void list_compact(struct pass *pass, denet_u32 pid) {
  struct denet_bpf_compact record = {.head = {DENET_BPF_COMPACT, pid, 1000}};
  append(pass, &record, sizeof(record));
}

/* Adds up all records, as the source does. */
static void add_all(struct pass *pass) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  while ((head = denet_task_sums_next(&pass->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      ck_assert_int_eq(denet_task_sums_add(&pass->sums, (struct denet_bpf_process *)head), 0);
  denet_task_sums_add_threads(&pass->sums, &pass->records);
}

START_TEST(no_records_have_no_first) {
  struct denet_buffer records = {0};
  size_t offset = 0;
  ck_assert_ptr_null(denet_task_sums_next(&records, &offset));
  ck_assert_uint_eq(offset, 0);
}
END_TEST

START_TEST(records_of_all_kinds_follow_each_other) {
  OWN_PASS pass = {0};
  static const struct denet_bpf_head expected[] = {
      {DENET_BPF_PROCESS, 10, 0}, {DENET_BPF_COMPACT, 20, 0}, {DENET_BPF_THREAD, 10, 0}};
  size_t offset = 0;
  list_process(&pass, 10, 1);
  list_compact(&pass, 20);
  list_thread(&pass, 10, 1);
  for (size_t i = 0; i < DENET_COUNT_OF(expected); i++) {
    const struct denet_bpf_head *head = denet_task_sums_next(&pass.records, &offset);
    ck_assert(head && head->kind == expected[i].kind && head->pid == expected[i].pid);
  }
  ck_assert_uint_eq(offset, pass.records.length);
  ck_assert_ptr_null(denet_task_sums_next(&pass.records, &offset));
  ck_assert_uint_eq(offset, pass.records.length);
}
END_TEST

/* Bytes that are no record: cut ones, and unknown kinds. */
static const struct {
  denet_u32 kind;
  size_t size;
} malformed[] = {
    {DENET_BPF_COMPACT, 1},
    {DENET_BPF_COMPACT, sizeof(struct denet_bpf_head) - 1},
    {DENET_BPF_COMPACT, sizeof(struct denet_bpf_head)},
    {DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact) - 1},
    {DENET_BPF_PROCESS, sizeof(struct denet_bpf_head)},
    {DENET_BPF_PROCESS, sizeof(struct denet_bpf_identity)},
    {DENET_BPF_PROCESS, sizeof(struct denet_bpf_process) - 1},
    {DENET_BPF_THREAD, sizeof(struct denet_bpf_head)},
    {DENET_BPF_THREAD, sizeof(struct denet_bpf_thread) - 1},
    {0, 256},
    {DENET_BPF_FORK, 256},
    {DENET_BPF_TEXTS, 256},
    {DENET_BPF_EXIT, 256},
    {DENET_BPF_FREE, 256},
    {DENET_BPF_FREE + 1, 256},
    {UINT32_MAX, 256},
};

START_TEST(records_end_at_a_malformed_one) {
  OWN_PASS pass = {0};
  char bytes[256] = {0};
  struct denet_bpf_head head = {malformed[_i].kind, 20, 20000};
  memcpy(bytes, &head, sizeof(head));
  list_process(&pass, 10, 1);
  append(&pass, bytes, malformed[_i].size);
  /* Of exactly this size: a sanitizer reports a read behind it. */
  struct denet_buffer cut = {malloc(pass.records.length), pass.records.length, 0};
  memcpy(cut.bytes, pass.records.bytes, cut.length);
  size_t offset = 0;
  const struct denet_bpf_head *first = denet_task_sums_next(&cut, &offset);
  ck_assert(first && first->pid == 10);
  ck_assert_ptr_null(denet_task_sums_next(&cut, &offset));
  ck_assert_uint_eq(offset, sizeof(struct denet_bpf_process));
  denet_buffer_done(&cut);
}
END_TEST

#define PROCESSES 3
#define PID 10 /* then 20, 30 */

/* Records in the order of the iterator. Capital letters are processes, small ones their threads. */
static const struct {
  const char *records;
  denet_u64 n[PROCESSES]; /* sum of the usages; 0: not listed */
} orders[] = {
    {"A", {1, 0, 0}},
    {"ABC", {1, 1, 1}},
    {"Aa", {3, 0, 0}},
    {"aA", {3, 0, 0}},
    {"aaAaa", {9, 0, 0}},
    {"AaBbCc", {3, 3, 3}},
    {"abcABC", {3, 3, 3}},
    {"ABCcba", {3, 3, 3}},
    {"AbBacCbb", {3, 7, 3}},
    /* Threads of processes without a full record, or without a record. */
    {"aBb", {0, 3, 0}},
    {"AcaBb", {3, 3, 0}},
    {"AzaBz", {3, 1, 0}},
};

START_TEST(usage_of_threads_is_added_to_their_processes_in_any_order) {
  OWN_PASS pass = {0};
  for (const char *letter = orders[_i].records; *letter; letter++)
    if (*letter >= 'a')
      list_thread(&pass, (denet_u32)(*letter - 'a' + 1) * PID, 2);
    else
      list_process(&pass, (denet_u32)(*letter - 'A' + 1) * PID, 1);
  list_compact(&pass, 100);
  add_all(&pass);
  for (int i = 0; i < PROCESSES; i++) {
    const struct denet_task_sum *sum = denet_task_sums_find(&pass.sums, (i + 1) * PID);
    struct denet_bpf_usage expected = make_usage(orders[_i].n[i]);
    ck_assert_int_eq(sum != NULL, orders[_i].n[i] != 0);
    ck_assert(!sum || !memcmp(&sum->record->usage, &expected, sizeof(expected)));
  }
  ck_assert_ptr_null(denet_task_sums_find(&pass.sums, 100));
}
END_TEST

/* Pages: resident and virtual. */
struct pages {
  denet_u64 rss, vm;
};

static const struct {
  struct pages main, threads[2], sum;
} memories[] = {
    {{5, 50}, {{0, 0}, {0, 0}}, {5, 50}}, {{5, 50}, {{4, 40}, {4, 40}}, {5, 50}},
    {{0, 50}, {{0, 0}, {0, 0}}, {0, 50}}, {{0, 0}, {{7, 70}, {7, 70}}, {7, 70}},
    {{0, 0}, {{7, 70}, {0, 0}}, {7, 70}}, {{0, 0}, {{0, 0}, {7, 70}}, {7, 70}},
    {{0, 0}, {{0, 0}, {0, 0}}, {0, 0}},
};

START_TEST(memory_is_that_of_the_main_thread_or_of_another_one) {
  OWN_PASS pass = {0};
  struct denet_bpf_process process = make_process(PID, 1);
  process.rss_pages = memories[_i].main.rss;
  process.vm_pages = memories[_i].main.vm;
  append(&pass, &process, sizeof(process));
  for (size_t i = 0; i < 2; i++) {
    struct denet_bpf_thread thread = {.head = {DENET_BPF_THREAD, PID, 0},
                                      .rss_pages = memories[_i].threads[i].rss,
                                      .vm_pages = memories[_i].threads[i].vm};
    append(&pass, &thread, sizeof(thread));
  }
  add_all(&pass);
  const struct denet_bpf_process *record = denet_task_sums_find(&pass.sums, PID)->record;
  ck_assert_uint_eq(record->rss_pages, memories[_i].sum.rss);
  ck_assert_uint_eq(record->vm_pages, memories[_i].sum.vm);
}
END_TEST

/* Threads that were listed, and that the process had when it was listed. */
static const struct {
  denet_u32 listed, had;
  bool is_sound;
} threads[] = {
    {0, 1, true}, {1, 2, true}, {1, 3, true}, {1, 1, false}, {3, 3, false}, {9, 1, false},
};

START_TEST(sum_with_a_thread_too_many_is_not_sound) {
  OWN_PASS pass = {0};
  struct denet_bpf_process process = make_process(PID, 5);
  process.identity.threads = threads[_i].had;
  append(&pass, &process, sizeof(process));
  for (denet_u32 i = 0; i < threads[_i].listed; i++)
    list_thread(&pass, PID, 1);
  add_all(&pass);
  ck_assert_int_eq(denet_task_sum_is_sound(denet_task_sums_find(&pass.sums, PID)),
                   threads[_i].is_sound);
}
END_TEST

/* States of the main thread, of another thread and of the sum. */
static const denet_u32 states[][3] = {
    {0, 0, 0},
    {DENET_BPF_ON_CPU, 0, DENET_BPF_ON_CPU},
    {0, DENET_BPF_ON_CPU, DENET_BPF_ON_CPU},
    {DENET_BPF_ON_CPU, DENET_BPF_ON_CPU, DENET_BPF_ON_CPU},
    {DENET_BPF_NO_MM | DENET_BPF_HAS_REAPED, 0, DENET_BPF_NO_MM | DENET_BPF_HAS_REAPED},
    {DENET_BPF_NO_MM, DENET_BPF_ON_CPU, DENET_BPF_NO_MM | DENET_BPF_ON_CPU},
};

START_TEST(process_is_on_a_cpu_when_one_of_its_threads_is) {
  OWN_PASS pass = {0};
  struct denet_bpf_thread thread = {.head = {DENET_BPF_THREAD, PID, 0}, .state = states[_i][1]};
  struct denet_bpf_process process = make_process(PID, 1);
  process.identity.state = states[_i][0];
  append(&pass, &process, sizeof(process));
  append(&pass, &thread, sizeof(thread));
  add_all(&pass);
  ck_assert_uint_eq(denet_task_sums_find(&pass.sums, PID)->record->identity.state, states[_i][2]);
}
END_TEST

#define MANY 3000

START_TEST(sum_is_found_by_its_pid) {
  OWN_PASS pass = {0};
  static struct denet_bpf_process records[MANY];
  ck_assert_ptr_null(denet_task_sums_find(&pass.sums, 1));
  for (denet_u32 i = 0; i < MANY; i++) {
    records[i] = make_process(2 * i + 2, 1);
    ck_assert_int_eq(denet_task_sums_add(&pass.sums, &records[i]), 0);
  }
  for (pid_t pid = 0; pid <= 2 * MANY + 1; pid++) {
    const struct denet_task_sum *sum = denet_task_sums_find(&pass.sums, pid);
    ck_assert_int_eq(sum != NULL, pid > 0 && pid % 2 == 0);
    ck_assert(!sum || sum->record == &records[pid / 2 - 1]);
  }
  denet_task_sums_clear(&pass.sums);
  ck_assert_ptr_null(denet_task_sums_find(&pass.sums, 2));
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_task_sums sums = {0};
  struct denet_bpf_process record = make_process(1, 1);
  denet_task_sums_done(&sums);
  ck_assert_int_eq(denet_task_sums_add(&sums, &record), 0);
  denet_task_sums_done(&sums);
  denet_task_sums_done(&sums);
  ck_assert_ptr_null(denet_task_sums_find(&sums, 1));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, no_records_have_no_first);
  ADD_TEST(suite, records_of_all_kinds_follow_each_other);
  ADD_TABLE(suite, records_end_at_a_malformed_one, malformed);
  ADD_TABLE(suite, usage_of_threads_is_added_to_their_processes_in_any_order, orders);
  ADD_TABLE(suite, memory_is_that_of_the_main_thread_or_of_another_one, memories);
  ADD_TABLE(suite, sum_with_a_thread_too_many_is_not_sound, threads);
  ADD_TABLE(suite, process_is_on_a_cpu_when_one_of_its_threads_is, states);
  ADD_TEST(suite, sum_is_found_by_its_pid);
  ADD_TEST(suite, done_may_be_called_twice);
}
