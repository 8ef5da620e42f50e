/* Made-up passes of three processes, for the tests of task_sums. */
#pragma once

#include "core/source/bpf/record_values.h"
#include "core/source/bpf/task_sums.h"

#include "core/source/source.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define OWN_SCENE DENET_CLEANUP(end_scene) struct scene

#define PAGE 4096
#define PROCESSES 3
#define FIRST_PID 10 /* then 20, 30 */

/* What passes tell of three processes. Zeroed is a fresh one. */
struct scene {
  struct denet_process processes[PROCESSES];
  struct denet_buffer records; /* of this pass */
  struct denet_task_sums task_sums;
};

static inline void end_scene(struct scene *scene) {
  for (size_t i = 0; i < PROCESSES; i++)
    denet_process_done(&scene->processes[i]);
  denet_buffer_done(&scene->records);
  denet_task_sums_done(&scene->task_sums);
}

static inline void append(struct scene *scene, const void *record, size_t size) {
  ck_assert_int_eq(denet_buffer_append(&scene->records, record, size), 0);
}

/* Which cost goes into which metric, and what it takes to have it. */
static const struct {
  enum denet_metric metric;
  size_t offset;
  unsigned lack;
} costs[] = {
    {DENET_RUN_DELAY, offsetof(struct denet_bpf_usage, run_delay_ns), DENET_UNAVAILABLE_SCHEDSTAT},
    {DENET_SWITCHES_VOLUNTARY, offsetof(struct denet_bpf_usage, switches_voluntary), 0},
    {DENET_SWITCHES_INVOLUNTARY, offsetof(struct denet_bpf_usage, switches_involuntary), 0},
    {DENET_MINOR_FAULTS, offsetof(struct denet_bpf_usage, minor_faults), 0},
    {DENET_MAJOR_FAULTS, offsetof(struct denet_bpf_usage, major_faults), 0},
    {DENET_SYSCALL_READ, offsetof(struct denet_bpf_usage, read_chars),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_SYSCALL_WRITE, offsetof(struct denet_bpf_usage, write_chars),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_READ_CALLS, offsetof(struct denet_bpf_usage, read_calls),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_WRITE_CALLS, offsetof(struct denet_bpf_usage, write_calls),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_READ, offsetof(struct denet_bpf_usage, read_bytes),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
    {DENET_DISK_WRITE, offsetof(struct denet_bpf_usage, write_bytes),
     DENET_UNAVAILABLE_IO_ACCOUNTING},
};

/* Each cost another number. */
static inline uint64_t cost_of(size_t row, uint64_t n) { return (row + 7) * n; }

static inline struct denet_bpf_usage make_costs(uint64_t n) {
  struct denet_bpf_usage made = {.run_ns = 1000 * n, .user_ns = 3 * n, .system_ns = n};
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    denet_u64 cost = cost_of(i, n);
    memcpy((char *)&made + costs[i].offset, &cost, sizeof(cost));
  }
  return made;
}

static inline void expect_costs(const struct denet_values *now, uint64_t n) {
  for (size_t i = 0; i < DENET_COUNT_OF(costs); i++) {
    ck_assert(denet_values_has(now, costs[i].metric));
    ck_assert_msg(now->value[costs[i].metric] == cost_of(i, n), "cost %zu", i);
  }
  ck_assert_uint_eq(now->value[DENET_CPU_USER], 750 * n);
  ck_assert_uint_eq(now->value[DENET_CPU_SYSTEM], 250 * n);
}

static inline struct denet_bpf_process make_process(denet_u32 pid, uint64_t n) {
  return (struct denet_bpf_process){
      .identity = {.brief.head = {DENET_BPF_PROCESS, pid, pid * 1000}, .threads = 10},
      .usage = make_costs(n),
      .seen_ns = 5000,
      .rss_pages = 5,
      .vm_pages = 50,
  };
}

static inline void show_process(struct scene *scene, denet_u32 pid, uint64_t n) {
  struct denet_bpf_process record = make_process(pid, n);
  append(scene, &record, sizeof(record));
}

static inline void show_thread(struct scene *scene, denet_u32 pid, uint64_t n) {
  struct denet_bpf_thread record = {.head = {DENET_BPF_THREAD, pid, 0}, .usage = make_costs(n)};
  append(scene, &record, sizeof(record));
}

static inline void show_brief(struct scene *scene, denet_u32 pid) {
  struct denet_bpf_brief record = {.head = {DENET_BPF_BRIEF, pid, pid * 1000}};
  append(scene, &record, sizeof(record));
}

static inline struct denet_process *process_of(struct scene *scene, denet_u32 pid) {
  struct denet_process *process = &scene->processes[pid / FIRST_PID - 1];
  process->pid = (pid_t)pid;
  ck_assert_ptr_nonnull(denet_process_use(process));
  return process;
}

/* Takes what was shown as a source does; the next pass begins. */
static inline void take(struct scene *scene, unsigned unavailable) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  denet_task_sums_clear(&scene->task_sums);
  while ((head = denet_task_sums_next(&scene->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      ck_assert_int_eq(denet_task_sums_add(&scene->task_sums, (struct denet_bpf_process *)head), 0);
  denet_task_sums_add_threads(&scene->task_sums, &scene->records);
  for (size_t i = 0; i < scene->task_sums.count; i++) {
    const struct denet_task_sum *sum = &scene->task_sums.sums[i];
    struct denet_process *process = process_of(scene, sum->record->identity.brief.head.pid);
    if (denet_task_sum_is_sound(sum) || !denet_values_has(&process->usage->now, DENET_CPU_USER))
      denet_record_values_take(process, sum->record, PAGE, unavailable);
  }
}

static inline void next_pass(struct scene *scene) {
  denet_task_sums_clear(&scene->task_sums);
  denet_buffer_clear(&scene->records);
}
