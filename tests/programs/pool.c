/* pool WORKERS LIFE_MS: so many busy children; each ends after LIFE_MS and is replaced. */
#include "workload.h"

static void start_worker(uint64_t life_ns) {
  if (fork_child())
    return;
  burn_ns(CLOCK_MONOTONIC, life_ns);
  _exit(0);
}

int main(int count, char **arguments) {
  check(count > 2);
  uint64_t workers = (uint64_t)atoi(arguments[1]), life_ns = ns_of_ms(arguments[2]);
  for (uint64_t i = 1; i <= workers; i++)
    start_worker(life_ns * i / workers); /* one ends each LIFE_MS / WORKERS */
  say("ready");
  while (!has_input(1))
    while (waitpid(-1, NULL, WNOHANG) > 0)
      start_worker(life_ns);
  return 0;
}
