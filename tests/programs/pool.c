/* pool WORKERS LIFE_MS: keeps so many children busy; each ends after LIFE_MS and is replaced. */
#include "talk.h"

#include <poll.h>
#include <sys/wait.h>

static void start_worker(double life) {
  if (fork())
    return;
  prctl(PR_SET_PDEATHSIG, 9);
  burn_seconds(CLOCK_MONOTONIC, life);
  _exit(0);
}

int main(int count, char **arguments) {
  if (count < 3)
    return 9;
  int workers = atoi(arguments[1]);
  double life = atoi(arguments[2]) / 1e3;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  for (int i = 0; i < workers; i++)
    /* Staggered, so that one ends every LIFE_MS / WORKERS. */
    start_worker(life * (i + 1) / workers);
  say("ready");
  while (poll(&input, 1, 1) == 0)
    while (waitpid(-1, NULL, WNOHANG) > 0)
      start_worker(life);
  return 0;
}
