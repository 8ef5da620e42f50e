/* busy THREADS: uses the CPU in so many threads; the main thread only answers. "rename NAME"
 * renames the main thread, any other command stops the threads. */
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
    char *command = next_command(), *name = argument_of(command, "rename");
    if (name)
      name_myself(name);
    else
      atomic_store(&is_stopping, true);
    say("done");
  }
}
