#include "core/tally.h"

#include "core/cleanup.h"
#include "core/source.h"

#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#define OWN_SCENE DENET_CLEANUP(end_scene) struct scene

#define PAGE 4096
#define PROCESSES 3
#define FIRST_PID 10 /* then 20, 30 */

static const struct denet_host host = {.page_bytes = PAGE};

/* What passes tell of three processes. Zeroed is a fresh one. */
struct scene {
  struct denet_process processes[PROCESSES];
  struct denet_buffer records; /* of this pass */
  struct denet_tallies tallies;
};

static void end_scene(struct scene *scene) {
  denet_buffer_done(&scene->records);
  denet_tallies_done(&scene->tallies);
}

static void append(struct scene *scene, const void *record, size_t size) {
  ck_assert_int_eq(denet_buffer_append(&scene->records, record, size), 0);
}

/* Which cost goes into which metric, and what it takes to have it. */
static const struct {
  enum denet_metric metric;
  size_t offset;
  unsigned lack;
} costs[] = {
    {DENET_RUN_DELAY, offsetof(struct denet_bpf_costs, run_delay_ns), DENET_LACK_SCHEDSTAT},
    {DENET_SWITCHES_VOLUNTARY, offsetof(struct denet_bpf_costs, switches_voluntary), 0},
    {DENET_SWITCHES_INVOLUNTARY, offsetof(struct denet_bpf_costs, switches_involuntary), 0},
    {DENET_MINOR_FAULTS, offsetof(struct denet_bpf_costs, minor_faults), 0},
    {DENET_MAJOR_FAULTS, offsetof(struct denet_bpf_costs, major_faults), 0},
    {DENET_SYSCALL_READ, offsetof(struct denet_bpf_costs, read_chars), DENET_LACK_IO_ACCOUNTING},
    {DENET_SYSCALL_WRITE, offsetof(struct denet_bpf_costs, write_chars), DENET_LACK_IO_ACCOUNTING},
    {DENET_READ_CALLS, offsetof(struct denet_bpf_costs, read_calls), DENET_LACK_IO_ACCOUNTING},
    {DENET_WRITE_CALLS, offsetof(struct denet_bpf_costs, write_calls), DENET_LACK_IO_ACCOUNTING},
    {DENET_DISK_READ, offsetof(struct denet_bpf_costs, read_bytes), DENET_LACK_IO_ACCOUNTING},
    {DENET_DISK_WRITE, offsetof(struct denet_bpf_costs, write_bytes), DENET_LACK_IO_ACCOUNTING},
};

/* Each cost another number. */
static uint64_t cost_of(size_t row, uint64_t n) { return (row + 7) * n; }

static struct denet_bpf_costs make_costs(uint64_t n) {
  struct denet_bpf_costs made = {.run_ns = 1000 * n, .user_ns = 3 * n, .system_ns = n};
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    denet_u64 cost = cost_of(i, n);
    memcpy((char *)&made + costs[i].offset, &cost, sizeof(cost));
  }
  return made;
}

static void expect_costs(const struct denet_values *now, uint64_t n) {
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    ck_assert(denet_values_has(now, costs[i].metric));
    ck_assert_msg(now->value[costs[i].metric] == cost_of(i, n), "cost %zu", i);
  }
  ck_assert_uint_eq(now->value[DENET_CPU_USER], 750 * n);
  ck_assert_uint_eq(now->value[DENET_CPU_SYSTEM], 250 * n);
}

static struct denet_bpf_process make_process(denet_u32 pid, uint64_t n) {
  return (struct denet_bpf_process){
      .identity = {.brief.head = {DENET_BPF_PROCESS, pid, pid * 1000}, .threads = 10},
      .costs = make_costs(n),
      .seen_ns = 5000,
      .rss_pages = 5,
      .vm_pages = 50,
  };
}

static void show_process(struct scene *scene, denet_u32 pid, uint64_t n) {
  struct denet_bpf_process record = make_process(pid, n);
  append(scene, &record, sizeof(record));
}

static void show_thread(struct scene *scene, denet_u32 pid, uint64_t n) {
  struct denet_bpf_thread record = {.head = {DENET_BPF_THREAD, pid, 0}, .costs = make_costs(n)};
  append(scene, &record, sizeof(record));
}

static void show_brief(struct scene *scene, denet_u32 pid) {
  struct denet_bpf_brief record = {.head = {DENET_BPF_BRIEF, pid, pid * 1000}};
  append(scene, &record, sizeof(record));
}

static struct denet_process *process_of(struct scene *scene, denet_u32 pid) {
  struct denet_process *process = &scene->processes[pid / FIRST_PID - 1];
  process->pid = (pid_t)pid;
  return process;
}

/* Takes what was shown as a source does; the next pass begins. */
static void take(struct scene *scene, unsigned lacks) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  denet_tallies_clear(&scene->tallies);
  while ((head = denet_tally_next(&scene->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      ck_assert_int_eq(denet_tallies_add(&scene->tallies, process_of(scene, head->pid),
                                         (const struct denet_bpf_process *)head, 0),
                       0);
  denet_tallies_add_threads(&scene->tallies, &scene->records);
  denet_tallies_take(&scene->tallies, &host, lacks);
}

static void next_pass(struct scene *scene) {
  denet_tallies_clear(&scene->tallies);
  denet_buffer_clear(&scene->records);
}

START_TEST(no_records_have_no_first) {
  struct denet_buffer records = {0};
  size_t offset = 0;
  ck_assert_ptr_null(denet_tally_next(&records, &offset));
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
    const struct denet_bpf_head *head = denet_tally_next(&scene.records, &offset);
    ck_assert_ptr_nonnull(head);
    ck_assert_uint_eq(head->kind, kinds[i]);
    ck_assert_uint_eq(head->pid, pids[i]);
  }
  ck_assert_uint_eq(offset, scene.records.length);
  ck_assert_ptr_null(denet_tally_next(&scene.records, &offset));
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
  const struct denet_bpf_head *first = denet_tally_next(&cut, &offset);
  ck_assert_ptr_nonnull(first);
  ck_assert_uint_eq(first->pid, 10);
  ck_assert_ptr_null(denet_tally_next(&cut, &offset));
  ck_assert_uint_eq(offset, sizeof(struct denet_bpf_process));
  denet_buffer_done(&cut);
}
END_TEST

START_TEST(costs_become_metrics) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 3);
  take(&scene, 0);
  expect_costs(&scene.processes[0].now, 3);
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
      expect_costs(&scene.processes[i].now, orders[_i].n[i]);
    else
      ck_assert_uint_eq(scene.processes[i].now.present, 0);
  }
}
END_TEST

START_TEST(brief_record_changes_nothing) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 4);
  take(&scene, 0);
  struct denet_process before = scene.processes[0];
  next_pass(&scene);
  show_brief(&scene, 10);
  show_thread(&scene, 10, 9);
  take(&scene, 0);
  ck_assert_ptr_null(denet_tallies_find(&scene.tallies, 10));
  ck_assert_mem_eq(&scene.processes[0], &before, sizeof(before));
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
    expect_costs(&scene.processes[0].now, series[_i].taken[i]);
  }
}
END_TEST

START_TEST(each_counter_holds_for_itself) {
  struct denet_process process = {0};
  struct denet_bpf_costs told = make_costs(5);
  denet_tally_take_costs(&process, &told, 0);
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    told = make_costs(6);
    memset((char *)&told + costs[i].offset, 0, sizeof(denet_u64));
    struct denet_process other = process;
    denet_tally_take_costs(&other, &told, 0);
    for (size_t k = 0; k < DENET_COUNT_OF(costs); k++)
      ck_assert_uint_eq(other.now.value[costs[k].metric], cost_of(k, k == i ? 5 : 6));
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
  const struct denet_process *process = &scene.processes[0];
  for (size_t i = 0; i < 3; i++) {
    struct denet_bpf_process record = make_process(10, 1);
    record.costs.run_ns = splits[_i].run_ns[i];
    record.costs.user_ns = splits[_i].user_ns[i];
    record.costs.system_ns = splits[_i].system_ns[i];
    if (most_ns < record.costs.run_ns)
      most_ns = record.costs.run_ns;
    next_pass(&scene);
    append(&scene, &record, sizeof(record));
    take(&scene, 0);
    ck_assert_uint_eq(denet_values_cpu_ns(&process->now), most_ns);
    ck_assert_uint_eq(process->cpu_ns, most_ns);
    ck_assert_uint_ge(process->now.value[DENET_CPU_USER], user_ns);
    ck_assert_uint_ge(process->now.value[DENET_CPU_SYSTEM], system_ns);
    user_ns = process->now.value[DENET_CPU_USER];
    system_ns = process->now.value[DENET_CPU_SYSTEM];
  }
}
END_TEST

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
  const struct denet_values *now = &scene.processes[0].now;
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
  struct denet_process before = scene.processes[0];
  next_pass(&scene);
  show_threads(&scene, _i);
  take(&scene, 0);
  if (threads[_i].is_taken)
    expect_costs(&scene.processes[0].now, 5 + threads[_i].told);
  else
    ck_assert_mem_eq(&scene.processes[0], &before, sizeof(before));
}
END_TEST

START_TEST(process_that_has_no_values_yet_takes_what_there_is) {
  OWN_SCENE scene = {0};
  show_threads(&scene, _i);
  take(&scene, 0);
  expect_costs(&scene.processes[0].now, 5 + threads[_i].told);
  ck_assert_uint_eq(scene.processes[0].measured_ns, 6000);
}
END_TEST

static const unsigned lacks[] = {0, DENET_LACK_SCHEDSTAT, DENET_LACK_IO_ACCOUNTING,
                                 DENET_LACK_SCHEDSTAT | DENET_LACK_IO_ACCOUNTING,
                                 DENET_LACK_IO | DENET_LACK_EXECUTABLE | DENET_LACK_NAMESPACES};

START_TEST(what_the_kernel_does_not_count_is_absent) {
  OWN_SCENE scene = {0};
  show_process(&scene, 10, 2);
  show_thread(&scene, 10, 1);
  take(&scene, lacks[_i]);
  const struct denet_values *now = &scene.processes[0].now;
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++)
    ck_assert_int_eq(denet_values_has(now, costs[i].metric), !(costs[i].lack & lacks[_i]));
  ck_assert(denet_values_has(now, DENET_CPU_USER) && denet_values_has(now, DENET_RSS));
}
END_TEST

START_TEST(gauges_are_of_the_last_pass) {
  OWN_SCENE scene = {0};
  const struct denet_process *process = &scene.processes[0];
  for (denet_u32 i = 9; i > 0; i--) {
    struct denet_bpf_process record = make_process(10, 1);
    record.identity.threads = i;
    record.cpu = i + 1;
    record.seen_ns = 100 - i;
    next_pass(&scene);
    append(&scene, &record, sizeof(record));
    take(&scene, 0);
    ck_assert_uint_eq(process->now.value[DENET_THREADS], i);
    ck_assert_uint_eq(process->now.value[DENET_CPU_CORE], i + 1);
    ck_assert_uint_eq(process->measured_ns, 100 - i);
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
  ck_assert_uint_eq(scene.processes[0].measured_ns, moments[_i].measured_ns);
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
  const struct denet_tally *tally = denet_tallies_find(&scene.tallies, 10);
  ck_assert_ptr_nonnull(tally);
  ck_assert_int_eq(tally->is_on_cpu, states[_i].is_on_cpu);
}
END_TEST

#define MANY 3000

START_TEST(tally_is_found_by_its_pid) {
  struct denet_tallies DENET_CLEANUP(denet_tallies_done) tallies = {0};
  static struct denet_process processes[MANY];
  struct denet_bpf_process record = make_process(1, 1);
  ck_assert_ptr_null(denet_tallies_find(&tallies, 1));
  for (pid_t i = 0; i < MANY; i++) {
    processes[i].pid = 2 * i + 2;
    ck_assert_int_eq(denet_tallies_add(&tallies, &processes[i], &record, 0), 0);
  }
  for (pid_t pid = 0; pid <= 2 * MANY + 1; pid++) {
    const struct denet_tally *tally = denet_tallies_find(&tallies, pid);
    ck_assert_int_eq(tally != NULL, pid > 0 && pid % 2 == 0);
    ck_assert(!tally || tally->process == &processes[pid / 2 - 1]);
  }
  denet_tallies_clear(&tallies);
  ck_assert_ptr_null(denet_tallies_find(&tallies, 2));
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_tallies tallies = {0};
  struct denet_process process = {.pid = 1};
  struct denet_bpf_process record = make_process(1, 1);
  denet_tallies_done(&tallies);
  ck_assert_int_eq(denet_tallies_add(&tallies, &process, &record, 0), 0);
  denet_tallies_done(&tallies);
  denet_tallies_done(&tallies);
  ck_assert_ptr_null(denet_tallies_find(&tallies, 1));
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
  ADD_TABLE(suite, memory_is_the_processes_or_its_threads_or_what_it_was, memories);
  ADD_TABLE(suite, thread_that_may_be_told_twice_leaves_the_values_as_they_were, threads);
  ADD_TABLE(suite, process_that_has_no_values_yet_takes_what_there_is, threads);
  ADD_TABLE(suite, what_the_kernel_does_not_count_is_absent, lacks);
  ADD_TEST(suite, gauges_are_of_the_last_pass);
  ADD_TABLE(suite, ended_process_was_measured_at_its_end, moments);
  ADD_TABLE(suite, process_is_on_a_cpu_when_one_of_its_threads_is, states);
  ADD_TEST(suite, tally_is_found_by_its_pid);
  ADD_TEST(suite, done_may_be_called_twice);
}
