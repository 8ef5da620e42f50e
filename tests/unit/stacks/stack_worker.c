#include "core/stacks/stack_worker.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#pragma GCC diagnostic ignored "-Wunused-parameter" /* of the stand-ins */

#define SECOND_NS UINT64_C(1000000000)
#define READS_MOST 20 /* a second */

/* Stand-ins for tracer.c, which is not linked: there is no exec event. */
int denet_tracer_exec_fd(const struct denet_tracer *tracer) { return -1; }

void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        void (*take)(void *context, const struct denet_bpf_head *event,
                                     size_t size),
                        void *context) {}

/* The working directory is a /proc with one thread, which is always blocked in the same call. */
static char top[] = "/tmp/denet-stack-worker-XXXXXX";
static const char *const folders[] = {top, "10", "10/task", "10/task/11"};
static const char *const files[][2] = {{"10/task/11/syscall", "0 0x0 0x0\n"},
                                       {"10/task/11/mem", "the stack"}};

static void begin(void) {
  ck_assert_ptr_nonnull(mkdtemp(top));
  ck_assert_int_eq(chdir(top), 0);
  for (size_t i = 1; i < DENET_COUNT_OF(folders); i++)
    ck_assert_int_eq(mkdir(folders[i], 0700), 0);
  for (size_t i = 0; i < DENET_COUNT_OF(files); i++) {
    DENET_CLOSE int fd = open(files[i][0], O_WRONLY | O_CREAT, 0600);
    ck_assert_int_gt(write(fd, files[i][1], strlen(files[i][1])), 0);
  }
}

static void end(void) {
  for (size_t i = DENET_COUNT_OF(files); i-- > 0;)
    unlink(files[i][0]);
  for (size_t i = DENET_COUNT_OF(folders); i-- > 0;)
    rmdir(folders[i]);
}

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
  begin();
  ck_assert_int_eq(denet_stack_worker_start(&settings, ".", NULL, &worker), 0);
  struct denet_bpf_head head = {DENET_OFF_CPU_THREAD, 10, 1000};
  struct denet_sample_point point = {.tid = 11, .weight_ns = 1};
  for (unsigned i = 0; i < rows[_i].jobs; i++)
    denet_stack_worker_add_sample(worker, &head, &point, 1 + i % rows[_i].intervals,
                                  denet_text_of(""));
  ck_assert_uint_eq(denet_stack_worker_take_samples(worker, 10 * SECOND_NS, &samples), 0);
  size_t count = samples.length / sizeof(struct denet_sample);
  ck_assert_msg(count >= rows[_i].least && count <= rows[_i].most, "%s: %zu", rows[_i].what, count);
  ck_assert(denet_stack_worker_stop(worker));
  end();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, reads_of_blocked_threads_are_limited_by_rate, rows);
}
