/* sleepers COUNT EVERY PERIOD_MS: COUNT child processes "sleeper NUMBER" that sleep; one in EVERY
 * (0: none) wakes up each PERIOD_MS for a moment. They end with this process. Writes "ready" when
 * all have started. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void sleep_for_ever(long number) {
  long every = strtol(getenv("EVERY"), NULL, 10);
  long period_ms = strtol(getenv("PERIOD_MS"), NULL, 10);
  struct timespec period = {period_ms / 1000, period_ms % 1000 * 1000000};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (every && number % every == 0)
    nanosleep(&period, NULL);
  for (;;)
    pause();
}

int main(int argc, char **argv) {
  if (argc == 2) /* a child, exec'd so that its command line is its own */
    sleep_for_ever(strtol(argv[1], NULL, 10));
  if (argc != 4)
    return 2;
  setenv("EVERY", argv[2], 1);
  setenv("PERIOD_MS", argv[3], 1);
  for (int i = 0; i < atoi(argv[1]); i++) {
    char number[16];
    snprintf(number, sizeof(number), "%06d", i);
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
