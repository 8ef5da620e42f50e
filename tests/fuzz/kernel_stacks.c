/* A stand-in for stack_worker.c without a thread: the bytes of a stack are the names of its frames.
 */
#include "core/stacks/stack_worker.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

#define SAMPLES_MOST 64

static struct denet_sample samples[SAMPLES_MOST];
static size_t sample_count;

int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_worker) {
  *out_worker = NULL;
  return 0;
}

static void drop_samples(void) {
  for (size_t i = 0; i < sample_count; i++)
    denet_frames_release(samples[i].stack.frames);
  sample_count = 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *worker) {
  drop_samples();
  return true;
}

void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_stack_worker_process *process) {
  CLAIM(process->pid > 0 && process->parent_pid >= 0);
}

void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns) {}

void denet_stack_worker_wait_idle(struct denet_stack_worker *worker, uint64_t most_ns) {}

static void add_sample(const struct denet_bpf_head *head, const struct denet_sample_point *point,
                       struct denet_text names) {
  if (sample_count == SAMPLES_MOST)
    return;
  struct denet_sample sample = {.pid = (pid_t)head->pid,
                                .start_ns = head->start_ns,
                                .stack = {.frames = denet_frames_new(names),
                                          .reason = point->reason,
                                          .time_ns = point->weight_ns,
                                          .count = 1}};
  CLAIM(sample.stack.frames);
  memcpy(sample.stack.thread, point->name, sizeof(point->name));
  samples[sample_count++] = sample;
}

void denet_stack_worker_add_stack(struct denet_stack_worker *worker,
                                  const struct denet_off_cpu_stack *stack) {
  struct denet_text names = {(const char *)(stack + 1), stack->stack_bytes};
  add_sample(&stack->head, &stack->point, names);
}

void denet_stack_worker_add_thread(struct denet_stack_worker *worker,
                                   const struct denet_off_cpu_thread *thread) {
  add_sample(&thread->head, &thread->point, (struct denet_text){"futex", sizeof("futex")});
}

void denet_stack_worker_take_samples(struct denet_stack_worker *worker,
                                     void (*each)(void *context, const struct denet_sample *sample),
                                     void *context) {
  for (size_t i = 0; i < sample_count; i++)
    each(context, &samples[i]);
  drop_samples();
}

uint64_t denet_stack_worker_lost(struct denet_stack_worker *worker) { return 0; }
