/* pipes ping threads|processes: passes a byte to and fro through two pipes, on the one CPU that it
 * keeps to, between two threads of its own, or between itself and another process whose command
 * line begins with "pipes pong". Prints "ready", and for each line "run ROUNDS" of its input
 * the ns of a context switch, of which a round has two: the lower quartile of short batches, since
 * other processes on the CPU only make it slower. Ends at the end of its input. */
#include "bench.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#define BATCHES 400

struct ends {
  int in, out;
};

static void *answer(void *of) {
  struct ends ends = *(struct ends *)of;
  for (char byte; read(ends.in, &byte, 1) == 1;)
    if (write(ends.out, &byte, 1) != 1)
      break;
  return NULL;
}

static void ask(struct ends ends, long rounds) {
  char byte = 0;
  for (long i = 0; i < rounds; i++)
    if (write(ends.out, &byte, 1) != 1 || read(ends.in, &byte, 1) != 1)
      err(1, "pipe");
}

static double measure(struct ends ends, long rounds) {
  double batches[BATCHES];
  long batch = rounds / BATCHES + 1;
  ask(ends, batch);
  for (int i = 0; i < BATCHES; i++) {
    double begun_us = read_us(CLOCK_MONOTONIC);
    ask(ends, batch);
    batches[i] = 1e3 * (read_us(CLOCK_MONOTONIC) - begun_us) / (2 * (double)batch);
  }
  return find_quantile(batches, BATCHES, 0.25);
}

/* The other process has the ends as its input and output. */
static void start_process(struct ends ends) {
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends.in, STDIN_FILENO);
    dup2(ends.out, STDOUT_FILENO);
    execl("/proc/self/exe", "pipes", "pong", (char *)NULL);
    _exit(1);
  }
}

int main(int count, char **arguments) {
  int there[2], back[2];
  char line[64];
  pthread_t thread;
  if (count == 2 && !strcmp(arguments[1], "pong")) {
    answer(&(struct ends){.in = STDIN_FILENO, .out = STDOUT_FILENO});
    return 0;
  }
  if (count != 3)
    return 2;
  keep_to_last_cpu();
  if (pipe(there) || pipe(back))
    err(1, "pipe");
  struct ends own = {.in = back[0], .out = there[1]}, other = {.in = there[0], .out = back[1]};
  if (strcmp(arguments[2], "threads") != 0)
    start_process(other);
  else if (pthread_create(&thread, NULL, answer, &other))
    errx(1, "no thread");
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof(line), stdin)) {
    printf("%.2f\n", measure(own, strtol(line + strlen("run "), NULL, 10)));
    fflush(stdout);
  }
  return 0;
}
