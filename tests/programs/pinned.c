/* pinned THREADS: so many busy threads, the first one included, on the CPUs that it was given. None
 * of them ever waits for anything but a CPU. Answers "done" to every word. */
#include "talk.h"

#include <poll.h>
#include <pthread.h>

static void *burn(void *unused) {
  for (;;)
    burn_seconds(CLOCK_MONOTONIC, 1);
  return unused;
}

int main(int count, char **arguments) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  for (int i = 1; i < (count > 1 ? atoi(arguments[1]) : 1); i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, burn, NULL))
      return 9;
  }
  say("ready");
  for (;;) {
    burn_seconds(CLOCK_MONOTONIC, 0.01);
    if (poll(&input, 1, 0) != 1)
      continue;
    listen_for_word();
    say("done");
  }
}
