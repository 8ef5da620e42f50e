#include "tests/unit/task_sums_passes.h"

START_TEST(no_records_have_no_first) {
  struct denet_buffer records = {0};
  size_t offset = 0;
  ck_assert_ptr_null(denet_task_sums_next(&records, &offset));
  ck_assert_uint_eq(offset, 0);
}
END_TEST

START_TEST(records_of_all_kinds_are_walked) {
  OWN_SCENE scene = {0};
  static const enum denet_bpf_kind kinds[] = {DENET_BPF_PROCESS, DENET_BPF_BRIEF, DENET_BPF_THREAD,
                                              DENET_BPF_PROCESS};
  show_process(&scene, 10, 1);
  show_brief(&scene, 20);
  show_thread(&scene, 10, 1);
  show_process(&scene, 30, 1);
  static const denet_u32 pids[] = {10, 20, 10, 30};
  size_t offset = 0;
  for (size_t i = 0; i < DENET_COUNT_OF(kinds); i++) {
    const struct denet_bpf_head *head = denet_task_sums_next(&scene.records, &offset);
    ck_assert_ptr_nonnull(head);
    ck_assert_uint_eq(head->kind, kinds[i]);
    ck_assert_uint_eq(head->pid, pids[i]);
  }
  ck_assert_uint_eq(offset, scene.records.length);
  ck_assert_ptr_null(denet_task_sums_next(&scene.records, &offset));
  ck_assert_uint_eq(offset, scene.records.length);
}
END_TEST

/* What stands where a record should. */
static const struct {
  denet_u32 kind;
  size_t size;
} torn[] = {
    {DENET_BPF_BRIEF, 1},
    {DENET_BPF_BRIEF, sizeof(struct denet_bpf_head) - 1},
    {DENET_BPF_BRIEF, sizeof(struct denet_bpf_head)},
    {DENET_BPF_BRIEF, sizeof(struct denet_bpf_brief) - 1},
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

START_TEST(records_end_where_they_make_no_sense) {
  OWN_SCENE scene = {0};
  char bytes[256] = {0};
  struct denet_bpf_head head = {torn[_i].kind, 20, 20000};
  memcpy(bytes, &head, sizeof(head));
  show_process(&scene, 10, 1);
  append(&scene, bytes, torn[_i].size);
  /* To the byte, so that a sanitizer sees what is read behind it. */
  struct denet_buffer cut = {malloc(scene.records.length), scene.records.length, 0};
  memcpy(cut.bytes, scene.records.bytes, cut.length);
  size_t offset = 0;
  const struct denet_bpf_head *first = denet_task_sums_next(&cut, &offset);
  ck_assert_ptr_nonnull(first);
  ck_assert_uint_eq(first->pid, 10);
  ck_assert_ptr_null(denet_task_sums_next(&cut, &offset));
  ck_assert_uint_eq(offset, sizeof(struct denet_bpf_process));
  denet_buffer_done(&cut);
}
END_TEST

START_TEST(costs_become_metrics) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 3);
  take(&scene, 0);
  expect_costs(&process_of(&scene, 10)->usage->now, 3);
}
END_TEST

/* Records in the order that the kernel tells them, by the numbers of their tasks; small letters are
 * threads of the process, and what costs each comes to. */
static const struct {
  const char *records;
  uint64_t n[PROCESSES]; /* 0: not told */
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
    /* Threads of processes that are not told of at length, or not at all. */
    {"aBb", {0, 3, 0}},
    {"AcaBb", {3, 3, 0}},
    {"AzaBz", {3, 1, 0}},
};

static void show(struct scene *scene, char record) {
  bool is_thread = record >= 'a';
  denet_u32 pid = (denet_u32)(record - (is_thread ? 'a' : 'A') + 1) * FIRST_PID;
  if (is_thread)
    show_thread(scene, pid, 2);
  else
    show_process(scene, pid, 1);
}

START_TEST(costs_of_threads_are_their_processes_wherever_they_are_told) {
  OWN_SCENE scene = {0};
  for (const char *record = orders[_i].records; *record; record++)
    show(&scene, *record);
  take(&scene, 0);
  for (int i = 0; i < PROCESSES; i++) {
    if (orders[_i].n[i])
      expect_costs(&process_of(&scene, (denet_u32)(i + 1) * FIRST_PID)->usage->now,
                   orders[_i].n[i]);
    else
      ck_assert_uint_eq(
          process_of(&scene, (denet_u32)(i + 1) * FIRST_PID)->usage->now.present.words[0], 0);
  }
}
END_TEST

START_TEST(brief_record_changes_nothing) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 4);
  take(&scene, 0);
  struct denet_usage before = *process_of(&scene, 10)->usage;
  next_pass(&scene);
  show_brief(&scene, 10);
  show_thread(&scene, 10, 9);
  take(&scene, 0);
  ck_assert_ptr_null(denet_task_sums_find(&scene.task_sums, 10));
  ck_assert_mem_eq(process_of(&scene, 10)->usage, &before, sizeof(before));
}
END_TEST

/* Costs that passes tell, and what is made of them. */
static const struct {
  uint64_t told[3], taken[3];
} series[] = {
    {{5, 6, 9}, {5, 6, 9}}, {{5, 5, 5}, {5, 5, 5}}, {{5, 4, 6}, {5, 5, 6}},
    {{5, 0, 4}, {5, 5, 5}}, {{0, 7, 3}, {0, 7, 7}},
};

START_TEST(counter_never_falls) {
  OWN_SCENE scene = {0};
  for (size_t i = 0; i < 3; i++) {
    next_pass(&scene);
    show_process(&scene, 10, series[_i].told[i]);
    take(&scene, 0);
    expect_costs(&process_of(&scene, 10)->usage->now, series[_i].taken[i]);
  }
}
END_TEST

START_TEST(each_counter_holds_for_itself) {
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    OWN_SCENE scene = {0};
    struct denet_process *process = process_of(&scene, 10);
    struct denet_bpf_process record = make_process(10, 5);
    denet_record_values_take(process, &record, PAGE, 0);
    record = make_process(10, 6);
    memset((char *)&record.usage + costs[i].offset, 0, sizeof(denet_u64));
    denet_record_values_take(process, &record, PAGE, 0);
    for (size_t k = 0; k < DENET_COUNT_OF(costs); k++)
      ck_assert_uint_eq(process->usage->now.value[costs[k].metric], cost_of(k, k == i ? 5 : 6));
  }
}
END_TEST

/* CPU time, and the ticks that split it, in three passes. */
static const struct {
  uint64_t run_ns[3], user_ns[3], system_ns[3];
} splits[] = {
    {{1000, 2000, 3000}, {1, 2, 3}, {1, 2, 3}},
    {{1000, 2000, 3000}, {0, 0, 0}, {0, 0, 0}},
    {{1000, 2000, 3000}, {1, 0, 5}, {0, 3, 0}},
    {{1000, 1001, 1002}, {9, 0, 9}, {0, 9, 0}},
    /* The clock seems to go back when a thread exits in the middle of the pass. */
    {{1000, 900, 1100}, {1, 1, 1}, {1, 1, 2}},
    {{1000, 0, 999}, {1, 0, 7}, {2, 0, 1}},
    {{UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX}, {1, 7, 1}, {3, 1, 3}},
};

START_TEST(user_and_system_time_make_up_all_of_it) {
  OWN_SCENE scene = {0};
  uint64_t most_ns = 0, user_ns = 0, system_ns = 0;
  const struct denet_process *process = process_of(&scene, 10);
  for (size_t i = 0; i < 3; i++) {
    struct denet_bpf_process record = make_process(10, 1);
    record.usage.run_ns = splits[_i].run_ns[i];
    record.usage.user_ns = splits[_i].user_ns[i];
    record.usage.system_ns = splits[_i].system_ns[i];
    if (most_ns < record.usage.run_ns)
      most_ns = record.usage.run_ns;
    next_pass(&scene);
    append(&scene, &record, sizeof(record));
    take(&scene, 0);
    ck_assert_uint_eq(denet_values_cpu_ns(&process->usage->now), most_ns);
    ck_assert_uint_eq(process->usage->cpu_ns, most_ns);
    ck_assert_uint_ge(process->usage->now.value[DENET_CPU_USER], user_ns);
    ck_assert_uint_ge(process->usage->now.value[DENET_CPU_SYSTEM], system_ns);
    user_ns = process->usage->now.value[DENET_CPU_USER];
    system_ns = process->usage->now.value[DENET_CPU_SYSTEM];
  }
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, no_records_have_no_first);
  ADD_TEST(suite, records_of_all_kinds_are_walked);
  ADD_TABLE(suite, records_end_where_they_make_no_sense, torn);
  ADD_TEST(suite, costs_become_metrics);
  ADD_TABLE(suite, costs_of_threads_are_their_processes_wherever_they_are_told, orders);
  ADD_TEST(suite, brief_record_changes_nothing);
  ADD_TABLE(suite, counter_never_falls, series);
  ADD_TEST(suite, each_counter_holds_for_itself);
  ADD_TABLE(suite, user_and_system_time_make_up_all_of_it, splits);
}
