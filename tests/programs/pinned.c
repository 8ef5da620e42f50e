/* pinned THREADS: so many busy threads, the main thread included, on the CPUs that the process was
 * given. The threads never wait for anything except a CPU. */
#include "workload.h"

static void *burn(void *unused) {
  for (;;)
    burn_ns(CLOCK_MONOTONIC, 1000000000);
  return unused;
}

int main(int count, char **arguments) {
  for (int i = 1; i < (count > 1 ? atoi(arguments[1]) : 1); i++)
    start_thread(burn, NULL);
  say("ready");
  for (;;) {
    burn_ns(CLOCK_MONOTONIC, 10000000);
    if (!has_input(0))
      continue;
    next_command();
    say("done");
  }
}
