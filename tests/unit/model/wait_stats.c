#include "core/model/wait_stats.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define OWN_STATS DENET_CLEANUP(denet_wait_stats_done) struct denet_process_wait_stats

/* Returns stats of count intervals, all for one reason. */
static struct denet_wait_stats make_stats(enum denet_reason reason, uint64_t time_ns,
                                          uint64_t count) {
  struct denet_wait_stats stats = {.count = count,
                                   .longest_ns = count ? 2 * time_ns / count : 0,
                                   .shortest_ns = count ? time_ns / count / 2 : 0};
  stats.time_ns[reason] = time_ns;
  return stats;
}

static void add_thread(struct denet_process_wait_stats *process, uint64_t pass, denet_u32 tid,
                       struct denet_wait_stats stats) {
  struct denet_off_cpu_thread thread = {.stats = stats, .point.tid = tid};
  ck_assert_int_eq(denet_wait_stats_add_thread(process, pass, &thread), 0);
}

START_TEST(each_reason_has_a_name_and_a_metric_of_its_own) {
  struct denet_process_wait_stats process = {.stats = make_stats(_i, 70, 1)};
  struct denet_values values = {0};
  uint64_t by_reason[DENET_REASONS];
  ck_assert_uint_gt(strlen(denet_reason_names[_i]), 0);
  denet_wait_stats_take(&process, &values);
  ck_assert_uint_eq(denet_wait_stats_reasons(&values, by_reason), 70);
  for (int i = 0; i < DENET_REASONS; i++)
    ck_assert_uint_eq(by_reason[i], i == _i ? 70 : 0);
  ck_assert_uint_eq(values.value[DENET_OFF_CPU_RUNQUEUE + _i], 70);
}
END_TEST

START_TEST(process_has_the_sums_of_its_threads_living_and_exited) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  struct denet_off_cpu_sums exited = {.stats = make_stats(DENET_REASON_LOCK, 100, 4)};
  uint64_t by_reason[DENET_REASONS];
  denet_wait_stats_add_exited(&process, 1, &exited);
  add_thread(&process, 1, 10, make_stats(DENET_REASON_LOCK, 30, 1));
  add_thread(&process, 1, 11, make_stats(DENET_REASON_DISK, 5, 1));
  add_thread(&process, 1, 12, make_stats(DENET_REASON_DISK, 0, 0)); /* it never left a CPU */
  denet_wait_stats_take(&process, &values);
  ck_assert_uint_eq(denet_wait_stats_reasons(&values, by_reason), 135);
  ck_assert_uint_eq(by_reason[DENET_REASON_LOCK], 130);
  ck_assert_uint_eq(by_reason[DENET_REASON_DISK], 5);
  ck_assert_uint_eq(values.value[DENET_OFF_CPU_EVENTS], 6);
  ck_assert_uint_eq(denet_wait_stats_total(&process.stats), 135);
  ck_assert_uint_eq(process.stats.longest_ns, 60);
  ck_assert_uint_eq(process.stats.shortest_ns, 2);
  ck_assert_uint_eq(process.count, 3);
  ck_assert_int_eq(process.threads[1].tid, 11);
  /* Its threads are those of the last pass. */
  add_thread(&process, 2, 11, make_stats(DENET_REASON_POLL, 10, 1));
  ck_assert_uint_eq(process.count, 1);
  ck_assert_int_eq(process.threads[0].tid, 11);
}
END_TEST

enum step { THREAD = 1, END, LEAVE, RETURN };

/* What becomes of a process with one thread. THREAD and END: a record with so much time and so many
 * intervals comes. The values must be those of the last two columns then. */
static const struct {
  const char *what;
  struct {
    enum step step;
    uint64_t pass, time_ns, count, values_ns, values_count;
  } steps[5];
} histories[] = {
    {"a thread that exits while the list is made may be in neither sum",
     {{THREAD, 1, 500, 2, 500, 2}, {THREAD, 2, 300, 1, 500, 2}, {THREAD, 3, 700, 3, 700, 3}}},
    {"the sums at the end are final", {{THREAD, 1, 500, 2, 500, 2}, {END, 1, 900, 9, 900, 9}}},
    {"each of several threads that exit at once may be the last",
     {{END, 1, 300, 3, 300, 3}, {END, 1, 900, 9, 900, 9}}},
    {"likewise, and the last one comes first",
     {{END, 1, 900, 9, 900, 9}, {END, 1, 300, 3, 900, 9}}},
    {"it is left, and followed again later, where the kernel begins anew",
     {{THREAD, 1, 500, 2, 500, 2},
      {LEAVE, 1, 0, 0, 500, 2},
      {THREAD, 9, 4, 1, 504, 3},
      {END, 9, 7, 1, 507, 3}}},
    {"it is left, and followed again before the next list, where the kernel goes on",
     {{THREAD, 1, 500, 2, 500, 2},
      {LEAVE, 1, 0, 0, 500, 2},
      {RETURN, 1, 0, 0, 500, 2},
      {THREAD, 2, 600, 3, 600, 3}}},
    {"it is left, and ends before the next list",
     {{THREAD, 1, 600, 3, 600, 3}, {LEAVE, 1, 0, 0, 600, 3}, {END, 1, 900, 9, 900, 9}}},
    {"it is left twice",
     {{THREAD, 1, 500, 2, 500, 2},
      {LEAVE, 1, 0, 0, 500, 2},
      {LEAVE, 9, 0, 0, 500, 2},
      {RETURN, 9, 0, 0, 500, 2},
      {THREAD, 10, 4, 1, 504, 3}}},
};

START_TEST(values_never_fall_and_count_each_time_once) {
  OWN_STATS process = {0};
  struct denet_values values = {0};
  for (size_t i = 0; i < 5 && histories[_i].steps[i].step; i++) {
    __typeof__(histories[_i].steps[i]) step = histories[_i].steps[i];
    struct denet_wait_stats stats = make_stats(DENET_REASON_LOCK, step.time_ns, step.count);
    struct denet_off_cpu_sums sums = {.stats = stats};
    if (step.step == THREAD)
      add_thread(&process, step.pass, 10, stats);
    if (step.step == END)
      denet_wait_stats_end(&process, step.pass, &sums);
    if (step.step == LEAVE)
      denet_wait_stats_leave(&process, step.pass);
    if (step.step == RETURN)
      denet_wait_stats_return(&process, step.pass);
    denet_wait_stats_take(&process, &values);
    ck_assert_msg(values.value[DENET_OFF_CPU_LOCK] == step.values_ns &&
                      values.value[DENET_OFF_CPU_EVENTS] == step.values_count,
                  "%s, step %zu", histories[_i].what, i);
    ck_assert(step.step == THREAD || step.step == END || process.count == 0);
    ck_assert(process.is_over == (step.step == END));
  }
}
END_TEST

void add_cases(Suite *suite) {
  static const char all_reasons[DENET_REASONS];
  ADD_TABLE(suite, each_reason_has_a_name_and_a_metric_of_its_own, all_reasons);
  ADD_TEST(suite, process_has_the_sums_of_its_threads_living_and_exited);
  ADD_TABLE(suite, values_never_fall_and_count_each_time_once, histories);
}
