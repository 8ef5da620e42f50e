/* busy THREADS [main]: uses the CPU in so many threads, which never wait for anything except a CPU.
 * The main thread only answers; main: it is busy, too. "rename NAME" renames it, any other command
 * stops the threads. */
#include "workload.h"

#include <stdatomic.h>

static atomic_bool is_stopping;

static void *burn(void *unused) {
  while (!atomic_load(&is_stopping))
    burn_ns(CLOCK_MONOTONIC, 10000000);
  return unused;
}

int main(int count, char **arguments) {
  for (int i = count > 1 ? atoi(arguments[1]) : 1; i; i--)
    start_thread(burn, NULL);
  say("ready");
  for (;;) {
    while (count > 2 && !has_input(0))
      burn_ns(CLOCK_MONOTONIC, 10000000);
    char *command = next_command(), *name = argument_of(command, "rename");
    if (name)
      name_myself(name);
    else
      atomic_store(&is_stopping, true);
    say("done");
  }
}
