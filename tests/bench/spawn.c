/* spawn exec|fork COUNT: makes COUNT processes one after the other, and waits for each, on one CPU.
 * exec: by posix_spawn of this program, which then ends at once (linked statically it is about the
 * smallest program). fork: the child ends at once, without an exec. Prints the wall and CPU time of
 * one process in us; the CPU time is this process's and its children's. */
#include "bench.h"

#include <spawn.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Large enough to include work that the kernel delays, such as freeing; small enough that other
 * processes of the host disturb only some batches. */
#define BATCH 50

static double read_cpu_us(void) {
  double us = 0;
  for (int i = 0; i < 2; i++) {
    struct rusage usage;
    getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
    us += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  }
  return us;
}

/* name: of the children, if by exec; else NULL. */
static void make_all(char *name, long count) {
  char *arguments[] = {name, NULL}, *none[] = {NULL};
  for (; count; count--) {
    pid_t pid;
    if (name && posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, none))
      errx(1, "posix_spawn failed");
    if (!name && !(pid = fork()))
      _exit(0);
    if (waitpid(pid, NULL, 0) < 0)
      err(1, "waitpid");
  }
}

static void measure(char *name, long batches) {
  double *wall_us = calloc((size_t)batches, sizeof(*wall_us));
  double *cpu_us = calloc((size_t)batches, sizeof(*cpu_us));
  if (!wall_us || !cpu_us)
    err(1, "calloc");
  for (long i = 0; i < batches; i++) {
    double wall_before_us = read_us(CLOCK_MONOTONIC), cpu_before_us = read_cpu_us();
    make_all(name, BATCH);
    wall_us[i] = (read_us(CLOCK_MONOTONIC) - wall_before_us) / BATCH;
    cpu_us[i] = (read_cpu_us() - cpu_before_us) / BATCH;
  }
  printf("%.3f %.3f\n", find_quantile(wall_us, (size_t)batches, 0.5),
         find_quantile(cpu_us, (size_t)batches, 0.5));
  free(wall_us);
  free(cpu_us);
}

int main(int argc, char **argv) {
  if (argc == 1) /* a child */
    return 0;
  long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
  bool by_exec = strcmp(argv[1], "exec") == 0;
  if (count < BATCH || (!by_exec && strcmp(argv[1], "fork") != 0))
    errx(2, "usage: spawn exec|fork COUNT, at least 50");
  char *name = by_exec ? argv[0] : NULL;
  keep_to_last_cpu();
  make_all(name, BATCH);
  measure(name, count / BATCH);
}
