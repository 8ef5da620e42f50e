/* What the record of a process makes of its values. */
#include "core/source/bpf/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#define OWN_PROCESS DENET_CLEANUP(denet_process_done) struct denet_process

#define PAGE 4096

/* Returns a record whose counters have different values, each in proportion to n. */
static struct denet_bpf_process make_record(denet_u64 n) {
  return (struct denet_bpf_process){.identity.threads = 10,
                                    .usage = {.run_ns = 1000 * n,
                                              .user_ns = 3 * n,
                                              .system_ns = n,
                                              .run_delay_ns = 7 * n,
                                              .switches_voluntary = 8 * n,
                                              .switches_involuntary = 9 * n,
                                              .minor_faults = 10 * n,
                                              .major_faults = 11 * n,
                                              .read_chars = 12 * n,
                                              .write_chars = 13 * n,
                                              .read_calls = 14 * n,
                                              .write_calls = 15 * n,
                                              .read_bytes = 16 * n,
                                              .write_bytes = 17 * n},
                                    .seen_ns = 5000,
                                    .rss_pages = 5,
                                    .vm_pages = 50,
                                    .cpu = 2};
}

static const struct {
  enum denet_metric metric;
  uint64_t value; /* for n = 1 */
  unsigned needs; /* absent if one of these is unavailable */
} counters[] = {
    {DENET_CPU_USER, 750, 0},
    {DENET_CPU_SYSTEM, 250, 0},
    {DENET_RUN_DELAY, 7, DENET_UNAVAILABLE_SCHEDSTAT},
    {DENET_SWITCHES_VOLUNTARY, 8, 0},
    {DENET_SWITCHES_INVOLUNTARY, 9, 0},
    {DENET_MINOR_FAULTS, 10, 0},
    {DENET_MAJOR_FAULTS, 11, 0},
    {DENET_SYSCALL_READ, 12, DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_SYSCALL_WRITE, 13, DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_READ_CALLS, 14, DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_WRITE_CALLS, 15, DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_READ, 16, DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_WRITE, 17, DENET_UNAVAILABLE_IO_ACCOUNTING},
};

/* Replaces it (the linker's --wrap): the process has a record. */
void __wrap_denet_bpf_source_list_in_full(struct denet_bpf_source *, const struct denet_process *);
void __wrap_denet_bpf_source_list_in_full(struct denet_bpf_source *bpf,
                                          const struct denet_process *process) {}

/* Measures a process with this record, as one that counts. Returns its values. */
static const struct denet_values *take(struct denet_process *process,
                                       struct denet_bpf_process record, unsigned unavailable) {
  static const struct denet_env env = {.page_bytes = PAGE};
  static struct denet_procfs procfs;
  struct denet_bpf_source bpf = {.source.unavailable = unavailable, .env = &env, .procfs = &procfs};
  process->notes.bpf.record = &record;
  process->notes.bpf.listed_threads = 1;
  ck_assert_ptr_nonnull(denet_process_use(process));
  denet_bpf_source_measure(&bpf.source, process, &(struct denet_metric_set){0}, false);
  return &process->usage->now;
}

static void expect_counters(const struct denet_values *now, uint64_t n) {
  for (size_t i = 0; i < DENET_COUNT_OF(counters); i++)
    ck_assert_msg(denet_values_has(now, counters[i].metric) &&
                      now->value[counters[i].metric] == counters[i].value * n,
                  "%s", denet_metric_info[counters[i].metric].json.key);
}

/* Counters of three records, and the values after each. How CPU time is split is for
 * tests/unit/model/values.c. */
static const uint64_t series[][2][3] = {
    {{5, 6, 9}, {5, 6, 9}}, {{5, 5, 5}, {5, 5, 5}}, {{5, 4, 6}, {5, 5, 6}},
    {{5, 0, 4}, {5, 5, 5}}, {{0, 7, 3}, {0, 7, 7}},
};

START_TEST(no_counter_falls_and_gauges_are_those_of_the_last_record) {
  OWN_PROCESS process = {0};
  for (denet_u32 i = 0; i < 3; i++) {
    struct denet_bpf_process record = make_record(series[_i][0][i]);
    record.identity.threads = 9 - i;
    record.cpu = 4 - i;
    record.seen_ns = 100 + i;
    const struct denet_values *now = take(&process, record, 0);
    expect_counters(now, series[_i][1][i]);
    ck_assert_uint_eq(now->value[DENET_THREADS], 9 - i);
    ck_assert_uint_eq(now->value[DENET_CPU_CORE], 4 - i);
    ck_assert_uint_eq(process.usage->cpu_ns, 1000 * series[_i][1][i]);
    ck_assert_uint_eq(process.usage->measured_ns, 100 + i);
  }
}
END_TEST

START_TEST(fall_of_one_counter_changes_no_other_one) {
  for (size_t i = 0; i < sizeof(struct denet_bpf_usage) / sizeof(denet_u64); i++) {
    OWN_PROCESS process = {0};
    struct denet_bpf_process record = make_record(6);
    denet_u64 dropped = ((denet_u64 *)&record.usage)[i];
    take(&process, make_record(5), 0);
    ((denet_u64 *)&record.usage)[i] = 0;
    const struct denet_values *now = take(&process, record, 0);
    for (size_t k = 2; k < DENET_COUNT_OF(counters); k++)
      ck_assert_uint_eq(now->value[counters[k].metric],
                        counters[k].value * (dropped == counters[k].value * 6 ? 5 : 6));
  }
}
END_TEST

static const unsigned unavailable[] = {
    0, DENET_UNAVAILABLE_SCHEDSTAT, DENET_UNAVAILABLE_IO_ACCOUNTING,
    DENET_UNAVAILABLE_SCHEDSTAT | DENET_UNAVAILABLE_IO_ACCOUNTING,
    DENET_UNAVAILABLE_IO | DENET_UNAVAILABLE_EXECUTABLE | DENET_UNAVAILABLE_NAMESPACES};

START_TEST(metric_that_the_kernel_does_not_count_is_absent) {
  OWN_PROCESS process = {0};
  const struct denet_values *now = take(&process, make_record(2), unavailable[_i]);
  for (size_t i = 0; i < DENET_COUNT_OF(counters); i++)
    ck_assert_int_eq(denet_values_has(now, counters[i].metric),
                     !(counters[i].needs & unavailable[_i]));
  ck_assert(denet_values_has(now, DENET_RSS));
}
END_TEST

/* Pages: resident and virtual. */
struct pages {
  uint64_t rss, vm;
};

static const struct {
  struct pages before; /* of a record before; {0, 0}: there was none */
  bool is_kernel_thread;
  struct pages record, taken;
} memories[] = {
    {{0, 0}, false, {5, 50}, {5, 50}}, {{9, 90}, false, {5, 50}, {5, 50}},
    {{0, 0}, false, {0, 50}, {0, 50}}, {{9, 90}, false, {0, 50}, {0, 50}}, /* all is swapped out */
    {{0, 0}, false, {0, 0}, {0, 0}},   {{9, 90}, false, {0, 0}, {9, 90}},  /* a zombie */
    {{0, 0}, true, {0, 0}, {0, 0}},    {{9, 90}, true, {0, 0}, {0, 0}},
};

START_TEST(process_without_memory_keeps_its_last_values) {
  OWN_PROCESS process = {.kernel_thread = memories[_i].is_kernel_thread};
  struct denet_bpf_process record = make_record(1);
  record.rss_pages = memories[_i].before.rss;
  record.vm_pages = memories[_i].before.vm;
  if (record.vm_pages)
    take(&process, record, 0);
  record.rss_pages = memories[_i].record.rss;
  record.vm_pages = memories[_i].record.vm;
  const struct denet_values *now = take(&process, record, 0);
  ck_assert(denet_values_has(now, DENET_RSS) && denet_values_has(now, DENET_VM));
  ck_assert_uint_eq(now->value[DENET_RSS], memories[_i].taken.rss * PAGE);
  ck_assert_uint_eq(now->value[DENET_VM], memories[_i].taken.vm * PAGE);
}
END_TEST

/* When a process was measured: at its end, if that is known. Its threads cannot have used more CPU
 * time than passed since 3000, when it was born, or measured with so many threads. */
static const struct {
  denet_u32 threads; /* 0: it was not measured before */
  bool ended;
  uint64_t ended_ns, run_ns, measured_ns;
} moments[] = {
    {0, false, 0, 1000, 5000},    {0, true, 0, 1000, 5000},    {0, true, 4000, 1000, 4000},
    {0, false, 4000, 1000, 5000}, {0, true, 4000, 1500, 4500}, {8, true, 4000, 8000, 4000},
    {1, true, 4000, 8000, 11000},
};

START_TEST(ended_process_was_measured_at_its_end) {
  OWN_PROCESS process = {.born_ns = 3000};
  struct denet_bpf_process record = make_record(0);
  record.identity.threads = moments[_i].threads;
  record.seen_ns = 3000;
  if (record.identity.threads)
    take(&process, record, 0);
  process.ended = moments[_i].ended;
  process.ended_ns = moments[_i].ended_ns;
  record.identity.threads = 1; /* a zombie has no more */
  record.seen_ns = 5000;
  record.usage.run_ns = moments[_i].run_ns;
  take(&process, record, 0);
  ck_assert_uint_eq(process.usage->measured_ns, moments[_i].measured_ns);
  if (moments[_i].ended && moments[_i].ended_ns)
    ck_assert_uint_eq(process.ended_ns, moments[_i].measured_ns);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, no_counter_falls_and_gauges_are_those_of_the_last_record, series);
  ADD_TEST(suite, fall_of_one_counter_changes_no_other_one);
  ADD_TABLE(suite, metric_that_the_kernel_does_not_count_is_absent, unavailable);
  ADD_TABLE(suite, process_without_memory_keeps_its_last_values, memories);
  ADD_TABLE(suite, ended_process_was_measured_at_its_end, moments);
}
