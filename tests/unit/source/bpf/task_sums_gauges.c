/* Memory, and what else of a process is no sum of its threads. */
#include "tests/unit/task_sums_passes.h"

#define NONE                                                                                       \
  { 0, 0 }

/* Pages: resident and virtual. */
struct pages {
  uint64_t rss, vm;
};

static const struct {
  struct pages before; /* of a pass before; none: there was none */
  bool is_kernel_thread;
  struct pages main, threads[2], taken;
} memories[] = {
    {NONE, false, {5, 50}, {NONE, NONE}, {5, 50}},
    {{9, 90}, false, {5, 50}, {NONE, NONE}, {5, 50}},
    {{9, 90}, false, {5, 50}, {{4, 40}, {4, 40}}, {5, 50}},
    /* Hollow: its threads have it, all of them the same. */
    {NONE, false, NONE, {{7, 70}, {7, 70}}, {7, 70}},
    {{9, 90}, false, NONE, {{7, 70}, {7, 70}}, {7, 70}},
    {{9, 90}, false, NONE, {{7, 70}, NONE}, {7, 70}},
    {{9, 90}, false, NONE, {NONE, {7, 70}}, {7, 70}},
    /* A zombie, or one that is hollow to its last thread. */
    {NONE, false, NONE, {NONE, NONE}, NONE},
    {{9, 90}, false, NONE, {NONE, NONE}, {9, 90}},
    /* Kernel threads have none. */
    {NONE, true, NONE, {NONE, NONE}, NONE},
    {{9, 90}, true, NONE, {NONE, NONE}, NONE},
    /* All of it is swapped out. */
    {NONE, false, {0, 50}, {NONE, NONE}, {0, 50}},
    {{9, 90}, false, {0, 50}, {NONE, NONE}, {0, 50}},
};

static void show_memory(struct scene *scene, struct pages main, const struct pages threads[2]) {
  struct denet_bpf_process process = make_process(10, 1);
  process.rss_pages = main.rss;
  process.vm_pages = main.vm;
  append(scene, &process, sizeof(process));
  for (size_t i = 0; i < 2; i++) {
    struct denet_bpf_thread thread = {
        .head = {DENET_BPF_THREAD, 10, 0}, .rss_pages = threads[i].rss, .vm_pages = threads[i].vm};
    append(scene, &thread, sizeof(thread));
  }
}

START_TEST(memory_is_the_processes_or_its_threads_or_what_it_was) {
  OWN_SCENE scene = {0};
  static const struct pages none[2];
  const struct denet_values *now = &process_of(&scene, 10)->usage->now;
  scene.processes[0].kernel_thread = memories[_i].is_kernel_thread;
  if (memories[_i].before.vm) {
    show_memory(&scene, memories[_i].before, none);
    take(&scene, 0);
    next_pass(&scene);
  }
  show_memory(&scene, memories[_i].main, memories[_i].threads);
  take(&scene, 0);
  ck_assert(denet_values_has(now, DENET_RSS) && denet_values_has(now, DENET_VM));
  ck_assert_uint_eq(now->value[DENET_RSS], memories[_i].taken.rss * PAGE);
  ck_assert_uint_eq(now->value[DENET_VM], memories[_i].taken.vm * PAGE);
}
END_TEST

/* Threads that were told of, and that the process had when it was asked. */
static const struct {
  uint64_t told, had;
  bool is_taken;
} threads[] = {
    {0, 1, true}, {1, 2, true}, {1, 3, true}, {1, 1, false}, {3, 3, false}, {9, 1, false},
};

static void show_threads(struct scene *scene, int row) {
  struct denet_bpf_process record = make_process(10, 5);
  record.identity.threads = (denet_u32)threads[row].had;
  record.rss_pages = 6;
  record.seen_ns = 6000;
  append(scene, &record, sizeof(record));
  for (uint64_t i = 0; i < threads[row].told; i++)
    show_thread(scene, 10, 1);
}

START_TEST(thread_that_may_be_told_twice_leaves_the_values_as_they_were) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 2);
  take(&scene, 0);
  struct denet_usage before = *process_of(&scene, 10)->usage;
  next_pass(&scene);
  show_threads(&scene, _i);
  take(&scene, 0);
  if (threads[_i].is_taken)
    expect_costs(&process_of(&scene, 10)->usage->now, 5 + threads[_i].told);
  else
    ck_assert_mem_eq(process_of(&scene, 10)->usage, &before, sizeof(before));
}
END_TEST

START_TEST(process_that_has_no_values_yet_takes_what_there_is) {
  OWN_SCENE scene = {0};
  show_threads(&scene, _i);
  take(&scene, 0);
  expect_costs(&process_of(&scene, 10)->usage->now, 5 + threads[_i].told);
  ck_assert_uint_eq(process_of(&scene, 10)->usage->measured_ns, 6000);
}
END_TEST

static const unsigned unavailable[] = {
    0, DENET_UNAVAILABLE_SCHEDSTAT, DENET_UNAVAILABLE_IO_ACCOUNTING,
    DENET_UNAVAILABLE_SCHEDSTAT | DENET_UNAVAILABLE_IO_ACCOUNTING,
    DENET_UNAVAILABLE_IO | DENET_UNAVAILABLE_EXECUTABLE | DENET_UNAVAILABLE_NAMESPACES};

START_TEST(what_the_kernel_does_not_count_is_absent) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 2);
  show_thread(&scene, 10, 1);
  take(&scene, unavailable[_i]);
  const struct denet_values *now = &process_of(&scene, 10)->usage->now;
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++)
    ck_assert_int_eq(denet_values_has(now, costs[i].metric), !(costs[i].lack & unavailable[_i]));
  ck_assert(denet_values_has(now, DENET_CPU_USER) && denet_values_has(now, DENET_RSS));
}
END_TEST

START_TEST(gauges_are_of_the_last_pass) {
  OWN_SCENE scene = {0};
  const struct denet_process *process = process_of(&scene, 10);
  for (denet_u32 i = 9; i > 0; i--) {
    struct denet_bpf_process record = make_process(10, 1);
    record.identity.threads = i;
    record.cpu = i + 1;
    record.seen_ns = 100 - i;
    next_pass(&scene);
    append(&scene, &record, sizeof(record));
    take(&scene, 0);
    ck_assert_uint_eq(process->usage->now.value[DENET_THREADS], i);
    ck_assert_uint_eq(process->usage->now.value[DENET_CPU_CORE], i + 1);
    ck_assert_uint_eq(process->usage->measured_ns, 100 - i);
  }
}
END_TEST

/* When a process was measured: at its end, if that is known. */
static const struct {
  bool ended;
  uint64_t ended_ns, measured_ns;
} moments[] = {{false, 0, 5000}, {true, 0, 5000}, {true, 4000, 4000}, {false, 4000, 5000}};

START_TEST(ended_process_was_measured_at_its_end) {
  OWN_SCENE scene = {0};
  scene.processes[0].ended = moments[_i].ended;
  scene.processes[0].ended_ns = moments[_i].ended_ns;
  show_process(&scene, 10, 1);
  take(&scene, 0);
  ck_assert_uint_eq(process_of(&scene, 10)->usage->measured_ns, moments[_i].measured_ns);
}
END_TEST

/* States of the main thread and of another one. */
static const struct {
  denet_u32 main, other;
  bool is_on_cpu;
} states[] = {
    {0, 0, false},
    {DENET_BPF_ON_CPU, 0, true},
    {0, DENET_BPF_ON_CPU, true},
    {DENET_BPF_ON_CPU, DENET_BPF_ON_CPU, true},
    {DENET_BPF_HOLLOW | DENET_BPF_HAS_REAPED, 0, false},
    {DENET_BPF_HOLLOW, DENET_BPF_ON_CPU, true},
};

START_TEST(process_is_on_a_cpu_when_one_of_its_threads_is) {
  OWN_SCENE scene = {0};
  struct denet_bpf_thread thread = {.head = {DENET_BPF_THREAD, 10, 0}, .state = states[_i].other};
  struct denet_bpf_process process = make_process(10, 1);
  process.identity.state = states[_i].main;
  append(&scene, &process, sizeof(process));
  append(&scene, &thread, sizeof(thread));
  take(&scene, 0);
  const struct denet_task_sum *task_sum = denet_task_sums_find(&scene.task_sums, 10);
  ck_assert_ptr_nonnull(task_sum);
  ck_assert_int_eq((task_sum->record->identity.state & DENET_BPF_ON_CPU) != 0,
                   states[_i].is_on_cpu);
}
END_TEST

#define MANY 3000

START_TEST(sum_is_found_by_its_pid) {
  struct denet_task_sums DENET_CLEANUP(denet_task_sums_done) task_sums = {0};
  static struct denet_bpf_process records[MANY];
  ck_assert_ptr_null(denet_task_sums_find(&task_sums, 1));
  for (denet_u32 i = 0; i < MANY; i++) {
    records[i] = make_process(2 * i + 2, 1);
    ck_assert_int_eq(denet_task_sums_add(&task_sums, &records[i]), 0);
  }
  for (pid_t pid = 0; pid <= 2 * MANY + 1; pid++) {
    const struct denet_task_sum *task_sum = denet_task_sums_find(&task_sums, pid);
    ck_assert_int_eq(task_sum != NULL, pid > 0 && pid % 2 == 0);
    ck_assert(!task_sum || task_sum->record == &records[pid / 2 - 1]);
  }
  denet_task_sums_clear(&task_sums);
  ck_assert_ptr_null(denet_task_sums_find(&task_sums, 2));
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_task_sums task_sums = {0};
  struct denet_bpf_process record = make_process(1, 1);
  denet_task_sums_done(&task_sums);
  ck_assert_int_eq(denet_task_sums_add(&task_sums, &record), 0);
  denet_task_sums_done(&task_sums);
  denet_task_sums_done(&task_sums);
  ck_assert_ptr_null(denet_task_sums_find(&task_sums, 1));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, memory_is_the_processes_or_its_threads_or_what_it_was, memories);
  ADD_TABLE(suite, thread_that_may_be_told_twice_leaves_the_values_as_they_were, threads);
  ADD_TABLE(suite, process_that_has_no_values_yet_takes_what_there_is, threads);
  ADD_TABLE(suite, what_the_kernel_does_not_count_is_absent, unavailable);
  ADD_TEST(suite, gauges_are_of_the_last_pass);
  ADD_TABLE(suite, ended_process_was_measured_at_its_end, moments);
  ADD_TABLE(suite, process_is_on_a_cpu_when_one_of_its_threads_is, states);
  ADD_TEST(suite, sum_is_found_by_its_pid);
  ADD_TEST(suite, done_may_be_called_twice);
}
