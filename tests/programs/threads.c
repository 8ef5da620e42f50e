/* threads COUNT: has so many threads, the first one included, that do nothing. */
#include "talk.h"

#include <pthread.h>

static void *rest(void *unused) {
  pause();
  return unused;
}

int main(int count, char **arguments) {
  for (int i = 1; i < (count > 1 ? atoi(arguments[1]) : 1); i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, rest, NULL))
      return 9;
  }
  say("ready");
  for (;;) {
    listen_for_word();
    say("done");
  }
}
