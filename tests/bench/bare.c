/* bare [PASSES] [PERIOD_MS]: CPU time of a pass over every task with the bare iterator of
 * bare.bpf.c. After one pass that is not measured, PASSES (8) are, PERIOD_MS apart (1000: caches
 * are as cold as for a reader that comes once a second; 0: back to back). Prints the number of
 * tasks, and the mean and median CPU ms of a pass. */
#include "bench.h"

#include "bare.skel.h"

#include <bpf/bpf.h>

#define BUFFER_BYTES (1 << 20)
#define RECORD_BYTES 160 /* sizeof(struct bare_record) */

static char buffer[BUFFER_BYTES];

/* The iterator runs in the reader's context, so its time is this thread's. */
static size_t pass(const struct bpf_link *link) {
  int fd = bpf_iter_create(bpf_link__fd(link));
  if (fd < 0)
    err(1, "bpf_iter_create");
  ssize_t got;
  size_t bytes = 0;
  while ((got = read(fd, buffer, sizeof(buffer))) > 0)
    bytes += (size_t)got;
  if (got < 0 || bytes % RECORD_BYTES)
    err(1, "reading the iterator");
  close(fd);
  return bytes / RECORD_BYTES;
}

static void measure(const struct bpf_link *link, size_t count, long period_ms) {
  double *costs_ms = calloc(count, sizeof(*costs_ms)), sum_ms = 0;
  if (!costs_ms)
    err(1, "calloc");
  size_t tasks = pass(link);
  for (size_t i = 0; i < count; i++) {
    usleep((useconds_t)period_ms * 1000);
    double before_us = read_us(CLOCK_THREAD_CPUTIME_ID);
    tasks = pass(link);
    costs_ms[i] = (read_us(CLOCK_THREAD_CPUTIME_ID) - before_us) / 1e3;
    sum_ms += costs_ms[i];
  }
  printf("%zu tasks, CPU ms a pass: mean %.4f median %.4f\n", tasks, sum_ms / (double)count,
         find_quantile(costs_ms, count, 0.5));
  free(costs_ms);
}

int main(int argc, char **argv) {
  long count = argc > 1 ? strtol(argv[1], NULL, 10) : 8;
  long period_ms = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
  if (argc > 3 || count < 1 || period_ms < 0)
    errx(2, "usage: bare [PASSES] [PERIOD_MS]");
  struct bare *bare = bare__open_and_load();
  if (!bare)
    err(1, "loading the iterator");
  struct bpf_link *link = bpf_program__attach_iter(bare->progs.list_tasks, NULL);
  if (!link)
    err(1, "attaching the iterator");
  measure(link, (size_t)count, period_ms);
  bpf_link__destroy(link);
  bare__destroy(bare);
}
