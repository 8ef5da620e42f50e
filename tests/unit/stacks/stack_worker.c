#include "core/stacks/stack_worker.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
#define READS_MOST 20 /* a second */

/* Makes the working directory a /proc with a thread that is always blocked in the same call. */
#define MAKE_THREAD                                                                                \
  "mkdir -p 10/task/11 && echo 0 0x0 0x0 >10/task/11/syscall && echo stack >10/task/11/mem"

/* Stand-ins for tracer.c, which is not linked: there is no exec event. */
int denet_tracer_exec_fd(const struct denet_tracer *tracer) { return -1; }

void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        denet_tracer_take *take, void *context) {}

/* Blocked threads, and how many of them have a sample. */
static const struct {
  const char *what;
  unsigned jobs, intervals;
  unsigned least, most;
} rows[] = {
    {"few intervals: each is read", 10, 10, 10, 10},
    {"one interval: it is read once", 1000, 1, 1000, 1000},
    /* As many as in two seconds at once, and those of the time that the test takes. */
    {"more intervals than may be read", 1000, 1000, 2 * READS_MOST, 3 * READS_MOST},
};

START_TEST(reads_of_blocked_threads_are_limited_by_rate) {
  struct denet_stack_worker *worker;
  struct denet_profiler_settings settings = {.stack_bytes = 256, .rate = 2 * READS_MOST};
  struct denet_buffer samples = {0};
  char top[] = "/tmp/denet-stack-worker-XXXXXX";
  ck_assert(mkdtemp(top) && !chdir(top) && !system(MAKE_THREAD));
  ck_assert_int_eq(denet_stack_worker_start(&settings, ".", NULL, &worker), 0);
  struct denet_bpf_head head = {DENET_OFF_CPU_THREAD, 10, 1000};
  struct denet_sample_point point = {.tid = 11, .weight_ns = 1};
  for (unsigned i = 0; i < rows[_i].jobs; i++)
    denet_stack_worker_add_sample(worker, &head, &point, 1 + i % rows[_i].intervals,
                                  denet_text_of(""));
  ck_assert_uint_eq(denet_stack_worker_take_samples(worker, 10 * SECOND_NS, &samples), 0);
  size_t count = samples.length / sizeof(struct denet_sample);
  ck_assert_msg(count >= rows[_i].least && count <= rows[_i].most, "%s: %zu", rows[_i].what, count);
  for (size_t i = 0; i < count; i++)
    denet_frames_release(((const struct denet_sample *)samples.bytes)[i].stack.frames);
  denet_buffer_done(&samples);
  ck_assert(denet_stack_worker_stop(worker));
  ck_assert_int_eq(system("rm -r $PWD"), 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, reads_of_blocked_threads_are_limited_by_rate, rows);
}
