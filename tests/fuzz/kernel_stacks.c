/* What kernel.h says of stacks, without a thread: a stack's bytes are its frames' names. */
#include "core/stacks/stack_worker.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define SAMPLES_MOST 64

static struct denet_sample samples[SAMPLES_MOST];
static size_t sample_count;

int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_symbolizer) {
  (void)settings;
  *out_symbolizer = NULL;
  return 0;
}

static void drop_samples(void) {
  for (size_t i = 0; i < sample_count; i++)
    denet_frames_release(samples[i].stack.frames);
  sample_count = 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *symbolizer) {
  (void)symbolizer;
  drop_samples();
  return true;
}

void denet_stack_worker_meet(struct denet_stack_worker *symbolizer,
                             const struct denet_stack_worker_process *process) {
  (void)symbolizer;
  CLAIM(process->pid > 0 && process->parent_pid >= 0);
}

void denet_stack_worker_forget(struct denet_stack_worker *symbolizer, pid_t pid,
                               uint64_t start_ns) {
  (void)symbolizer, (void)pid, (void)start_ns;
}

void denet_stack_worker_add_untold(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_sums *sums) {
  (void)symbolizer, (void)sums;
}

void denet_stack_worker_await(struct denet_stack_worker *symbolizer, uint64_t most_ns) {
  (void)symbolizer, (void)most_ns;
}

static void add_sample(const struct denet_bpf_head *head, const struct denet_off_cpu_place *place,
                       struct denet_text names) {
  if (sample_count == SAMPLES_MOST)
    return;
  struct denet_sample sample = {.pid = (pid_t)head->pid,
                                .start_ns = head->start_ns,
                                .stack = {.frames = denet_frames_new(names),
                                          .reason = place->reason,
                                          .time_ns = place->weight_ns,
                                          .count = 1}};
  CLAIM(sample.stack.frames);
  memcpy(sample.stack.thread, place->name, sizeof(place->name));
  samples[sample_count++] = sample;
}

void denet_stack_worker_add_stack(struct denet_stack_worker *symbolizer,
                                  const struct denet_off_cpu_stack *stack) {
  (void)symbolizer;
  struct denet_text names = {(const char *)(stack + 1), stack->stack_bytes};
  add_sample(&stack->head, &stack->place, names);
}

void denet_stack_worker_add_thread(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_thread *thread) {
  (void)symbolizer;
  add_sample(&thread->head, &thread->place, (struct denet_text){"futex", sizeof("futex")});
}

void denet_stack_worker_take(struct denet_stack_worker *symbolizer,
                             void (*each)(void *context, const struct denet_sample *sample),
                             void *context) {
  (void)symbolizer;
  for (size_t i = 0; i < sample_count; i++)
    each(context, &samples[i]);
  drop_samples();
}

uint64_t denet_stack_worker_lost(struct denet_stack_worker *symbolizer) {
  (void)symbolizer;
  return 0;
}
