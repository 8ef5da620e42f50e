/* The records and events of threads off their CPUs as raw bytes: who they are of, how long, and
 * what a line says of it. */
#include "bpf/off_cpu_records.h"
#include "core/model/wait_stats.h"
#include "core/record/record.h"
#include "core/source/bpf/source.h"
#include "core/stacks/trace_records.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* One process's tree. */
struct scene {
  struct denet_process_wait_stats off_cpu;
  struct denet_process process;
  struct denet_usage usage;
  struct denet_active_rule active_rule;
  struct denet_tree tree;
  struct denet_member member;
};

static void set_up(struct scene *scene) {
  memset(scene, 0, sizeof(*scene));
  scene->process = (struct denet_process){.pid = 42, .off_cpu = &scene->off_cpu};
  scene->process.usage = &scene->usage;
  scene->active_rule.rule.off_cpu = DENET_OFF_CPU_STACKS;
  scene->tree = (struct denet_tree){.active_rule = &scene->active_rule, .first = &scene->member};
  scene->member = (struct denet_member){.process = &scene->process, .tree = &scene->tree};
}

static void claim_line(struct scene *scene) {
  struct denet_json json = {0};
  struct denet_text line;
  denet_wait_stats_take(&scene->off_cpu, &scene->usage.now);
  denet_json_begin(&json);
  denet_record_off_cpu(&json, &scene->tree, &scene->usage.now);
  CLAIM(denet_json_end(&json, &line) == 0 && fuzz_is_json_line(line));
  denet_json_done(&json);
}

/* Records follow each other, and none goes beyond the bytes. */
static void take_records(struct scene *scene, const struct denet_buffer *records) {
  const struct denet_bpf_head *head;
  size_t offset = 0;
  while ((head = denet_trace_records_next(records, &offset))) {
    const struct denet_off_cpu_thread *thread = (const void *)head;
    CLAIM(offset <= records->length && denet_trace_records_is_whole(head, offset));
    if (head->kind == DENET_OFF_CPU_THREAD)
      CLAIM(denet_wait_stats_add_thread(&scene->off_cpu, thread->off_since_ns, thread) == 0);
    else
      denet_wait_stats_add_exited(&scene->off_cpu, 1, (const struct denet_off_cpu_sums *)head);
  }
  CLAIM(scene->off_cpu.count * sizeof(struct denet_off_cpu_thread) <= records->length);
}

static void take_event(struct scene *scene, struct denet_text event) {
  const struct denet_bpf_head *head = (const void *)event.bytes;
  const struct denet_off_cpu_stack *stack = (const void *)head;
  if (event.length < sizeof(*head) || !denet_trace_records_is_whole(head, event.length))
    return;
  if (head->kind == DENET_OFF_CPU_END)
    denet_wait_stats_end(&scene->off_cpu, 1, (const struct denet_off_cpu_sums *)head);
  if (head->kind != DENET_OFF_CPU_STACK)
    return;
  struct denet_text names = {(const char *)(stack + 1), stack->stack_bytes};
  CLAIM(fuzz_is_within(names, event));
  struct denet_stack sample = {.frames = denet_frames_new(names),
                               .reason = stack->point.reason,
                               .time_ns = stack->point.weight_ns};
  memcpy(sample.thread, stack->point.name, sizeof(sample.thread));
  CLAIM(sample.frames);
  denet_stack_counts_add(&scene->tree.stacks, &sample);
  denet_frames_release(sample.frames);
}

void fuzz_one(struct denet_text copy) {
  struct denet_buffer records = {(char *)copy.bytes, copy.length, copy.length};
  struct scene scene;
  set_up(&scene);
  take_records(&scene, &records);
  claim_line(&scene);
  take_event(&scene, copy);
  claim_line(&scene);
  denet_wait_stats_leave(&scene.off_cpu, 1);
  claim_line(&scene);
  for (size_t offset = 0; denet_bpf_source_next_task(&records, &offset);)
    CLAIM(offset <= copy.length);
  denet_stack_counts_done(&scene.tree.stacks);
  denet_wait_stats_done(&scene.off_cpu);
}
