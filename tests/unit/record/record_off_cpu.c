#include "core/record/record.h"

#include "core/record/emitter.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES 2

/* A tree of processes, each with one thread for each call of wait_for(). */
static struct scene {
  struct denet_active_rule active_rule;
  struct denet_tree tree;
  struct denet_process processes[PROCESSES];
  struct denet_process_wait_stats off_cpus[PROCESSES];
  struct denet_member members[PROCESSES];
  struct denet_json json;
} scene;

static void begin(void) {
  scene = (struct scene){.active_rule.rule.off_cpu = DENET_OFF_CPU_STACKS};
  scene.tree = (struct denet_tree){.active_rule = &scene.active_rule, .first = scene.members};
  for (int i = 0; i < PROCESSES; i++) {
    scene.processes[i] = (struct denet_process){.pid = 100 + i, .off_cpu = &scene.off_cpus[i]};
    scene.members[i] = (struct denet_member){.process = &scene.processes[i], .tree = &scene.tree};
  }
  scene.members[0].next = &scene.members[1];
}

static void end(void) {
  for (int i = 0; i < PROCESSES; i++)
    denet_wait_stats_done(&scene.off_cpus[i]);
  denet_stack_counts_done(&scene.tree.stacks);
  denet_json_done(&scene.json);
}

static void wait_for(int process, denet_u32 tid, enum denet_reason reason, uint64_t time_ns) {
  struct denet_off_cpu_thread thread = {
      .stats = {.count = 2, .longest_ns = time_ns - 1, .shortest_ns = 1}, .point.tid = tid};
  thread.stats.time_ns[reason] = time_ns;
  ck_assert_int_eq(denet_wait_stats_add_thread(&scene.off_cpus[process], 1, &thread), 0);
}

static void sample(const char *names, size_t length, uint64_t time_ns) {
  struct denet_stack stack = {.frames = denet_frames_new((struct denet_text){names, length}),
                              .reason = DENET_REASON_LOCK,
                              .thread = "worker",
                              .time_ns = time_ns,
                              .count = 1};
  denet_stack_counts_add(&scene.tree.stacks, &stack);
  denet_frames_release(stack.frames);
}

/* The line, good until the next call or the end. */
static const char *write_line(void) {
  static char line[65536];
  struct denet_values totals = {0};
  struct denet_text text;
  for (int i = 0; i < PROCESSES; i++) {
    struct denet_values values = {0};
    denet_wait_stats_take(&scene.off_cpus[i], &values);
    denet_values_combine(&totals, &values);
  }
  denet_json_begin(&scene.json);
  denet_record_off_cpu(&scene.json, &scene.tree, &totals);
  ck_assert_int_eq(denet_json_end(&scene.json, &text), 0);
  ck_assert_uint_lt(text.length, sizeof(line));
  snprintf(line, sizeof(line), "%.*s", (int)text.length, text.bytes);
  return line;
}

START_TEST(line_has_sums_threads_reasons_and_stacks) {
  begin();
  wait_for(0, 100, DENET_REASON_LOCK, 600000000);
  wait_for(1, 105, DENET_REASON_DISK, 1400000000);
  sample("futex\0main (a.c:7)", sizeof("futex\0main (a.c:7)"), 50);
  ck_assert_str_eq(
      write_line(),
      "{\"ebpf\":{\"offcpu\":{\"total_time_ns\":2000000000,\"total_events\":4,"
      "\"avg_time_ns\":500000000,\"max_time_ns\":1399999999,\"min_time_ns\":1,"
      "\"top_blocking_threads\":[{\"pid\":101,\"tid\":105,\"time_ms\":1400.00,\"percentage\":70.00}"
      ",{\"pid\":100,\"tid\":100,\"time_ms\":600.00,\"percentage\":30.00}],"
      "\"thread_stats\":{\"101:105\":{\"tid\":105,\"total_time_ns\":1400000000,\"count\":2,"
      "\"avg_time_ns\":700000000,\"max_time_ns\":1399999999,\"min_time_ns\":1},"
      "\"100:100\":{\"tid\":100,\"total_time_ns\":600000000,\"count\":2,"
      "\"avg_time_ns\":300000000,\"max_time_ns\":599999999,\"min_time_ns\":1}},"
      "\"by_reason\":{\"runqueue\":0,\"disk\":1400000000,\"lock\":600000000,\"sleep\":0,\"poll\":0,"
      "\"net\":0,\"pipe\":0,\"child\":0,\"fault\":0,\"other\":0},"
      "\"stacks\":[{\"time_ns\":50,\"count\":1,\"reason\":\"lock\",\"tid_name\":\"worker\","
      "\"frames\":[\"futex\",\"main (a.c:7)\"]}]}}}");
  ck_assert_ptr_nonnull(strstr(write_line(), "\"stacks\":[]")); /* those since the line before */
  scene.tree.extremes =
      (struct denet_wait_stats){.count = 1, .longest_ns = 9000000000, .shortest_ns = 1};
  ck_assert_ptr_nonnull(strstr(write_line(), "\"max_time_ns\":9000000000,\"min_time_ns\":1,"));
  scene.active_rule.rule.off_cpu = DENET_OFF_CPU_TIMES;
  ck_assert_str_eq(write_line(), "{}");
  end();
}
END_TEST

#define MS UINT64_C(1000000)

/* In each of eight lines: time that the only thread is in futex(2), and the time that its new
 * stacks stand for. Then what the last of the eight lines has for the rest. */
static const struct {
  struct {
    uint64_t waited_ns, sampled_ns;
  } lines[8];
  uint64_t not_sampled_ns;
} periods[] = {
    {{{100 * MS, 0}, {0, 70 * MS}}, 0},
    {{{100 * MS, 0}, {100 * MS, 100 * MS}, {0, 100 * MS}}, 30 * MS},
    {{{100 * MS, 0}, {100 * MS, 0}, {0, 0}, {0, 200 * MS}}, 0}, /* stacks come two lines late */
    {{[7] = {500 * MS, 0}}, 0},                                 /* they may still come */
    {{[0] = {0, 200 * MS}}, 300 * MS},
    {{[4] = {0, 50 * MS}}, 0}, /* comes after its time was written: it is not written again */
    {{{100 * MS, 0}}, 0},
    {{{MS - 1, 0}}, 100 * MS},
    {{{0, 0}}, 0}, /* less than a period */
};

/* Writes a line after the thread has waited in all for waited_ns. Returns its `[not sampled]` time.
 */
static uint64_t write_not_sampled(uint64_t waited_ns, uint64_t sampled_ns) {
  static const char head[] = "\"stacks\":[",
                    rest[] = "\"count\":0,\"reason\":\"lock\",\"tid_name\":\"\","
                             "\"frames\":[\"[not sampled]\"]}]";
  denet_wait_stats_done(&scene.off_cpus[0]);
  wait_for(0, 100, DENET_REASON_LOCK, waited_ns);
  if (sampled_ns)
    sample("futex", sizeof("futex"), sampled_ns);
  const char *stacks = strstr(write_line(), head), *found = strstr(stacks, rest);
  ck_assert_int_eq(!found, !strstr(stacks, "[not sampled]"));
  while (found && *found != '{')
    found--;
  return found ? strtoull(found + strlen("{\"time_ns\":"), NULL, 10) : 0;
}

START_TEST(time_without_a_stack_is_not_sampled) {
  uint64_t waited_ns = 0, in_stacks_ns = 0;
  begin();
  for (size_t period = 0; period < DENET_COUNT_OF(periods); period++)
    for (size_t i = 0; i < 8; i++) {
      uint64_t sampled_ns = periods[period].lines[i].sampled_ns;
      uint64_t wanted_ns = i == 7 ? periods[period].not_sampled_ns : 0;
      waited_ns += periods[period].lines[i].waited_ns;
      uint64_t found_ns = write_not_sampled(waited_ns, sampled_ns);
      ck_assert_msg(found_ns == wanted_ns, "period %zu, line %zu: %ju", period, i,
                    (uintmax_t)found_ns);
      uint64_t left_ns = waited_ns - in_stacks_ns;
      in_stacks_ns += (sampled_ns < left_ns ? sampled_ns : left_ns) + found_ns;
    }
  scene.tree.is_over = true;
  in_stacks_ns += write_not_sampled(waited_ns += 2, 0);
  ck_assert_uint_eq(in_stacks_ns, waited_ns);
  end();
}
END_TEST

START_TEST(stacks_that_are_not_listed_are_in_the_sum) {
  begin();
  wait_for(0, 100, DENET_REASON_LOCK, 25 * MS);
  for (char name[] = "a"; name[0] < 'a' + 25; name[0]++)
    sample(name, sizeof(name), MS);
  scene.tree.is_over = true;
  ck_assert_ptr_nonnull(strstr(write_line(), "{\"time_ns\":5000000,\"count\":0,"));
  end();
}
END_TEST

START_TEST(stacks_that_no_file_is_to_have_are_not_kept) {
  begin();
  struct denet_emitter emitter = {0};
  sample("futex", sizeof("futex"), 50);
  denet_emitter_write(&emitter, &scene.tree, 1, 1);
  ck_assert_uint_eq(scene.tree.stacks.count, 0);
  denet_emitter_done(&emitter);
  end();
}
END_TEST

static size_t count_of(const char *text, const char *part) {
  size_t count = 0;
  for (; (text = strstr(text, part)); text++)
    count++;
  return count;
}

START_TEST(longest_are_listed_of_many) {
  begin();
  for (denet_u32 i = 1; i <= 300; i++)
    wait_for(0, 1000 + i, DENET_REASON_POLL, i * 1000);
  for (unsigned i = 1; i <= 50; i++) {
    char name[8];
    size_t length = (size_t)snprintf(name, sizeof(name), "f%u", i);
    sample(name, length + 1, i);
  }
  const char *line = write_line();
  ck_assert_uint_eq(count_of(line, "\"percentage\""), 10);
  ck_assert_uint_eq(count_of(line, "\"100:1"), 200);
  ck_assert_uint_eq(count_of(line, "\"frames\""), 20);
  ck_assert_ptr_nonnull(strstr(line, "\"100:1300\""));
  ck_assert_ptr_null(strstr(line, "\"100:1100\""));
  ck_assert_ptr_nonnull(strstr(line, "[\"f50\"]"));
  ck_assert_ptr_null(strstr(line, "[\"f30\"]"));
  end();
}
END_TEST

START_TEST(losses_are_listed_by_cause_if_there_are_any) {
  static const struct denet_off_cpu_losses some = {.threads = 3, .stacks = 5}, none = {0};
  begin();
  wait_for(0, 100, DENET_REASON_LOCK, 600);
  scene.active_rule.losses = &none;
  ck_assert_ptr_null(strstr(write_line(), "\"lost\""));
  scene.active_rule.losses = &some;
  ck_assert_ptr_nonnull(strstr(write_line(), "\"lost\":{\"threads\":3,\"stacks\":5}"));
  scene.tree.stacks.lost = 2;
  ck_assert_ptr_nonnull(strstr(write_line(), "\"lost\":{\"threads\":3,\"stacks\":7}"));
  end();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, line_has_sums_threads_reasons_and_stacks);
  ADD_TEST(suite, time_without_a_stack_is_not_sampled);
  ADD_TEST(suite, stacks_that_are_not_listed_are_in_the_sum);
  ADD_TEST(suite, stacks_that_no_file_is_to_have_are_not_kept);
  ADD_TEST(suite, longest_are_listed_of_many);
  ADD_TEST(suite, losses_are_listed_by_cause_if_there_are_any);
}
