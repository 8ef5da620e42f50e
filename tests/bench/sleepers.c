/* sleepers COUNT EVERY PERIOD_MS: COUNT child processes "sleeper NUMBER" that sleep; one in EVERY
 * (0: none) wakes up each PERIOD_MS for a moment. They end with this process. Writes "ready" when
 * all have started. */
#include "bench.h"

#include <signal.h>
#include <sys/prctl.h>

/* A child, exec'd so that its command line is its own. period_ms: 0 if it never wakes up. */
static void sleep_for_ever(long period_ms) {
  struct timespec period = {period_ms / 1000, period_ms % 1000 * 1000000};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (period_ms)
    nanosleep(&period, NULL);
  for (;;)
    pause();
}

int main(int argc, char **argv) {
  if (argc == 2)
    sleep_for_ever(atol(getenv("PERIOD_MS")));
  if (argc != 4)
    return 2;
  for (int i = 0, every = atoi(argv[2]); i < atoi(argv[1]); i++) {
    char number[16];
    snprintf(number, sizeof(number), "%06d", i);
    setenv("PERIOD_MS", every && i % every == 0 ? argv[3] : "0", 1);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl("/proc/self/exe", "sleeper", number, (char *)NULL);
      _exit(1);
    }
  }
  sleep(2);
  puts("ready");
  fflush(stdout);
  pause();
}
