/* A stand-in for stack_worker.c without a thread: the bytes of a stack are the names of its frames.
 */
#include "core/stacks/stack_worker.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

#define SAMPLES_MOST 64

static struct denet_buffer samples; /* struct denet_sample */

int denet_stack_worker_start(const struct denet_profiler_settings *settings, const char *proc_path,
                             struct denet_tracer *tracer, struct denet_stack_worker **out_worker) {
  *out_worker = NULL;
  return 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *worker) {
  const struct denet_sample *left = (const void *)samples.bytes;
  for (size_t i = 0; i < samples.length / sizeof(*left); i++)
    denet_frames_release(left[i].stack.frames);
  denet_buffer_done(&samples);
  return true;
}

void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_exec_event *exec_event) {
  CLAIM(exec_event->head.pid > 0);
}

void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns) {}

void denet_stack_worker_add_sample(struct denet_stack_worker *worker,
                                   const struct denet_bpf_head *head,
                                   const struct denet_sample_point *point, uint64_t off_since_ns,
                                   struct denet_text stack) {
  struct denet_text names = off_since_ns ? (struct denet_text){"futex", sizeof("futex")} : stack;
  struct denet_sample sample = {
      .pid = (pid_t)head->pid,
      .start_ns = head->start_ns,
      .stack = {.reason = point->reason, .time_ns = point->weight_ns, .count = 1}};
  if (samples.length == SAMPLES_MOST * sizeof(sample))
    return;
  sample.stack.frames = denet_frames_new(names);
  CLAIM(sample.stack.frames);
  memcpy(sample.stack.thread, point->name, sizeof(point->name));
  CLAIM(!denet_buffer_append(&samples, &sample, sizeof(sample)));
}

uint64_t denet_stack_worker_take_samples(struct denet_stack_worker *worker, uint64_t wait_ns,
                                         struct denet_buffer *out) {
  struct denet_buffer taken = samples;
  denet_buffer_clear(out);
  samples = *out;
  *out = taken;
  return 0;
}
